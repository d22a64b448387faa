"""Files that are complete or not there at all, their digests, and the folder of what can be made again."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new, empty file beside `path` that takes its place when the block ends well, else is removed.

    Its name is short whatever `path` is called, and no other process or thread gets the same. Its content is
    on the disk before it takes the place. Raises OSError.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}{PARTIAL}")
    try:  # from here on: an interrupt right after the file was made would leave it
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file, given whole or in parts, all of it or nothing.

    Raises OutputError: the disk is full, the folder went away...
    """
    try:
        with replacing(path) as temporary, temporary.open("wb") as stream:
            stream.writelines([content] if isinstance(content, bytes) else content)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error


def write_all(stream: IO[bytes], content: bytes, path: Path) -> None:
    """Write to an unbuffered file, `path`, which may take a part at a time. Raises OutputError."""
    try:
        while content:
            content = content[stream.write(content) :]
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); make room and try again") from error


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
    probe = folder / f".realm-probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
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


def cache_dir() -> Path:
    """Folder of what REALM can rebuild: `REALM_CACHE_DIR`, else the platform's cache folder."""
    configured = os.environ.get("REALM_CACHE_DIR")
    if configured:
        return Path(configured).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("realm"))
