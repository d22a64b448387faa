"""The files of a bundle in a zip or tar: read one by one, by the names of the manifest, never unpacked by its own."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from realm_engine.bundle.manifest import safe_relative
from realm_engine.errors import BundleError, OutputError
from realm_engine.machine.files import write_all

MOST_ARCHIVE_BYTES = 16 << 30
"""Of an archive, and of all that is in it."""
_MOST_MEMBERS = 10_000
_MOST_AT_ONCE = 16 << 20  # tarfile reads what a header announces in one piece: a name of gigabytes
_CHUNK = 1 << 20
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, lzma.LZMAError)
_UNPACKERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}


class Archive:
    """A zip, or a tar that may be compressed, opened for reading; a context manager.

    `manifest_name` is looked for at the top, else in the folder nearest to it; other files are named from there.
    Raises BundleError for what is damaged, or holds anything but files and folders of safe names.
    """

    def __init__(self, path: Path, manifest_name: str) -> None:
        self._path = path
        self._stack = ExitStack()
        self._members: dict[str, tuple[int, Callable[[], IO[bytes]]]] = {}
        try:
            with path.open("rb") as stream:
                head = stream.read(6)
            if head.startswith(b"PK"):
                self._read_zip()
            else:
                self._read_tar(
                    next((each for magic, each in _UNPACKERS.items() if head.startswith(magic)), Path.open)
                )
        except BundleError:
            self.close()
            raise
        except _DAMAGED as error:
            self.close()
            raise BundleError(f"{path.name}: not a readable zip or tar ({error}); get another") from error
        found = [name for name in map(PurePosixPath, self._members) if name.name == manifest_name]
        depth = min((len(name.parts) for name in found), default=0)
        nearest = [name for name in found if len(name.parts) == depth]
        if len(nearest) != 1:
            self.close()
            raise BundleError(
                f"{path.name}: holds {len(nearest) or 'no'} {manifest_name}; it must hold one bundle"
            )
        self._top = nearest[0].parent

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files beneath."""
        self._stack.close()

    def extract(self, relative: str, target: Path, most_bytes: int, exact: bool) -> None:
        """Write one file, of at most so many bytes, or of exactly so many. Raises BundleError, OutputError."""
        name = str(self._top / relative)
        if name not in self._members:
            raise BundleError(f"{self._path.name}: {relative} is missing in it; get another")
        size, open_member = self._members[name]
        if size > most_bytes or (exact and size != most_bytes):
            words = "" if exact else "at most "
            raise BundleError(
                f"{self._path.name}: {relative} has {size} bytes, {words}{most_bytes} were announced"
            )
        try:
            with open_member() as source:
                content = iter(lambda: source.read(min(_CHUNK, size + 1)), b"")
                _copy(content, target, size, f"{self._path.name}: {relative}")
        except _DAMAGED as error:
            raise BundleError(
                f"{self._path.name}: {relative} cannot be read ({error}); get another"
            ) from error

    def _read_zip(self) -> None:
        opened = self._stack.enter_context(zipfile.ZipFile(self._path))
        for info in opened.infolist():
            if info.is_dir():
                self._check_name(info.filename.rstrip("/") or "/")
                continue
            kind = info.external_attr >> 28  # of Unix; 0 where another system wrote it
            if kind not in (0, 8):
                raise self._refused(info.filename, "is no file")
            if info.flag_bits & 1:
                raise self._refused(info.filename, "is encrypted")
            self._add(info.filename, info.file_size, partial(opened.open, info))

    def _read_tar(self, unpack: Callable[..., Any]) -> None:
        plain = self._stack.enter_context(unpack(self._path, "rb"))
        opened = self._stack.enter_context(tarfile.TarFile(fileobj=_Careful(plain)))  # type: ignore[arg-type]
        total = count = 0
        while (member := opened.next()) is not None:
            count, total = count + 1, total + member.size
            if total > MOST_ARCHIVE_BYTES or count > 2 * _MOST_MEMBERS:
                raise BundleError(f"{self._path.name}: unpacks to more than a bundle may hold; do not use it")
            if member.isdir():
                self._check_name(member.name)
            elif not member.isreg() or member.issparse():
                raise self._refused(member.name, "is no file")
            else:
                self._add(member.name, member.size, partial(_opened, opened, member))

    def _check_name(self, name: str) -> str:
        return str(PurePosixPath(safe_relative(name, self._path.name))) if name != "." else name

    def _add(self, name: str, size: int, open_member: Callable[[], IO[bytes]]) -> None:
        plain = self._check_name(name)
        if plain in self._members:
            raise self._refused(name, "stands twice in it")
        if len(self._members) == _MOST_MEMBERS:
            raise BundleError(f"{self._path.name}: holds more than {_MOST_MEMBERS} files; do not use it")
        self._members[plain] = size, open_member

    def _refused(self, name: str, why: str) -> BundleError:
        return BundleError(f"{self._path.name}: {name!r} {why}; do not use an archive that asks for it")


class _Careful:
    """A stream that refuses to be read in pieces of any size."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MOST_AT_ONCE:
            raise ValueError("a header announces too much")
        return self._stream.read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        return self._stream.seek(position, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _opened(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(member)
    assert stream is not None  # it is a file
    return stream


def _copy(content: Iterable[bytes], target: Path, size: int, what: str) -> None:
    written = 0
    try:
        stream = target.open("wb", buffering=0)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror})") from error
    with stream:
        for chunk in content:
            written += len(chunk)
            if written > size:
                break
            write_all(stream, chunk, target)
    if written != size:
        raise BundleError(f"{what} is not as long as it says ({size} bytes); get another")
