"""`realm-engine models`: a server on this machine that cuts connections, and sends what it did not announce."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
import time

import pytest
from pulls import PROGRAM, digest, edited, failed, models, pull
from pulls import cache as cache
from pulls import published as published
from pulls import server as server


def cut_after(share: float):
    """Every connection ends after that share of what is left, and ranges are known."""

    def behave(request, content):
        start = int((request.headers.get("Range") or "bytes=0-")[6:-1])
        rest = (content or b"")[start:]
        if len(rest) < 2000:
            return False
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        request.answer(206 if start else 200, rest[: int(len(rest) * share)], headers, length=len(rest))
        return True

    return behave


def test_cut_connections_change_nothing(server, published, cache):
    server.behave = cut_after(0.5)
    assert pull(server, published)[0] == 0
    assert models("verify", "test-bundle")[0] == 0
    assert any(each for _, _, each in server.asked)


def test_a_pull_that_failed_goes_on_where_it_was(server, published, cache):
    server.behave = lambda request, content: (
        request.path.endswith("dream.onnx")
        and (request.answer(200, content[:1000], length=len(content)) is None)
    )
    failed(pull(server, published), "with 1000 bytes there; the same command goes on from them")
    assert models("list")[1].count("\n") == 1 and not (cache / "bundles").exists()
    server.behave = lambda request, content: False
    done = set(server.paths()) - {"/mine/bundle.json", "/mine/dream.onnx"}
    server.asked.clear()
    assert pull(server, published)[0] == 0
    assert not done & set(server.paths())
    assert ("GET", "/mine/dream.onnx", "bytes=1000-") in server.asked


def test_a_killed_pull_goes_on_where_it_was(server, published, cache):
    reached = threading.Event()

    def slow(request, content):
        if not request.path.endswith("dream.onnx"):
            return False
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[:1500])
        request.wfile.flush()
        reached.set()
        time.sleep(30)
        return True

    server.behave = slow
    words = ["pull", f"{server.url}/mine/bundle.json", "--sha256", digest(published / "bundle.json")]
    process = subprocess.Popen([*PROGRAM, *words], stderr=subprocess.PIPE)
    assert reached.wait(60)
    deadline = time.monotonic() + 30
    while not [path for path in cache.rglob("dream.onnx") if path.stat().st_size == 1500]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert not (cache / "bundles").exists()
    server.behave = lambda request, content: False
    server.asked.clear()
    assert pull(server, published)[0] == 0
    assert ("GET", "/mine/dream.onnx", "bytes=1500-") in server.asked
    assert models("verify", "test-bundle")[0] == 0


WRONG = {
    "another manifest": (
        lambda r, c: r.path.endswith("json") and r.answer(200, b'{"x": 1}') is None,
        "wrong checksum",
    ),
    "another graph": (
        lambda r, c: r.path.endswith("core.onnx") and r.answer(200, bytes(len(c))) is None,
        "core.onnx: wrong checksum",
    ),
    "a longer graph": (
        lambda r, c: r.path.endswith("core.onnx") and r.answer(200, c + b"x") is None,
        "were announced; nothing of it is kept",
    ),
    "a missing graph": (
        lambda r, c: r.path.endswith("core.onnx") and r.answer(404, b"") is None,
        "the server answered 404",
    ),
    "a manifest without end": (
        lambda r, c: r.path.endswith("json") and r.answer(200, b"{", length=1 << 40) is None,
        "at most 17179869184 may come",
    ),
    "elsewhere by http": (
        lambda r, c: r.path.endswith("core.onnx") and r.redirect("http://example.org/core.onnx") is None,
        "is not https",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_not_what_was_announced_is_one_line_and_no_bundle(server, published, cache, kind):
    server.behave, words = WRONG[kind]
    failed(pull(server, published), words)
    assert models("list")[1].count("\n") == 1 and not (cache / "bundles").exists()
    server.behave = lambda request, content: False
    assert pull(server, published)[0] == 0, "what was wrong is not in the way of what is right"


HOSTILE = {
    "a path that leaves": (
        lambda m: m["files"].update({"../x": {"size_bytes": 1, "sha256": "0" * 64}}),
        "leaves",
    ),
    "an absolute path": (
        lambda m: m["files"].update({"/tmp/x": {"size_bytes": 1, "sha256": "0" * 64}}),
        "leaves",
    ),
    "the manifest": (
        lambda m: m["files"].update({"./bundle.json": m["files"]["core.onnx"]}),
        "not written the short way",
    ),
    "our record": (lambda m: m["files"].update({".pulled.json": m["files"]["core.onnx"]}), "not its to list"),
    "a length below 0": (lambda m: m["files"]["core.onnx"].update(size_bytes=-1), "below 0"),
    "a length of petabytes": (lambda m: m["files"]["core.onnx"].update(size_bytes=1 << 50), "above"),
    "more than the disk holds": (
        lambda m: m["files"].update(
            {f"{i}": {"size_bytes": 1 << 34, "sha256": "0" * 64} for i in range(100)}
        ),
        "make room",
    ),
    "no checksum": (lambda m: m["files"]["core.onnx"].update(sha256="abc"), "no checksum"),
    "a file that is a folder": (
        lambda m: m["files"].update({"core.onnx/x": {"size_bytes": 1, "sha256": "0" * 64}}),
        "is a file and a folder",
    ),
    "a name that is a path": (lambda m: m.update(name="../x"), "no name of a bundle"),
    "no bundle": (lambda m: m.update(format="else"), "no REALM bundle"),
    "a newer format": (lambda m: m.update(format_version="2.0"), "update realm-engine"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_manifest_writes_nothing_anywhere(server, published, cache, tmp_path, kind):
    change, words = HOSTILE[kind]
    if kind == "more than the disk holds" and shutil.disk_usage(cache.parent).free > 100 << 34:
        pytest.skip("it would fit")
    edited(published, change)
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(cache)}
    failed(pull(server, published), words)
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(cache)} == before
    assert not (cache / "bundles").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["http://example.org/bundle.json", "--sha256", "0" * 64], "is not https"),
        (["http://192.168.1.1/bundle.json", "--sha256", "0" * 64], "is not https"),
        (["https://example.org/bundle.json"], "its checksum is missing"),
        (["https://example.org/bundle.json", "--sha256", "abc"], "not a checksum"),
        (["https://example.org/bundle.json#x", "--sha256", "0" * 64], "leave out what follows '#'"),
        (["https://me:secret@example.org/x", "--sha256", "0" * 64], "holds a name or password"),
        (["file:///etc/passwd", "--sha256", "0" * 64], "not an address"),
        (["somewhere"], "neither an address"),
        ([""], "neither an address"),
        (["hf:name"], "write hf:owner/name"),
        (["hf:owner/../name"], "write hf:owner/name"),
        (["hf:owner/name@"], "write hf:owner/name"),
        (["hf:owner/name@../../main"], "write hf:owner/name"),
        (["hf:owner/name", "--name", "../x"], "no name of a bundle"),
        (["hf:owner/name", "--name", "realm-tiny"], "a bundle called realm-tiny is here already"),
    ],
)
def test_what_cannot_be_pulled_is_one_line(cache, words, said):
    failed(models("pull", *words), said)
    assert "secret" not in models("pull", *words)[2]
