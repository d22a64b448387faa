"""What of the Hugging Face Hub's HTTP interface `huggingface_hub` asks for, by a server on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fake_server import Request, Server, serving

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


class Hub:
    """Repositories as folders `root/owner/name`; what is uploaded is written there. `token`: asked for, if not None."""

    def __init__(self, root: Path, server: Server) -> None:
        self.root = root
        self.server = server
        self.token: str | None = None
        self.commit = COMMIT
        server.behave = self._behave

    def _behave(self, request: Request, content: bytes | None) -> bool:
        path = request.path.partition("?")[0].strip("/").split("/")
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            request.answer(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif path[:1] == ["blobs"]:
            return False  # large files lie elsewhere
        elif request.command == "POST":
            self._post(request, path, request.rfile.read(int(request.headers.get("Content-Length") or 0)))
        elif len(path) > 4 and path[2] == "resolve":
            self._resolve(request, self.root / path[0] / path[1], path[3], "/".join(path[4:]))
        else:
            request.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        return True

    def _resolve(self, request: Request, repository: Path, revision: str, name: str) -> None:
        if not repository.is_dir():
            request.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", "v1", self.commit):
            request.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif not (repository / name).is_file():
            request.answer(404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": self.commit})
        else:
            content = (repository / name).read_bytes()
            headers = {
                "X-Repo-Commit": self.commit,
                "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
                "X-Linked-Size": str(len(content)),
            }
            if name.endswith(".onnx"):
                headers["Location"] = f"{self.server.url}/blobs/{repository.name}/{name}?signed"
                request.answer(302, b"", headers)
            else:
                request.answer(200, content, headers)

    def _post(self, request: Request, path: list[str], body: bytes) -> None:
        def reply(value: object) -> None:
            request.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        if path == ["api", "repos", "create"]:
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            (self.root / name).mkdir(parents=True, exist_ok=True)
            reply({"url": f"{self.server.url}/{name}", "name": name})
        elif path[:2] == ["api", "validate-yaml"]:
            reply({"errors": [], "warnings": []})
        elif path[-2:-1] == ["preupload"]:
            files = json.loads(body)["files"]
            reply(
                {
                    "files": [
                        {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for each in files
                    ]
                }
            )
        elif path[-2:-1] == ["commit"]:
            repository = self.root / path[2] / path[3]
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    target = repository / entry["value"]["path"]
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(base64.b64decode(entry["value"]["content"]))
            reply(
                {
                    "commitUrl": f"{self.server.url}/{path[2]}/{path[3]}/commit/{self.commit}",
                    "commitOid": self.commit,
                }
            )
        else:
            request.answer(404, b"{}")


@contextmanager
def hub(root: Path) -> Iterator[Hub]:
    """A hub over `root`; large files are served from `root/blobs/NAME`, which links to the repository's folder."""
    root.mkdir(parents=True, exist_ok=True)
    with serving(root) as server:
        yield Hub(root, server)
