"""Engine plans on disk: written whole or not at all, shared by processes, held to a size, removed when damaged.

A plan is a cache, never a release. Beside `<name>.plan` lies its record, `<name>.json`; a plan without it is nobody's.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from realm_engine.errors import DeviceError, OutputError, UsageError
from realm_engine.machine.files import PARTIAL, cache_dir, followed, replacing, sweep
from realm_engine.machine.memory import format_bytes, parse_bytes
from realm_engine.runtimes.tensorrt.plan_record import (
    EngineKey,
    Entry,
    explain_change,
    read_entry,
    record_text,
)

log = logging.getLogger("realm_engine")

DEFAULT_LIMIT_BYTES = 8 << 30
LIMIT_VARIABLE = "REALM_ENGINE_CACHE_SIZE"
# Something half-written that is older than this was left behind by a process that died.
_LEFT_BEHIND_SECONDS = 3600.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """A serialised engine; `path` is None where it could not be kept. `built`: not taken from the cache."""

    data: bytes
    path: Path | None
    built: bool


class EngineCache:
    """The folder of engine plans; by default `engines` in REALM's cache folder."""

    def __init__(
        self, folder: Path | None = None, limit_bytes: int | None = None, say: Say = log.warning
    ) -> None:
        self.folder = folder or cache_dir() / "engines"
        self.limit_bytes = limit_bytes if limit_bytes is not None else default_limit()
        self._say = say

    # ------------------------------------------------------------------ use

    def plan(self, key: EngineKey, build: Callable[[], bytes], for_this_gpu: bool = True) -> Plan:
        """The plan of a key, from the cache or built; other processes that want it wait meanwhile.

        A file that is damaged or not ours is named, removed and built anew. A cache that cannot be written
        is a warning, and the plan is built for this process alone. `for_this_gpu` False: engines for other
        architectures do not count as older engines of this one. Raises what `build` raises.
        """
        found = self._read(key)
        if found is not None:
            return found
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            sweep(self.folder)
            with self._locked(key):
                return self._read(key) or self._build(key, build, for_this_gpu)
        except OSError as error:
            self._say(
                f"{self.folder}: cannot be written ({_reason(error)}), so this engine is not kept and will be "
                "built again next time; set REALM_CACHE_DIR to a folder that can"
            )
        return Plan(build(), None, built=True)

    def _build(self, key: EngineKey, build: Callable[[], bytes], for_this_gpu: bool) -> Plan:
        """With the lock held: remove what is wrong, say what changed, build and keep."""
        self._remove_wrong(key)
        change = explain_change(key, self.entries(), for_this_gpu)
        if change is not None:
            self._say(change)
        started = time.monotonic()
        try:
            data = build()
        except OSError as error:  # nothing of ours: not to be taken for a cache that cannot be written
            raise DeviceError(f"{key.model}: cannot be built ({_reason(error)})") from error
        try:
            path = self._store(key, data, time.monotonic() - started)
        except OSError as error:
            self._say(
                f"{self.folder}: the engine of {key.model} cannot be kept ({_reason(error)}) and will be built "
                "again next time; realm-engine cache prune makes room, or set REALM_CACHE_DIR"
            )
            return Plan(data, None, built=True)
        try:
            self._shrink(self.limit_bytes, keep=path)
        except OSError as error:  # the new engine is kept all the same
            self._say(
                f"{error.filename or self.folder}: cannot be removed ({_reason(error)}), so the engines take "
                f"more than {format_bytes(self.limit_bytes)}; remove it, or set {LIMIT_VARIABLE}"
            )
        return Plan(data, path, built=True)

    def holds(self, key: EngineKey) -> bool:
        """Whether a plan of this key is there, going by its record."""
        entry = read_entry(self._path(key))
        return entry is not None and entry.key == key

    def forget(self, key: EngineKey, why: str) -> None:
        """Remove the plan of a key, saying why."""
        path = self._path(key)
        if path.exists():
            self._say(f"{path}: {why}; removed, to be built again")
        self._remove(path)

    # ----------------------------------------------------------------- list

    def entries(self) -> list[Entry]:
        """Every plan that is ours, the last used first."""
        found = [entry for path in self._glob("*.plan") if (entry := read_entry(path)) is not None]
        return sorted(found, key=lambda entry: -entry.used)

    def foreign(self) -> list[Path]:
        """Files that belong to no plan: damaged, left behind, or somebody else's."""
        known = {path for entry in self.entries() for path in (entry.path, entry.sidecar)}
        ours = {".lock", ".timing", ".jit"}
        return [path for path in self._glob("*") if path not in known and path.suffix not in ours]

    def prune(self, max_bytes: int | None = None) -> list[Path]:
        """Remove what belongs to no plan, then the plans used longest ago until the rest fits.

        Returns what was removed. Raises OutputError when something cannot be removed.
        """
        limit = self.limit_bytes if max_bytes is None else max_bytes
        removed = []
        try:
            for path in self.foreign():
                if path.is_file() and self._remove_foreign(path):
                    removed.append(path)
            removed += self._shrink(limit)
            if limit == 0:
                for path in [*self._glob("*.timing"), *self._glob("*.jit")]:
                    path.unlink(missing_ok=True)
                    removed.append(path)
            self._remove_locks()
        except OSError as error:
            raise OutputError(
                f"{error.filename or self.folder}: cannot be removed ({_reason(error)})"
            ) from error
        return removed

    def size_bytes(self) -> int:
        """What the plans take together."""
        return sum(entry.size_bytes for entry in self.entries())

    # ---------------------------------------------------------------- blobs

    def read_blob(self, name: str) -> bytes:
        """What was kept under a name (a timing cache, a runtime cache); b"" for nothing."""
        try:
            return (self.folder / name).read_bytes()
        except OSError:
            return b""

    def keep_blob(self, name: str, data: bytes) -> None:
        """Keep bytes under a name; where that is not possible they are not kept, which costs time only."""
        if not data:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(self.folder / name, data)
        except OSError as error:
            log.debug("%s: not kept (%s)", name, _reason(error))

    # ------------------------------------------------------------- internal

    def _read(self, key: EngineKey) -> Plan | None:
        path = self._path(key)
        entry = read_entry(path)
        if entry is None or entry.key != key:
            return None
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            return None
        with suppress(OSError):  # a read-only cache serves as well
            os.utime(path)
        return Plan(data, path, built=False)

    def _remove_wrong(self, key: EngineKey) -> None:
        """What lies where the plan of a key belongs could not be read: name it and remove it."""
        path = self._path(key)
        if not path.exists():
            path.with_suffix(".json").unlink(missing_ok=True)
            return
        entry = read_entry(path)
        if entry is None:
            why = "has no record of what it is"
        elif entry.key != key:
            why = "is the engine of something else"
        else:
            why = "is damaged (wrong checksum)"
        self.forget(key, why)

    def _store(self, key: EngineKey, data: bytes, seconds: float) -> Path:
        path = self._path(key)
        record = record_text(key, data, seconds)
        try:
            _write(path, data)
            _write(path.with_suffix(".json"), record.encode())
        except OSError:
            self._remove(path)
            raise
        return path

    def _shrink(self, limit_bytes: int, keep: Path | None = None) -> list[Path]:
        """Remove the plans used longest ago until the rest fits."""
        entries = [entry for entry in self.entries() if entry.path != keep]
        total = self.size_bytes()
        removed = []
        while entries and total > limit_bytes:
            entry = entries.pop()
            total -= entry.size_bytes
            self._remove(entry.path)
            removed.append(entry.path)
        return removed

    def _remove(self, path: Path) -> None:
        for each in (path, path.with_suffix(".json")):
            with suppress(FileNotFoundError):
                each.unlink()

    @contextmanager
    def _locked(self, key: EngineKey) -> Iterator[None]:
        """Hold the lock of a key; whoever has to wait for it says so."""
        lock = FileLock(self._lock_path(key))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            self._say(f"{key.model}: another process is building this engine; waiting for it")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _remove_locks(self) -> None:
        for path in self._glob("*.lock"):
            with suppress(Timeout), FileLock(path, blocking=False):
                path.unlink(missing_ok=True)

    def _remove_foreign(self, path: Path) -> bool:
        """Remove a file that belongs to no plan, unless it is being written; whether it was removed."""
        if path.suffix == PARTIAL:
            return _remove_left_behind(path)
        if path.suffix not in (".plan", ".json"):
            path.unlink(missing_ok=True)
            return True
        # Whoever builds holds the lock from before the plan until after its record.
        try:
            with FileLock(path.with_suffix(".lock"), blocking=False):
                if read_entry(path.with_suffix(".plan")) is not None:  # complete by now
                    return False
                path.unlink(missing_ok=True)
                return True
        except Timeout:
            return False

    def _path(self, key: EngineKey) -> Path:
        return self.folder / f"{key.stem}.plan"

    def _lock_path(self, key: EngineKey) -> Path:
        return self.folder / f"{key.stem}.lock"

    def _glob(self, pattern: str) -> Iterator[Path]:
        return iter(sorted(self.folder.glob(pattern))) if self.folder.is_dir() else iter(())


