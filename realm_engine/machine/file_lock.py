"""A lock between processes: one file, held by one of them, released by the system when it ends or dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SECONDS_BETWEEN_TRIES = 0.2


def try_lock(path: Path) -> int | None:
    """Take the lock, without waiting: its file descriptor, or None where another process holds it.

    Raises OSError where the folder cannot be written or the file system has no locks.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _lock(descriptor):
                os.close(descriptor)
                return None
            if _still_there(descriptor, path):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
                return descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the one who held it removed the file: what we locked is nobody's


def unlock(descriptor: int) -> None:
    """Release a lock of `try_lock`."""
    os.close(descriptor)


@contextmanager
def locked(path: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock. `waiting` is called once, with the other process's id, where one has to wait.

    The file is removed at the end, where that is possible. Raises OSError as `try_lock` does.
    """
    descriptor = try_lock(path)
    if descriptor is None:
        waiting(_holder(path))
        while descriptor is None:
            time.sleep(_SECONDS_BETWEEN_TRIES)
            descriptor = try_lock(path)
    try:
        yield
    finally:
        with suppress(OSError):  # while it is held: whoever opened it meanwhile finds out and starts again
            path.unlink()
        unlock(descriptor)


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip() or "unknown"
    except (OSError, ValueError):
        return "unknown"


def _still_there(descriptor: int, path: Path) -> bool:
    if sys.platform == "win32":
        return True  # an open file cannot be removed there
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True
else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
