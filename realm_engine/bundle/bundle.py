"""Bundles: where they live, what is inside, and that nothing in them is damaged or unsafe."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from realm_engine.bundle.json_limits import MOST_BYTES, json_problem
from realm_engine.bundle.manifest import (
    GraphSpec,
    Section,
    check_name,
    check_version,
    parse_graphs,
    safe_relative,
)
from realm_engine.bundle.onnx_file import external_locations
from realm_engine.bundle.terms import Terms
from realm_engine.errors import BundleError
from realm_engine.machine.files import cache_dir, sha256_of

MANIFEST = "bundle.json"
EMBEDDED = Path(__file__).parents[1] / "bundles"


def installed_bundles() -> dict[str, Path]:
    """Bundles that can be opened by name: those in the package, then those in the cache folder."""
    found: dict[str, Path] = {}
    for home in (EMBEDDED, cache_dir() / "bundles"):
        if home.is_dir():
            for folder in sorted(home.iterdir()):
                if (folder / MANIFEST).is_file():
                    found.setdefault(folder.name, folder)
    return found


def find_bundle(name: str | os.PathLike[str]) -> Path:
    """Return the folder of a bundle: a directory, or the name of an embedded or cached bundle.

    A text without a path separator that does not begin with "." is a name and never a folder of the working directory,
    which would replace the models that everybody knows by that name; such a folder is "./NAME". A `Path` is a path.

    Raises BundleError for one that does not exist, naming those that do.
    """
    if isinstance(name, str) and is_remote(name):
        raise BundleError(
            f"bundle '{name}' is not on this machine; fetch it first: realm-engine models pull {name}"
        )
    if isinstance(name, str) and not _is_path(name):
        return _installed_bundle(name)
    folder = Path(name)
    if (folder / MANIFEST).is_file():
        return folder
    if folder.is_dir():
        raise BundleError(f"{folder}: no {MANIFEST} in this directory; give the folder that holds it")
    raise BundleError(f"bundle '{name}' not found; {_choices()}")


def is_remote(name: str) -> bool:
    """Whether a text says where to fetch a bundle: an address (https://...) or hf:owner/name."""
    return "://" in name or name.startswith("hf:")


def _is_path(name: str) -> bool:
    separators = [separator for separator in (os.sep, os.altsep) if separator]
    return name.startswith(".") or any(separator in name for separator in separators)


def _installed_bundle(name: str) -> Path:
    found = installed_bundles().get(name)
    if found is not None:
        return found
    if name and Path(name).is_dir():
        raise BundleError(f"bundle '{name}' not found; for the folder of that name here give ./{name}")
    raise BundleError(f"bundle '{name}' not found; {_choices()}")


def _choices() -> str:
    return f"give a directory or one of: {', '.join(installed_bundles()) or '(none installed)'}"


@dataclass(frozen=True)
class Part:
    """What of a bundle runs in one precision on one device: some graphs, the one that takes pixels last.

    The others (text towers) are a small share of the work and run in fp32 where the precision lacks them.
    """

    name: str
    graphs: tuple[str, ...]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: its folder, the checked manifest and its graphs. Measures and maps read their own sections.

    `terms`: of the weights of every graph.
    """

    root: Path
    content: Section
    graphs: Mapping[str, GraphSpec]
    terms: Mapping[str, Terms]

    @classmethod
    def open(cls, name_or_path: str | os.PathLike[str], verify: bool = True) -> Bundle:
        """Open and check a bundle.

        `verify` reads every file and compares its sha256; paths, sizes, version and the external
        data of every graph are checked regardless. Raises BundleError, one line, for the first fault.
        """
        bundle = cls.read(find_bundle(name_or_path))
        bundle._check_files(bundle.content.section("files"), verify)
        return bundle

    @classmethod
    def read(cls, root: Path) -> Bundle:
        """Read the manifest in a folder alone; the files may be elsewhere. Raises BundleError."""
        _check_inside(root / MANIFEST, root)
        content = _read_manifest(root / MANIFEST)
        later = check_version(content)
        check_name(content)
        graphs, stated = parse_graphs(content.section("graphs"), later), content.sections("graphs")
        whole = Terms.of_bundle(content.data)
        return cls(root, content, graphs, {name: Terms.parse(stated[name], whole) for name in graphs})

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The whole `bundle.json`."""
        return self.content.data

    @property
    def name(self) -> str:
        """Name in the manifest."""
        return str(self.manifest["name"])

    def file(self, relative: str) -> Path:
        """Path of a file that the manifest lists. Raises BundleError for any other."""
        if relative not in self.manifest["files"]:
            raise BundleError(
                f"{self.root}: the manifest does not list {relative!r}; export the bundle again"
            )
        return self.root / relative

    def path(self, graph: str, precision: str, device: str | None = None) -> Path:
        """ONNX file of a graph in a precision, that of a device where it has its own.

        Raises BundleError naming the precisions there are.
        """
        if graph not in self.graphs:
            raise BundleError(f"{self.name}: this bundle has no {graph}; it has {', '.join(self.graphs)}")
        variants = self.graphs[graph].variants
        if precision not in variants:
            raise BundleError(
                f"{self.name}: {graph} is not there in {precision}; this bundle has {', '.join(variants)}"
            )
        own = self.graphs[graph].devices.get(device or "", {})
        return self.file(own.get(precision, variants[precision]))

    def has(self, part: Part) -> bool:
        """Whether all graphs of a part are there."""
        return all(graph in self.graphs for graph in part.graphs)

    def precisions(self, part: Part) -> tuple[str, ...]:
        """Precisions of a part: the variants of the graph that takes its pixels; () where a graph is missing."""
        return tuple(self.graphs[part.graphs[-1]].variants) if self.has(part) else ()

    def recommended_for(self, device: str) -> str:
        """The precision that the manifest recommends on a device, else fp32."""
        table = self.manifest.get("recommended_precision")
        return str(table.get(device, "fp32")) if isinstance(table, Mapping) else "fp32"

    def _check_files(self, files: Section, verify: bool) -> None:
        for relative in files.data:
            safe_relative(relative, files.where)
            _check_file(self.root, relative, files.section(relative), verify)
        listed = set(files.data)
        used = {path for graph in self.graphs.values() for path in graph.files}
        for path in used:
            _check_external_data(self.file(path), self.root, listed)


def _read_manifest(path: Path) -> Section:
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise BundleError(f"{path}: more than {MOST_BYTES >> 20} MiB of text; export the bundle again")
        text = content.decode("utf-8")
        if (problem := json_problem(text)) is not None:
            raise BundleError(f"{path}: not valid JSON ({problem}); export the bundle again")
        return Section(json.loads(text, parse_constant=_refuse), str(path))
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise BundleError(f"{path}: not valid JSON ({error}); export the bundle again") from error


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _check_file(root: Path, relative: str, entry: Section, verify: bool) -> None:
    path = root / relative
    _check_inside(path, root)
    if not path.is_file():
        raise BundleError(f"{path}: is missing; get the bundle again")
    expected = int(entry.get("size_bytes", int))
    size = path.stat().st_size
    if size != expected:
        raise BundleError(f"{path}: has {size} bytes, the manifest says {expected}; get the bundle again")
    digest = str(entry.get("sha256", str))
    if verify:
        actual = sha256_of(path)
        if actual != digest.lower():
            raise BundleError(f"{path}: wrong checksum (sha256 is {actual}); get the bundle again")


def _check_inside(path: Path, root: Path) -> None:
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


def _check_external_data(path: Path, root: Path, listed: set[str]) -> None:
    """Refuse weights outside the file, except in a file that the manifest lists and we have checked."""
    try:
        locations = external_locations(path)
    except ValueError as error:
        raise BundleError(f"{path}: not a readable ONNX file ({error}); export the bundle again") from error
    for location in sorted(locations):
        relative = safe_relative(location, str(path))
        inside = (path.parent / relative).relative_to(root).as_posix()
        if inside not in listed:
            raise BundleError(
                f"{path}: keeps weights in {location!r}, which the manifest does not list; export it again"
            )