def default_limit() -> int:
    """REALM_ENGINE_CACHE_SIZE ("8G"), else 8 GiB. Raises UsageError for what is no size."""
    given = os.environ.get(LIMIT_VARIABLE)
    return parse_limit(given) if given else DEFAULT_LIMIT_BYTES


def parse_limit(text: str) -> int:
    """Bytes of "2G"; "0" is nothing at all. Raises UsageError for what is no size."""
    if text.strip() == "0":
        return 0
    try:
        return parse_bytes(text)
    except UsageError as error:
        raise UsageError(f"{error} (or 0)") from error


def write_plan(folder: Path, key: EngineKey, plan: Plan) -> Path:
    """Put a plan and its record into another folder. Raises OutputError when it cannot be written."""
    target = EngineCache(folder)
    try:
        followed(folder).mkdir(parents=True, exist_ok=True)
        sweep(folder)
        return target._store(key, plan.data, 0.0)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({_reason(error)}); give another --output") from error


def _write(path: Path, data: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _remove_left_behind(path: Path) -> bool:
    """Remove what a process that died was writing; False where one may be writing it at this moment."""
    try:
        if time.time() - path.stat().st_mtime < _LEFT_BEHIND_SECONDS:
            return False
        path.unlink()
    except FileNotFoundError:  # it was complete just now
        return False
    return True


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
