"""Files from addresses, against a server that misbehaves in every way: right and whole, or one line."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from fake_server import serving

from realm_engine.errors import DownloadError, RealmError, UsageError
from realm_engine.machine import download as module
from realm_engine.machine.download import Wanted, download
from realm_engine.machine.online import OFFLINE_VARIABLE, check_address, is_offline

CONTENT = random.Random(0).randbytes(300_000)


def wanted(content: bytes = CONTENT, **more) -> Wanted:
    return Wanted(len(content), hashlib.sha256(content).hexdigest(), **more)


@pytest.fixture
def server(tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "file").write_bytes(CONTENT)
    with serving(tmp_path / "www") as running:
        yield running


@pytest.fixture
def target(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    return tmp_path / "target"


def refused(match: str, *arguments: object, error: type[RealmError] = DownloadError) -> None:
    with pytest.raises(error, match=match) as caught:
        download(*arguments)
    assert "\n" not in str(caught.value)


def test_a_file_comes_whole_and_counts_its_bytes(server, target):
    counts: list[int] = []
    download(f"{server.url}/file", target, wanted(), counts.append)
    assert target.read_bytes() == CONTENT and sum(counts) == len(CONTENT)


def test_what_is_there_is_not_asked_for_again(server, target):
    target.write_bytes(CONTENT)
    download(f"{server.url}/file", target, wanted())
    download(f"{server.url}/file", target, Wanted(1 << 30, wanted().sha256, exact=False))
    assert server.asked == []


@pytest.mark.parametrize("exact", [True, False])
def test_a_beginning_is_continued(server, target, exact):
    target.write_bytes(CONTENT[:1000])
    size = len(CONTENT) if exact else 1 << 30
    download(f"{server.url}/file", target, Wanted(size, wanted().sha256, exact))
    assert target.read_bytes() == CONTENT
    assert server.asked == [("GET", "/file", "bytes=1000-")]


@pytest.mark.parametrize("beginning", [b"x" * 1000, b"x" * len(CONTENT), CONTENT + b"x"])
@pytest.mark.parametrize("exact", [True, False])
def test_a_beginning_of_something_else_is_fetched_anew(server, target, beginning, exact):
    target.write_bytes(beginning)
    counts: list[int] = []
    download(
        f"{server.url}/file", target, Wanted(len(CONTENT) + exact * 0, wanted().sha256, exact), counts.append
    )
    assert target.read_bytes() == CONTENT and sum(counts) == len(CONTENT)


def test_cut_connections_are_taken_up_where_they_ended(server, target):
    def cut(request, content):
        start = int((request.headers.get("Range") or "bytes=0-")[6:-1])
        rest = content[start:]
        status, headers = (200, {}) if not start else (206, {})
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        request.answer(status, rest[:70_000], headers, length=len(rest))
        return True

    server.behave = cut
    download(f"{server.url}/file", target, wanted())
    assert target.read_bytes() == CONTENT
    assert [each for _, _, each in server.asked] == [
        None,
        "bytes=70000-",
        "bytes=140000-",
        "bytes=210000-",
        "bytes=280000-",
    ]


def test_a_server_that_knows_no_ranges_starts_from_the_beginning(server, target):
    server.behave = lambda request, content: request.answer(200, content) is None
    target.write_bytes(CONTENT[:1000])
    download(f"{server.url}/file", target, wanted())
    assert target.read_bytes() == CONTENT


def test_a_server_that_always_cuts_at_the_same_place_is_given_up_and_the_beginning_kept(server, target):
    server.behave = lambda request, content: request.answer(200, content[:500], length=len(content)) is None
    refused("was cut, with 500 bytes there; the same command goes on", f"{server.url}/file", target, wanted())
    assert len(server.asked) < 8 and target.read_bytes() == CONTENT[:500]
    server.behave = lambda request, content: False
    download(f"{server.url}/file", target, wanted())
    assert target.read_bytes() == CONTENT


def chunked(request, content: bytes) -> bool:
    """An answer that does not say how long it is."""
    request.send_response(200)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    for start in range(0, len(content), 50_000):
        chunk = content[start : start + 50_000]
        request.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
    request.wfile.write(b"0\r\n\r\n")
    return True


def test_an_answer_of_unknown_length_is_taken_and_bounded(server, target):
    server.behave = chunked
    download(f"{server.url}/file", target, Wanted(1 << 30, wanted().sha256, exact=False))
    assert target.read_bytes() == CONTENT
    target.unlink()
    too_small = Wanted(100_000, wanted().sha256, exact=False)
    refused("more than 100000 bytes came; nothing of it is kept", f"{server.url}/file", target, too_small)
    assert not target.exists()


WRONG = {
    "other content": (lambda r, c: r.answer(200, bytes(len(c))) is None, "wrong checksum"),
    "longer": (lambda r, c: r.answer(200, c + b"x") is None, "has 300001 bytes, 300000 were announced"),
    "shorter": (lambda r, c: r.answer(200, c[:-1]) is None, "has 299999 bytes, 300000 were announced"),
    "longer than it says": (lambda r, c: chunked(r, c + b"more"), "more than 300000 bytes came"),
    "compressed": (lambda r, c: r.answer(200, c, {"Content-Encoding": "gzip"}) is None, "comes compressed"),
    "gone": (lambda r, c: r.answer(404, b"") is None, "the server answered 404"),
    "forbidden": (lambda r, c: r.answer(403, b"") is None, "the server answered 403"),
    "overloaded": (lambda r, c: r.answer(503, b"") is None, "the server answered 503"),
    "no HTTP": (lambda r, c: r.wfile.write(b"hello\r\n\r\n") > 0, "no answer as HTTP has them|was cut"),
    "in a circle": (lambda r, c: r.redirect(r.path) is None, "leads to no address that is asked"),
    "to a file": (lambda r, c: r.redirect("file:///etc/passwd") is None, "leads to no address that is asked"),
    "to ftp": (lambda r, c: r.redirect("ftp://127.0.0.1/x") is None, "leads to .*is not https"),
    "to http elsewhere": (
        lambda r, c: r.redirect("http://example.org/x") is None,
        "leads to http://example.org/x: is not https",
    ),
    "to a name like ours": (
        lambda r, c: r.redirect("http://127.0.0.1.example.org/x") is None,
        "leads to http://127.0.0.1.example.org/x: is not https",
    ),
    "with a password": (
        lambda r, c: r.redirect("https://me:secret@example.org/x") is None,
        "holds a name or password",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_not_what_was_announced_is_one_line_and_nothing_is_kept(server, target, kind):
    server.behave, words = WRONG[kind]
    refused(words, f"{server.url}/file", target, wanted())
    assert not target.exists() or target.stat().st_size == 0


@pytest.mark.parametrize("answer", ["bytes 7-299999/300000", "bytes 0-299999/300000", "nonsense", ""])
def test_a_server_that_continues_at_another_place_is_not_believed(server, target, answer):
    def lie(request, content):
        if not request.headers.get("Range"):
            return False
        request.answer(206, content[1000:], {"Content-Range": answer})
        return True

    server.behave = lie
    target.write_bytes(CONTENT[:1000])
    download(f"{server.url}/file", target, wanted())
    assert target.read_bytes() == CONTENT


def test_a_redirect_to_a_good_address_is_followed_without_what_is_secret(server, target):
    server.behave = lambda request, content: request.path == "/old" and request.redirect("/file") is None
    download(f"{server.url}/old", target, wanted(headers={"Authorization": "Bearer secret"}))
    assert target.read_bytes() == CONTENT
    assert [each.get("Authorization") for each in server.headers_seen] == ["Bearer secret", None]


def test_an_address_where_nobody_answers(target):
    refused("no connection", "http://127.0.0.1:1/file", target, wanted())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.org/x", "is not https"),
        ("http://127.0.0.1.example.org/x", "is not https"),
        ("http://localhost.example.org/x", "is not https"),
        ("http://10.0.0.1/x", "is not https"),
        ("http://0.0.0.0/x", "is not https"),
        ("ftp://127.0.0.1/x", "is not https"),
        ("file:///etc/passwd", "not an address"),
        ("https:///x", "not an address"),
        ("https://example.org/a b", "not an address"),
        ("https://example.org/\nx", "not an address"),
        ("https://example.org:port/x", "not an address"),
        ("https://[::1/x", "not an address"),
        ("https://me:secret@example.org/x", "holds a name or password"),
        ("https://exämple.org/x", "not an address"),
    ],
)
def test_addresses_that_are_not_asked(target, url, words):
    refused(words, url, target, wanted(), error=UsageError)
    assert not target.exists()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]/x", "https://a.b/c?d=e"]
)
def test_addresses_that_are_asked(url):
    check_address(url)


def test_https_leads_to_no_http_not_even_of_this_machine():
    with pytest.raises(UsageError, match="is not https"):
        check_address("http://127.0.0.1/x", loopback=False)


@pytest.mark.parametrize(
    ("value", "offline"),
    [("1", True), ("yes", True), ("", False), ("0", False), ("False", False), ("no", False)],
)
def test_the_variable_that_keeps_offline(monkeypatch, value, offline):
    monkeypatch.setenv(OFFLINE_VARIABLE, value)
    assert is_offline() is offline
