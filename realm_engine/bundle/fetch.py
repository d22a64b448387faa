"""The files of a bundle from where it is published, into an empty folder: the manifest, then all that it lists."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import quote, urljoin

from realm_engine.bundle.archive import MOST_ARCHIVE_BYTES, Archive
from realm_engine.bundle.bundle import MANIFEST, Bundle
from realm_engine.bundle.hub import HubFiles
from realm_engine.bundle.manifest import safe_relative
from realm_engine.bundle.source import HubSource, Source
from realm_engine.errors import BundleError, OutputError
from realm_engine.machine.download import Advance, Wanted, download
from realm_engine.machine.memory import format_bytes

RECORD = ".pulled.json"
"""What the store writes beside a manifest: where the bundle came from."""
_MOST_MANIFEST_BYTES = 4 << 20  # as in every host
_ROOM_BYTES = 64 << 20  # left free beside what is fetched


class _Files(Protocol):
    def fetch(self, relative: str, path: Path, wanted: Wanted, advance: Advance) -> None: ...


class _Addresses:
    """Files beside a manifest on a server."""

    def __init__(self, manifest_url: str) -> None:
        self._manifest_url = manifest_url

    def fetch(self, relative: str, path: Path, wanted: Wanted, advance: Advance) -> None:
        download(urljoin(self._manifest_url, "./" + quote(relative)), path, wanted, advance)


class _Archived:
    """Files in an archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def fetch(self, relative: str, path: Path, wanted: Wanted, advance: Advance) -> None:
        if path.is_file() and path.stat().st_size == wanted.size_bytes:  # of an earlier, interrupted pull
            return
        self._archive.extract(relative, path, wanted.size_bytes, wanted.exact)
        advance(wanted.size_bytes)


def fetch_bundle(
    source: Source,
    folder: Path,
    look: Callable[[Bundle], None],
    progress: Callable[[int], Advance],
) -> str | None:
    """Fill `folder`, whose earlier content is gone on with, and check every file. Returns the commit, of the hub.

    `look` sees the manifest before anything else is fetched, and may raise. `progress` makes, of the number of bytes to
    come, the function that hears of them. Raises RealmError.
    """
    content, first = folder / "bundle", folder / "download"
    try:
        content.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); set REALM_CACHE_DIR") from error
    with ExitStack() as stack:
        files = _open(source, content, first, stack, progress)
        bundle = Bundle.read(content)
        look(bundle)
        wanted = dict(_listed(bundle))
        total = sum(each.size_bytes for each in wanted.values())
        _check_room(content, total)
        advance = progress(total)
        for relative, each in wanted.items():
            path = content / relative
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise BundleError(
                    f"{source.words}: {relative!r} is a file and a folder ({error.strerror})"
                ) from error
            files.fetch(relative, path, each, advance)
    first.unlink(missing_ok=True)
    try:
        Bundle.open(content)
    except BundleError:
        shutil.rmtree(content, ignore_errors=True)  # else the next try would stumble over it again
        raise
    return files.commit if isinstance(files, HubFiles) else None


def _open(
    source: Source, content: Path, first: Path, stack: ExitStack, progress: Callable[[int], Advance]
) -> _Files:
    """Fetch the manifest, and return where the other files come from."""
    manifest = content / MANIFEST
    if isinstance(source, HubSource):
        hub = HubFiles(source)
        manifest.unlink(missing_ok=True)  # it is small, and may have become another
        hub.fetch(
            MANIFEST, manifest, Wanted(_MOST_MANIFEST_BYTES, source.sha256, exact=False), lambda count: None
        )
        return hub
    download(source.url, first, Wanted(MOST_ARCHIVE_BYTES, source.sha256, exact=False), progress(0))
    if _is_manifest(first):
        if first.stat().st_size > _MOST_MANIFEST_BYTES:
            raise BundleError(f"{source.words}: more than {format_bytes(_MOST_MANIFEST_BYTES)} of manifest")
        shutil.copyfile(first, manifest)
        return _Addresses(source.url)
    archive = stack.enter_context(Archive(first, MANIFEST))
    archive.extract(MANIFEST, manifest, _MOST_MANIFEST_BYTES, exact=False)
    return _Archived(archive)


def _is_manifest(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(256).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def _listed(bundle: Bundle) -> Iterator[tuple[str, Wanted]]:
    """The files of a manifest with what is to be fetched."""
    files = bundle.content.section("files")
    for relative, entry in files.section_items():
        safe_relative(relative, files.where)
        if str(PurePosixPath(relative)).casefold() in (MANIFEST, RECORD):
            raise BundleError(f"{files.where}: lists {relative!r}, which is not its to list; export it again")
        digest = str(entry.get("sha256", str)).lower()
        if re.fullmatch("[0-9a-f]{64}", digest) is None:
            raise BundleError(f"{entry.where}: 'sha256' is no checksum; export the bundle again")
        yield relative, Wanted(entry.whole("size_bytes", 0, MOST_ARCHIVE_BYTES), digest)


def _check_room(content: Path, total: int) -> None:
    free = shutil.disk_usage(content).free
    needed = total - sum(path.stat().st_size for path in content.rglob("*") if path.is_file())
    if needed > free - _ROOM_BYTES:
        raise OutputError(
            f"{content}: {format_bytes(needed)} are to be fetched and {format_bytes(free)} are free; make room, "
            "or set REALM_CACHE_DIR"
        )
