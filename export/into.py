"""A bundle with more in it: its files as they are, and those of further parts. Knows no torch."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from export.bundle import MOST_IMAGES, Photographs, check_output, export_bundle, publish
from export.errors import ExportError
from export.files import Report, Work, write_files
from export.manifest import FORMAT_VERSION, BundleInfo, read_manifest, write_manifest
from export.parts.part import MeasureAlone, Part
from export.proof.limits import Tier, summary
from realm_engine.bundle.bundle import Bundle
from realm_engine.opened import Contents
from realm_engine.pictures.decode import load_image


def export_measures(
    output: Path,
    info: BundleInfo,
    parts: Sequence[Part],
    images: Sequence[Path],
    into: Path | str | None = None,
    overwrite: bool = False,
    report: Report = print,
) -> dict[str, Any]:
    """Write measures that need no torch into a bundle of their own, or `into` a copy of another; see `add_parts`."""
    if into is not None:
        return add_parts(into, output, info, parts, images, overwrite, report)
    return export_bundle(output, info, parts, Photographs(images), overwrite=overwrite, report=report)


def add_parts(
    bundle: Path | str,
    output: Path,
    info: BundleInfo,
    parts: Sequence[Part],
    images: Sequence[Path],
    overwrite: bool = False,
    report: Report = print,
) -> dict[str, Any]:
    """Write a bundle that is another one and has further parts, each proved; what was there stays byte for byte.

    A part that `replaces` takes the place of the measure of its name, if there is one.

    Args:
        bundle: Name or folder of what there is.
        output: Folder of the new bundle, which may be the old one with `overwrite`.
        info: Terms and metrics of the parts; its name, and its description if it has one, are the new bundle's.
        parts: Measures alone, in float32.
        images: Photographs to prove them on.
        overwrite: Replace a bundle at `output`.
        report: Receives one line per step.

    Returns:
        The manifest.

    Raises:
        ExportError: the bundle has such a measure or graph, or a part misses a gate.
        BundleError: it cannot be read.
    """
    source = Bundle.open(bundle)
    _check_new(source, parts)
    check_output(output, overwrite)
    pictures = [load_image(path) for path in images[:MOST_IMAGES]]
    if not pictures:
        raise ExportError("no photograph to verify the bundle on; give --verify-images DIR")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as temporary:
        folder = Path(temporary) / output.name
        shutil.copytree(source.root, folder)
        before = without_measures(
            folder, [name for part in parts if _replaces(part) for name in part.measures()]
        )
        added, _ = write_files(folder, info, parts, Work(), report)
        manifest = {**before, "format_version": FORMAT_VERSION, "name": info.name}
        manifest |= _terms(before, added, parts)
        manifest |= {"description": info.description} if info.description else {}
        manifest["graphs"] = dict(sorted({**before["graphs"], **added["graphs"]}.items()))
        manifest["measures"] = {**before.get("measures", {}), **added["measures"]}
        towers = {**before.get("towers", {}), **added.get("towers", {})}
        manifest |= {"towers": towers} if towers else {}
        write_manifest(folder, manifest)
        measured = {
            part.name: part.compare(folder, "fp32", pictures, part.expected(pictures), Tier.EXACT)
            for part in parts
        }
        report(f"verified fp32: {summary(measured)}")
        fidelity = dict(before.get("fidelity", {}))
        own = {"images": len(pictures), "runtime": f"ONNX Runtime {onnxruntime.__version__}"}
        fidelity["fp32"] = {**own, **fidelity.get("fp32", {}), **measured}
        manifest = write_manifest(folder, {**manifest, "fidelity": fidelity})
        Contents(Bundle.open(folder))
        publish(folder, output)
    size = sum(int(entry["size_bytes"]) for entry in manifest["files"].values())
    report(f"{output}: {size / 1e6:.1f} MB")
    return manifest


def _replaces(part: Part) -> bool:
    return isinstance(part, MeasureAlone) and part.replaces


def without_measures(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """The manifest of a bundle without measures of these names; files that were theirs alone are removed.

    A head's are its graph and its map's: its tower belongs to others as well.
    """
    manifest = read_manifest(folder)
    for name in names:
        gone = manifest.get("measures", {}).pop(name, None)
        if gone is None:
            continue
        for graph in (gone["graph"], gone.get("map", {}).get("graph")):
            entry = manifest["graphs"].pop(graph, None)
            for file in entry["variants"].values() if entry is not None else ():
                (folder / file).unlink()
        left = [*manifest["measures"].values(), *manifest["graphs"].values(), manifest]
        data = str(manifest.get("training_data", "")).split("; ")
        manifest["training_data"] = "; ".join(each for each in data if not each.startswith(f"{name}: "))
        text = gone["licence"].get("text")
        if text is not None and not any(each.get("licence", {}).get("text") == text for each in left):
            (folder / text).unlink()
    return manifest


def _check_new(source: Bundle, parts: Sequence[Part]) -> None:
    """Refuse what the bundle has already, and one of format 1.0, whose measures are not listed."""
    if "measures" not in source.manifest and "core" in source.graphs:
        raise ExportError(f"{source.root}: its measures are not listed, as of 1.1 on; export it again")
    for part in parts:
        if _replaces(part):
            continue
        for kind, there, names in (
            ("measure", source.manifest.get("measures", {}), part.measures()),
            ("graph", source.graphs, [graph.name for graph in part.graphs()]),
            ("file", source.manifest["files"], part.files()),
        ):
            for name in names:
                if name in there:
                    raise ExportError(
                        f"{source.root}: has a {kind} {name} already; leave it out, or choose another name"
                    )


def _terms(before: Mapping[str, Any], added: Mapping[str, Any], parts: Sequence[Part]) -> dict[str, Any]:
    """The terms of the whole: those of before, unless only what is added may not be used commercially."""
    licence = before.get("licence", added["licence"])
    if licence.get("commercial_use") and not added["licence"]["commercial_use"]:
        licence = added["licence"]
    data = [str(before.get("training_data", "not stated"))]
    data += [
        f"{name}: {added['measures'][name]['training_data']}" for part in parts for name in part.measures()
    ]
    return {"licence": licence, "training_data": "; ".join(data)}
