"""Bundles: where they live, what is inside, and that nothing in them is damaged or unsafe."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realm_engine.bundle.checked_files import CheckedFiles, check_inside
from realm_engine.bundle.json_file import read_json
from realm_engine.bundle.manifest import GraphSpec, Section, check_name, check_version, parse_graphs
from realm_engine.bundle.terms import Terms
from realm_engine.errors import BundleError, did_you_mean
from realm_engine.machine.files import cache_dir

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
    hint = did_you_mean(name, installed_bundles())
    raise BundleError(f"bundle '{name}' not found{hint or f'; {_choices()}'}")


def _choices() -> str:
    return f"give a directory or one of: {', '.join(installed_bundles()) or '(none installed)'}"


@dataclass(frozen=True)
class Part:
    """What of a bundle runs in one precision on one device: some graphs, the one that takes pixels last.

    The others (text towers) are a small share of the work and run in fp32 where the precision lacks them.
    `float32_alone`: it counts pixels rather than weighs them, which is done in fp32 whatever the others run in.
    """

    name: str
    graphs: tuple[str, ...]
    float32_alone: bool = False


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: its folder, the checked manifest and its graphs. Measures and maps read their own sections.

    `terms`: of the weights of every graph. `files`: those that the manifest lists, and whether they were checked.
    """

    root: Path
    content: Section
    graphs: Mapping[str, GraphSpec]
    terms: Mapping[str, Terms]
    files: CheckedFiles

    @classmethod
    def open(cls, name_or_path: str | os.PathLike[str], verify: bool = True) -> Bundle:
        """Open and check a bundle.

        `verify` reads every file and compares its sha256; paths, sizes, version and the external
        data of every graph are checked regardless. Raises BundleError, one line, for the first fault.
        """
        bundle = cls.read(find_bundle(name_or_path))
        used = {path for graph in bundle.graphs.values() for path in graph.files}
        bundle.files.check(used, digests=verify)
        return bundle

    @classmethod
    def read(cls, root: Path) -> Bundle:
        """Read the manifest in a folder alone; the files may be elsewhere. Raises BundleError."""
        path = root / MANIFEST
        check_inside(path, root)
        content = Section(read_json(path), str(path))
        later = check_version(content)
        check_name(content)
        graphs, stated = parse_graphs(content.section("graphs"), later), content.sections("graphs")
        whole = Terms.of_bundle(content.data)
        terms = {name: Terms.parse(stated[name], whole) for name in graphs}
        return cls(root, content, graphs, terms, CheckedFiles(root, content.section("files")))

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
        return self.files.path(relative)

    def path(self, graph: str, precision: str, device: str | None = None) -> Path:
        """Path of `graph_file`. Raises BundleError as that."""
        return self.file(self.graph_file(graph, precision, device))

    def graph_file(self, graph: str, precision: str, device: str | None = None) -> str:
        """ONNX file of a graph in a precision, that of a device where it has its own, as the manifest lists it.

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
        return own.get(precision, variants[precision])

    def sha256(self, graph: str) -> str:
        """What the manifest says of a graph's fp32 file, by which heads know their tower. Raises BundleError."""
        file = self.graph_file(graph, "fp32")
        return self.content.section("files").section(file).text("sha256")

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
