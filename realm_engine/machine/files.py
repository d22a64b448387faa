"""Files that are complete or not there at all, their digests, and the folder of what can be made again."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from realm_engine.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PARTIAL = ".partial"
"""Ending of a file that is being written; one that is left over belongs to a process that died."""
DEAD_AFTER_S = 3600.0
_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_MOST_LINKS = 40


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new, empty file beside `path` that takes its place when the block ends well, else is removed.

    Where `path` is a link, what it leads to is replaced, or made: the link stays. The new file's name is short whatever
    `path` is called, and no other process or thread gets the same. Its content is on the disk before it takes the
    place, and it gets the permissions of what was there. Raises OSError.
    """
    path = followed(path)
    if is_stream(path):
        raise OSError(errno.EINVAL, "is a pipe or a device, no file")
    temporary = _temporary(path.parent)
    try:  # from here on: an interrupt right after the file was made would leave it
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        with suppress(OSError):
            temporary.chmod(stat.S_IMODE(path.stat().st_mode))
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _temporary(folder: Path) -> Path:
    """A name that nothing else in a folder has, and that `sweep` knows."""
    return folder / f".{secrets.token_hex(8)}{PARTIAL}"


def write_atomically(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file, given whole or in parts, all of it or nothing; into a pipe it is written as it comes.

    Raises OutputError: the disk is full, the folder went away...
    """
    parts = [content] if isinstance(content, bytes) else content
    try:
        if is_stream(path):
            with open_stream(path) as stream:
                stream.writelines(parts)
            return
        with replacing(path) as temporary, temporary.open("wb") as stream:
            stream.writelines(parts)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error


def write_all(stream: IO[bytes], content: bytes, path: Path) -> None:
    """Write to an unbuffered file, `path`, which may take a part at a time. Raises OutputError."""
    try:
        while content:
            content = content[stream.write(content) :]
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); make room and try again") from error


def followed(path: Path) -> Path:
    """Where a link leads, through however many others; the path itself where it is none. Nothing need be there.

    Raises OSError where they lead round in a circle.
    """
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return target


def is_stream(path: Path) -> bool:
    """Whether what is written to `path` is gone at once, and nothing can be replaced: a pipe, a device, /dev/stdout."""
    if _descriptor(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def open_stream(path: Path) -> IO[bytes]:
    """Open what `is_stream` for writing; a pipe waits for who reads it.

    An open file of this process is not opened once more, which would empty what `>> FILE` adds to. Raises OSError.
    """
    descriptor = _descriptor(path)
    if descriptor == 1:
        # The command line keeps standard output elsewhere, so that a library's prints do not get into results.
        with suppress(AttributeError, OSError, ValueError):
            descriptor = sys.stdout.fileno()
    return path.open("wb") if descriptor is None else os.fdopen(os.dup(descriptor), "wb")


def _descriptor(path: Path) -> int | None:
    """Which open file of this process a path names, as /dev/stdout and `>(...)` do."""
    for _ in range(_MOST_LINKS):
        name = os.path.normpath(path.absolute())
        found = re.fullmatch(rf"/(?:dev|proc/(?:self|thread-self|{os.getpid()}))/fd/([0-9]+)", name)
        if found is not None:
            return int(found[1])
        if name in _STANDARD:
            return _STANDARD[name]
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return None


def hold(stream: IO[Any]) -> None:
    """Hold an open file until it is closed, also by the death of the process, for others to see (`is_held`).

    Where the system has no such locks (Windows), or the file system none, nothing is held.
    """
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_held(path: Path) -> bool:
    """Whether somebody holds a file (`hold`)."""
    if fcntl is None:
        return False
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # it is not there, or the file system knows no locks
        return False
    return False


def check_folder(folder: Path) -> None:
    """Create `folder` with its parents and prove that a file can be made in it. Sweeps it (`sweep`).

    Raises:
        OutputError: it cannot.
    """
    probe = _temporary(folder)
    try:
        followed(folder).mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written ({error.strerror or error}); choose another output"
        ) from error
    sweep(folder)


def sweep(folder: Path) -> None:
    """Remove what `replacing` left over when its process died: files that nobody has written to for an hour."""
    long_ago = time.time() - DEAD_AFTER_S
    with suppress(OSError):
        for path in folder.glob(f".*{PARTIAL}"):
            if re.fullmatch(r"\.[0-9a-f]{16}", path.name.removesuffix(PARTIAL)):
                with suppress(OSError):
                    if path.stat().st_mtime < long_ago:
                        path.unlink()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class Stamp:
    """What a file system says of a regular file: who rewrites it, or puts another in its place, changes this.

    `changed_ns` is set by the system and cannot be set back.
    """

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> Stamp | None:
        """That of the file at a path, links followed; None where no regular file is. Raises OSError."""
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def cache_dir() -> Path:
    """Folder of what REALM can rebuild: `REALM_CACHE_DIR`, else the platform's cache folder."""
    configured = os.environ.get("REALM_CACHE_DIR")
    if configured:
        return Path(configured).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("realm"))
