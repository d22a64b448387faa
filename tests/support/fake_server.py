"""A server on this machine that behaves as it is told: it cuts, lies about lengths, redirects, forgets ranges."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# Takes the request, the content that is asked for (None: no such file); True where it answered by itself.
Behaviour = Callable[["Request", bytes | None], bool]


class Request(BaseHTTPRequestHandler):
    """One request; `server.content` has the files by path, `server.behave` the first say."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        self.server.asked.append((self.command, self.path, self.headers.get("Range")))
        self.server.headers_seen.append(dict(self.headers))
        content = self.server.content(self.path.partition("?")[0])
        if self.server.behave(self, content):
            return
        if content is None:
            self.answer(404, b"no such file")
            return
        start = 0
        if (found := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")) is not None:
            start = int(found[1])
            if start >= len(content):
                self.answer(416, b"")
                return
            self.answer(
                206, content[start:], {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            )
            return
        self.answer(200, content)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def answer(
        self, status: int, content: bytes, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        """Send an answer; a `length` that is not the content's ends the connection."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        if length is not None:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def redirect(self, target: str) -> None:
        self.answer(302, b"", {"Location": target})

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Files of a folder, until told otherwise."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.folder = folder
        self.asked: list[tuple[str, str, str | None]] = []
        self.headers_seen: list[dict[str, str]] = []
        self.behave: Behaviour = lambda request, content: False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def content(self, path: str) -> bytes | None:
        file = self.folder / path.lstrip("/")
        return file.read_bytes() if file.is_file() else None

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.asked]


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
