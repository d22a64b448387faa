"""Bundles from elsewhere on this machine: fetched once, whole or not at all, each in a folder of its name.

bundles/NAME/                  complete bundles, opened by name; .pulled.json says where one came from
pulls/KEY/, pulls/KEY.lock     what is under way, or was when its process died: the next pull goes on with it
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from realm_engine.bundle.bundle import EMBEDDED, MANIFEST, Bundle, installed_bundles
from realm_engine.bundle.fetch import RECORD, fetch_bundle
from realm_engine.bundle.manifest import NAME_RULE, is_bundle_name
from realm_engine.bundle.source import HubSource, Source
from realm_engine.errors import BundleError, OutputError, UsageError
from realm_engine.machine.download import Advance
from realm_engine.machine.files import cache_dir, sha256_of
from realm_engine.machine.online import refuse_offline

ABANDONED_AFTER_S = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Pulled:
    """What is known of a bundle that was fetched.

    `sha256`: of its manifest. `pin`: the checksum that was asked for, which may be of an archive. `commit`: of the hub.
    """

    source: str
    pin: str | None
    commit: str | None
    sha256: str
    date: str

    def is_of(self, source: Source) -> bool:
        """Whether it is what `source` asks for; a branch or tag means what it meant when it was fetched."""
        if source.sha256 is not None and source.sha256 in (self.sha256, self.pin):
            return True
        if source.sha256 is not None or not isinstance(source, HubSource):
            return False
        repository = self.source.partition("@")[0]
        same = repository == source.words.partition("@")[0]
        return self.source == source.words or (same and source.is_commit and self.commit == source.revision)


@dataclass(frozen=True)
class Stored:
    """A bundle that can be opened by name; `pulled`: None where it was not fetched by the store."""

    name: str
    path: Path
    embedded: bool
    pulled: Pulled | None

    @property
    def size_bytes(self) -> int:
        """What its files take."""
        return sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file())


def stored_bundles() -> list[Stored]:
    """Every bundle that has a name."""
    return [
        Stored(name, path, path.parent == EMBEDDED, _read_record(path))
        for name, path in installed_bundles().items()
    ]


class BundleStore:
    """The folders `bundles` and `pulls` of REALM's cache folder. `say` hears what a person should know."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.folder = cache_dir() / "bundles"
        self._pulls = cache_dir() / "pulls"
        self._say = say

    def pull(self, source: Source, name: str | None, progress: Callable[[int], Advance]) -> Stored:
        """The bundle that `source` means: the one that is here, else fetched. Called `name`, else as its manifest says.

        `progress` makes, of a number of bytes to come (0: unknown), the function that hears of them.

        Raises:
            OfflineError: it would have to be fetched, and nothing may be.
            DownloadError, BundleError: it cannot be had, or is not what was announced.
            UsageError: its name is taken, or no name.
            OutputError: it cannot be kept.
        """
        if name is not None and not is_bundle_name(name):
            raise UsageError(f"--name {name!r}: no name of a bundle; it has {NAME_RULE}")
        if (found := self._here(source, name)) is not None:
            return found
        refuse_offline(source.words, "realm-engine models list shows what is here")
        if name is not None:
            self._check_free(name)
        with self._working_on(source) as folder:
            if (found := self._here(source, name)) is not None:  # another process fetched it meanwhile
                return found

            def look(bundle: Bundle) -> None:
                self._check_free(name or bundle.name)

            commit = fetch_bundle(source, folder, look, progress)
            return self._keep(folder / "bundle", source, name, commit)

    def remove(self, name: str) -> Path:
        """Remove a bundle that is not part of the package, at once for whoever looks. Returns where it was."""
        found = _named(name)
        if found.embedded:
            raise UsageError(f"{name}: is part of the package and cannot be removed")
        try:
            if found.path.is_symlink():
                found.path.unlink()
                return found.path
            self._pulls.mkdir(parents=True, exist_ok=True)
            waste = self._pulls / f"removed-{os.getpid()}-{name}"
            found.path.rename(waste)
            shutil.rmtree(waste)
        except OSError as error:
            raise OutputError(f"{found.path}: cannot be removed ({error.strerror})") from error
        return found.path

    def _here(self, source: Source, name: str | None) -> Stored | None:
        for each in stored_bundles():
            if each.pulled is not None and each.pulled.is_of(source) and name in (None, each.name):
                return each
        return None

    def _check_free(self, name: str) -> None:
        if name in installed_bundles() or (self.folder / name).exists():
            embedded = (EMBEDDED / name).is_dir()
            cure = "" if embedded else f", or realm-engine models remove {name}"
            raise UsageError(f"a bundle called {name} is here already; give this one a --name{cure}")

    def _keep(self, content: Path, source: Source, name: str | None, commit: str | None) -> Stored:
        """Give a complete bundle its name, in one step."""
        name = name or Bundle.read(content).name
        today = datetime.now(UTC).date().isoformat()
        pulled = Pulled(source.words, source.sha256, commit, sha256_of(content / MANIFEST), today)
        target = self.folder / name
        try:
            (content / RECORD).write_text(json.dumps(vars(pulled), indent=2) + "\n", encoding="utf-8")
            _to_disk(content)
            self.folder.mkdir(parents=True, exist_ok=True)
            self._check_free(name)
            content.rename(target)
        except OSError as error:
            raise OutputError(f"{target}: cannot be written ({error.strerror})") from error
        return Stored(name, target, False, pulled)

    @contextmanager
    def _working_on(self, source: Source) -> Iterator[Path]:
        """The folder of a pull, which no other process has meanwhile; it is gone when the block ends well."""
        key = hashlib.sha256(f"{source.words}\n{source.sha256}".encode()).hexdigest()[:16]
        folder = self._pulls / key
        try:
            self._pulls.mkdir(parents=True, exist_ok=True)
            self._sweep(key)
            lock = FileLock(self._pulls / f"{key}.lock")
            try:
                lock.acquire(blocking=False)
            except Timeout:
                self._say(f"{source.words}: another process is fetching it; waiting for it")
                lock.acquire()
        except OSError as error:
            raise OutputError(
                f"{self._pulls}: cannot be written ({error.strerror}); set REALM_CACHE_DIR"
            ) from error
        try:
            yield folder
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            lock.release()

    def _sweep(self, but: str) -> None:
        """Remove what pulls left behind that nobody went on with for a week, and what removals left."""
        long_ago = time.time() - ABANDONED_AFTER_S
        for path in list(self._pulls.iterdir()):
            with suppress(OSError, Timeout):
                if path.name.startswith("removed-"):
                    shutil.rmtree(path)
                elif path.suffix == ".lock" and path.stem != but:
                    folder = path.with_suffix("")
                    if max(each.stat().st_mtime for each in (path, *folder.rglob("*"))) < long_ago:
                        with FileLock(path, blocking=False):
                            shutil.rmtree(folder, ignore_errors=True)
                            path.unlink()


def check_stored(name: str) -> str:
    """Read every file of a bundle and compare it with its manifest, the manifest with what was fetched.

    Returns what was found to be well. Raises BundleError.
    """
    found = _named(name)
    bundle = Bundle.open(found.path)
    if found.pulled is not None and sha256_of(found.path / MANIFEST) != found.pulled.sha256:
        raise BundleError(
            f"{found.path / MANIFEST}: is another than was fetched; remove it and pull it again"
        )
    whence = f", fetched {found.pulled.date} from {found.pulled.source}" if found.pulled is not None else ""
    return f"{len(bundle.manifest['files'])} files match their sha256{whence}"


def _named(name: str) -> Stored:
    for each in stored_bundles():
        if each.name == name:
            return each
    raise BundleError(f"bundle '{name}' not found; realm-engine models list shows those that are here")


def _read_record(folder: Path) -> Pulled | None:
    try:
        return Pulled(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # not ours, or damaged: a bundle all the same
        return None


def _to_disk(folder: Path) -> None:
    """Have the system write what it still holds, so that a crash right afterwards leaves a whole bundle."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as stream:
                os.fsync(stream.fileno())
