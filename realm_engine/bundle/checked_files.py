"""The files of a bundle: whether each is there, undamaged and inside, and still the same when it is used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from realm_engine.bundle.manifest import MOST_FILES, Section, safe_relative, shown
from realm_engine.bundle.onnx_file import external_locations, refuse_operators
from realm_engine.errors import BundleError
from realm_engine.machine.files import Stamp, sha256_of

MOST_BYTES = 64 << 30  # of all files: what is read to the end at every start


class CheckedFiles:
    """The files that a manifest lists, and which of them were read and found to be what it says.

    A file is read again only where its place, size or times have changed since.
    """

    def __init__(self, root: Path, entries: Section) -> None:
        """`entries`: the section "files". Raises BundleError for paths that leave the folder, and for too many."""
        self._root = root
        self._entries = entries
        self._stamps: dict[str, Stamp] = {}
        self._beside: dict[str, tuple[str, ...]] = {}
        if len(entries.data) > MOST_FILES:
            raise BundleError(
                f"{entries.where}: lists {len(entries.data)} files, more than {MOST_FILES}; export the bundle again"
            )
        for relative in entries.data:
            safe_relative(relative, entries.where)
            if PurePosixPath(relative).as_posix() != relative:  # one file under many names
                raise BundleError(
                    f"{entries.where}: the path {shown(relative)} is not written the short way; export the bundle again"
                )

    def check(self, graphs: Iterable[str], digests: bool) -> None:
        """Check every file, and those that hold graphs for what they ask of a runtime. Raises BundleError.

        `digests`: read all of them and compare the checksums.
        """
        if self.size_bytes > MOST_BYTES:
            raise BundleError(
                f"{self._entries.where}: {self.size_bytes} bytes, more than {MOST_BYTES}; do not use this bundle"
            )
        for relative in self._entries.data:
            self._check(relative, digests)
        for relative in sorted(set(graphs)):
            self._check_graph(self.path(relative), relative)

    @property
    def size_bytes(self) -> int:
        """Of all files together, as the manifest says. Raises BundleError where it does not."""
        return sum(self._size(relative) for relative in self._entries.data)

    def path(self, relative: str) -> Path:
        """Path of a file that the manifest lists. Raises BundleError for any other."""
        if relative not in self._entries.data:
            raise BundleError(
                f"{self._root}: the manifest does not list {shown(relative)}; export the bundle again"
            )
        return self._root / relative

    def content(self, relative: str) -> bytes:
        """The content of a file, read once: what is returned is what was checked. Raises BundleError."""
        path = self.path(relative)
        self._check(relative, digests=False)
        try:
            with path.open("rb") as stream:
                content = stream.read(self._size(relative) + 1)
        except OSError as error:
            raise BundleError(f"{path}: cannot be read ({error.strerror}); get the bundle again") from error
        self._compare(path, relative, hashlib.sha256(content).hexdigest())
        return content

    def check_again(self, graph: str) -> None:
        """Make sure that a graph, and the files that hold its weights, are still what the manifest says.

        Called before and after a runtime opens them: what it has opened was then what was checked. Raises BundleError.
        """
        for relative in (graph, *self._beside.get(graph, ())):
            path = self.path(relative)
            if Stamp.of(path) != self._stamps.get(relative):
                self._check(relative, digests=True)
                if relative == graph:
                    self._check_graph(path, graph)

    def _size(self, relative: str) -> int:
        return self._entries.section(relative).whole("size_bytes", 0, 1 << 62)

    def _check(self, relative: str, digests: bool) -> None:
        path, expected = self._root / relative, self._size(relative)
        try:
            check_inside(path, self._root)
            stamp = Stamp.of(path)
        except (OSError, ValueError) as error:  # a name that no system has
            why = error.strerror if isinstance(error, OSError) else type(error).__name__
            raise BundleError(f"{path}: cannot be a file ({why}); get the bundle again") from error
        if stamp is None:
            raise BundleError(f"{path}: is missing; get the bundle again")
        if stamp.size != expected:
            raise BundleError(
                f"{path}: has {stamp.size} bytes, the manifest says {expected}; get the bundle again"
            )
        self._digest(relative)
        if digests:
            try:
                actual = sha256_of(path)
            except OSError as error:
                raise BundleError(
                    f"{path}: cannot be read ({error.strerror}); get the bundle again"
                ) from error
            self._compare(path, relative, actual)
            self._stamps[relative] = stamp  # taken before it was read

    def _compare(self, path: Path, relative: str, actual: str) -> None:
        if actual != self._digest(relative):
            raise BundleError(f"{path}: wrong checksum (sha256 is {actual}); get the bundle again")

    def _digest(self, relative: str) -> str:
        return str(self._entries.section(relative).get("sha256", str)).lower()

    def _check_graph(self, path: Path, relative: str) -> None:
        """Refuse operators that no bundle needs, and weights outside the file, except in a file that is listed."""
        try:
            refuse_operators(path)
            locations = external_locations(path)
        except ValueError as error:
            raise BundleError(
                f"{path}: not a readable ONNX file ({error}); export the bundle again"
            ) from error
        beside = []
        for location in sorted(locations):
            inside = (path.parent / safe_relative(location, str(path))).relative_to(self._root).as_posix()
            if inside not in self._entries.data:
                raise BundleError(
                    f"{path}: keeps weights in {shown(location)}, which the manifest does not list; export it again"
                )
            beside.append(inside)
        self._beside[relative] = tuple(beside)


def check_inside(path: Path, root: Path) -> None:
    """Refuse a file that lies elsewhere, links followed; a model hub's cache may keep it in a folder of its own."""
    home = root.resolve()
    try:
        target = path.resolve()
    except (OSError, RuntimeError) as error:  # a link to itself
        raise BundleError(f"{path}: is a link that leads nowhere; get the bundle again") from error
    if not any(target.is_relative_to(folder) for folder in (home, *_blob_folders(home))):
        raise BundleError(f"{path}: is a link that leaves the bundle; do not use a bundle that asks for it")


def _blob_folders(home: Path) -> Iterator[Path]:
    """Where a model hub's cache keeps the files of a snapshot, links to which are all that the snapshot holds.

    Of `models--owner--name/snapshots/REVISION` (or a folder in it): `models--owner--name/blobs`, and `blobs` beside all
    models, to which new versions link from there. `home` has no links in it, and one called `blobs` is not followed.
    """
    for folder in (home, *home.parents):
        if folder.parent.name == "snapshots":
            model = folder.parent.parent
            yield model / "blobs"
            if model.name.startswith("models--"):
                yield model.parent / "blobs"
            return
