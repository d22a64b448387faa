"""Files from https addresses: of the length and content announced, continued where a connection was cut."""

from __future__ import annotations

import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from realm_engine.errors import DownloadError, OutputError, UsageError
from realm_engine.machine.files import sha256_of, write_all
from realm_engine.machine.online import check_address, is_loopback

TIMEOUT_S = 30.0
_MOST_REDIRECTS = 5
_MOST_FRUITLESS = 4  # connections in a row that brought nothing
_CHUNK = 1 << 20

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Wanted:
    """A file to fetch.

    `size_bytes`: its length, or the most it may have where that is not `exact`. `sha256`: None where only the length
    is known. `headers`: for its own address, and for none that it leads to (a token).
    """

    size_bytes: int
    sha256: str | None
    exact: bool = True
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class _CutError(Exception):
    """The connection ended before the file did."""


class _WrongError(Exception):
    """What comes is not what was announced."""


def download(url: str, path: Path, wanted: Wanted, advance: Advance = lambda count: None) -> None:
    """Fetch a file into `path`, going on with what `path` holds already; it is whole and right afterwards.

    A connection that is cut is taken up again as long as each brings something. What is not what was announced is
    removed; what is merely incomplete stays for the next call. `advance` hears how many bytes came, less than 0 where
    they must come again. Addresses are https; one of this machine may be http and lead to others of this machine.

    Raises:
        UsageError: an address that is not asked.
        DownloadError: it cannot be had, or is not what was announced.
        OutputError: it cannot be written.
    """
    check_address(url)
    resumed = _size(path) > 0
    advance(_size(path))
    try:
        if not _is_whole(path, wanted):
            _fetch(url, path, wanted, advance)
        _check_content(path, wanted)
    except _WrongError as wrong:
        advance(-_size(path))
        path.unlink(missing_ok=True)
        if not resumed:
            raise DownloadError(f"{url}: {wrong}; nothing of it is kept") from wrong
        # The beginning was of another edition, or the server continued at another place: once more from the start.
        download(url, path, wanted, advance)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _is_whole(path: Path, wanted: Wanted) -> bool:
    if wanted.exact or wanted.sha256 is None:
        return wanted.exact and path.is_file() and _size(path) == wanted.size_bytes
    return path.is_file() and sha256_of(path) == wanted.sha256


def _check_content(path: Path, wanted: Wanted) -> None:
    if wanted.sha256 is not None and (actual := sha256_of(path)) != wanted.sha256:
        raise _WrongError(f"wrong checksum (sha256 is {actual}, not {wanted.sha256})")


def _fetch(url: str, path: Path, wanted: Wanted, advance: Advance) -> None:
    """Connect until the file is complete, or connections bring nothing any more."""
    opener = _opener(is_loopback(url))
    fruitless = 0
    while True:
        before = _size(path)
        try:
            _connect(opener, url, path, wanted, advance)
        except _CutError as cut:
            fruitless = 0 if _size(path) > before else fruitless + 1
            if fruitless == _MOST_FRUITLESS:
                words = f"{url}: {cut}, with {_size(path)} bytes there; the same command goes on from them"
                raise DownloadError(words) from cut
            time.sleep(0.1 * (4**fruitless - 1))
        else:
            return


def _connect(
    opener: urllib.request.OpenerDirector, url: str, path: Path, wanted: Wanted, advance: Advance
) -> None:
    """One connection: append to `path` what comes. Raises _CutError where that is not the whole rest."""
    start = _size(path)
    # Compressed, a length would be another's. No If-Range: the content is checked in the end.
    request = urllib.request.Request(
        url, headers={"Accept-Encoding": "identity", "User-Agent": "realm-engine"}
    )
    for name, value in wanted.headers.items():
        request.add_unredirected_header(name, value)
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            place = _announced(answer, start, wanted)
            if place.begin != start:
                advance(-start)
            _append(answer, path, place, advance)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # no such place: what is here is of something else
            raise _WrongError("it has no such length") from error
        if error.code in (429, 500, 502, 503, 504):
            raise _CutError(f"the server answered {error.code}") from error
        what = (
            "leads to no address that is asked"
            if 300 <= error.code < 400
            else f"the server answered {error.code}"
        )
        raise DownloadError(f"{url}: {what}; check the address") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLError):
            raise DownloadError(f"{url}: no safe connection ({error.reason})") from error
        raise _CutError(f"no connection ({error.reason})") from error
    except (TimeoutError, ConnectionError, http.client.IncompleteRead) as error:
        raise _CutError("the connection was cut") from error
    except http.client.HTTPException as error:
        raise DownloadError(f"{url}: no answer as HTTP has them ({type(error).__name__})") from error


@dataclass(frozen=True)
class _Place:
    """What an answer brings: the file from byte `begin` on, until it has at least and at most so many bytes."""

    begin: int
    least: int
    most: int


def _announced(answer: Any, start: int, wanted: Wanted) -> _Place:
    """What an answer says that it brings; refuses what cannot be the file."""
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise _WrongError("it comes compressed, which was not asked for")
    begin, length = 0, None
    if answer.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != start:
            raise _WrongError("the server continues at another place than it was asked to")
        begin, length = start, None if found[2] == "*" else int(found[2])
    elif (stated := answer.headers.get("Content-Length", "")).isdecimal():
        length = int(stated)
    if length is not None and (length > wanted.size_bytes or (wanted.exact and length != wanted.size_bytes)):
        words = (
            f"{wanted.size_bytes} were announced" if wanted.exact else f"at most {wanted.size_bytes} may come"
        )
        raise _WrongError(f"it has {length} bytes, {words}")
    if length is None:
        return _Place(begin, wanted.size_bytes if wanted.exact else 0, wanted.size_bytes)
    return _Place(begin, length, length)


def _append(answer: Any, path: Path, place: _Place, advance: Advance) -> None:
    """Write what comes."""
    at = place.begin
    try:
        stream = path.open("r+b" if at else "wb", buffering=0)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    with stream:
        stream.seek(at)
        while chunk := answer.read1(_CHUNK):
            at += len(chunk)
            if at > place.most:
                raise _WrongError(f"more than {place.most} bytes came")
            write_all(stream, chunk, path)
            advance(len(chunk))
    if at < place.least:
        raise _CutError("the connection was cut")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few, each to an address that may be asked."""

    max_redirections = _MOST_REDIRECTS
    max_repeats = _MOST_REDIRECTS

    def __init__(self, loopback: bool) -> None:
        self._loopback = loopback

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """See `urllib.request.HTTPRedirectHandler`; `newurl` is whole already."""
        try:
            check_address(newurl, self._loopback)
        except UsageError as error:
            raise DownloadError(f"{req.full_url}: leads to {error}") from error
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(loopback: bool) -> urllib.request.OpenerDirector:
    """What opens http and https alone, not files or ftp; this machine is asked directly, others as its proxies say."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler({} if loopback else None),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(loopback),
    ):
        opener.add_handler(handler)
    return opener
