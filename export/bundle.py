"""Write a bundle: export, store, describe, prove, publish. Nothing is left behind where any step fails."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from export.calibration import calibration_pictures, core_study, dream_study
from export.clip_model import ClipModel
from export.clip_text import clip_text_export
from export.core import CoreSource, core_export, core_section, core_text_export, text_features
from export.dream import dream_export
from export.errors import ExportError
from export.graph import GraphExport, serialize, tidy, to_onnx
from export.half import to_half
from export.int8 import Study, to_int8
from export.manifest import (
    FORMAT,
    FORMAT_VERSION,
    BundleInfo,
    dream_section,
    graph_entry,
    onnx_metadata,
    write_manifest,
)
from export.shared_text import shared_text_export
from export.verify import clip_texts, verify
from export.weights import store
from realm_engine.bundle import MANIFEST, Bundle
from realm_engine.fidelity import MAP_IMAGES, make_trial

PRECISIONS = ("fp32", "fp16", "int8")
Report = Callable[[str], None]


@dataclass(frozen=True)
class GraphFile:
    """One ONNX file to write and the manifest's graphs that it serves."""

    stem: str
    export: GraphExport
    entries: Mapping[str, GraphExport]
    config: Mapping[str, Any]


def export_bundle(
    output: Path,
    info: BundleInfo,
    core: CoreSource | None,
    clip: ClipModel | None,
    images: Sequence[Path],
    precisions: Sequence[str] = ("fp32",),
    storage: str = "fp32",
    overwrite: bool = False,
    report: Report = print,
    calibration: Path | None = None,
    int8_parts: Sequence[str] = ("core", "dream"),
) -> dict[str, Any]:
    """Export CORE, DREAM or both as a bundle and prove it against PyTorch.

    Args:
        output: Folder of the bundle; appears only when everything has passed.
        info: Name, licence, metrics, presets.
        core: CORE, or None.
        clip: CLIP, or None.
        images: Photographs to compare on.
        precisions: "fp32", "fp16", "int8". int8 is compared with fp32 and needs it too.
        storage: How fp32 files keep their weights (`export.weights.STORAGES`).
        overwrite: Replace an existing bundle.
        report: Receives one line per step.
        calibration: Folder of the photographs that int8 is calibrated on; needed for int8 alone.
        int8_parts: Parts that get an int8 variant; the other runs its fp32 file.

    Returns:
        The manifest.

    Raises:
        ExportError: nothing to export, the output is taken, or the bundle misses a gate.
    """
    if core is None and clip is None:
        raise ExportError("nothing to export; give --core, --clip or both")
    if "int8" in precisions and "fp32" not in precisions:
        raise ExportError("int8 is compared with fp32; give --precision fp32 too")
    check_output(output, overwrite)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as temporary:
        folder = Path(temporary) / output.name
        folder.mkdir(mode=0o755)
        studies: dict[str, Study] = {}
        if "int8" in precisions:
            quantised = (core if "core" in int8_parts else None, clip if "dream" in int8_parts else None)
            studies = _studies(info, *quantised, images, calibration)
        manifest = _write(folder, info, core, clip, precisions, storage, report, studies)
        write_manifest(folder, manifest)
        fidelity = verify(folder, core, clip, images, precisions, storage, report)
        for precision, made in manifest["fidelity"].items():
            fidelity[precision] |= made
        manifest["fidelity"] = fidelity
        manifest = write_manifest(folder, manifest)
        size = sum(path.stat().st_size for path in folder.rglob("*"))
        Bundle.open(folder)
        _publish(folder, output)
    report(f"{output}: {size / 1e6:.1f} MB")
    return manifest


def check_output(output: Path, overwrite: bool) -> None:
    """Refuse an output that is taken, before any work.

    Raises:
        ExportError: the path exists and is not a bundle that may be replaced.
    """
    if not output.exists():
        return
    if not (output / MANIFEST).is_file() and not (output.is_dir() and not any(output.iterdir())):
        raise ExportError(f"{output} exists and is not a bundle; give another --output")
    if (output / MANIFEST).is_file() and not overwrite:
        raise ExportError(f"{output} exists; give --overwrite to replace it, or another --output")


def _write(
    folder: Path,
    info: BundleInfo,
    core: CoreSource | None,
    clip: ClipModel | None,
    precisions: Sequence[str],
    storage: str,
    report: Report,
    studies: Mapping[str, Study],
) -> dict[str, Any]:
    sections = _sections(folder, info, core, clip)
    graphs: dict[str, Any] = {}
    quantised: dict[str, Any] = {}
    for file in _files(core, clip, sections):
        report(f"exporting {file.stem}")
        master = tidy(to_onnx(file.export))
        variants: dict[str, str] = {}
        for precision in precisions:
            path = f"{file.stem}.onnx" if precision == "fp32" else f"{file.stem}.{precision}.onnx"
            if precision != "int8":
                variant = _variant(master, precision, storage, file.stem)
            elif file.stem in studies:
                made = to_int8(ir.to_proto(master), studies[file.stem], file.stem, report)
                quantised[file.stem] = made.record()
                variant = ir.from_proto(made.model)
                store(variant, "fp32" if storage == "fp32" else "fp16", file.stem)  # what stayed float
            else:
                continue  # text: embedded once per text, and the engine uses its fp32 file
            metadata = onnx_metadata(",".join(sorted(file.entries)), info.name, file.config)
            (folder / path).write_bytes(serialize(variant, metadata))
            variants[precision] = path
        for name, entry in file.entries.items():
            graphs[name] = graph_entry(entry, variants)
    licence = {"weights": info.licence, "commercial_use": info.commercial_use}
    if info.licence_file is not None:
        shutil.copyfile(info.licence_file, folder / "LICENSE-WEIGHTS.md")
        licence["text"] = "LICENSE-WEIGHTS.md"
    if info.phrases is not None and clip is not None:
        shutil.copyfile(info.phrases, folder / "phrases.json")
    labels = {part.weights for part in (core, clip) if part is not None}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": info.name,
        "description": info.description,
        "licence": licence,
        "training_data": info.training_data,
        "weights": labels.pop() if len(labels) == 1 else "; ".join(_part_labels(core, clip)),
        "metrics": dict(info.metrics),
        "graphs": dict(sorted(graphs.items())),
        "fidelity": {"int8": {"graphs": quantised}} if quantised else {},
        **sections,
    }


def _studies(
    info: BundleInfo,
    core: CoreSource | None,
    clip: ClipModel | None,
    images: Sequence[Path],
    calibration: Path | None,
) -> dict[str, Study]:
    """Calibration inputs of the graphs that get an int8 variant, by file."""
    if calibration is None:
        raise ExportError("int8 is calibrated on photographs; give --calibration-images DIR")
    if core is None and clip is None:
        raise ExportError("int8: the part that it is for is not exported; leave --int8-part out")
    trial = make_trial(images)
    pictures = calibration_pictures(calibration, trial.paths, trial.paths[:MAP_IMAGES])
    studies = {}
    if core is not None:
        features = torch.cat([text_features(core, text) for text in trial.texts]).numpy()
        studies["core"] = core_study(core, pictures, features)
    if clip is not None:
        sizes = {size for preset in info.all_presets.values() for size in preset["windows_px"]}
        texts = torch.nn.functional.normalize(clip_texts(clip, trial.texts), dim=-1).numpy()
        studies["dream"] = dream_study(
            pictures, sorted(sizes), clip.image_size_px, clip.interpolation, texts.astype(np.float32)
        )
    return studies


def _variant(master: ir.Model, precision: str, storage: str, stem: str) -> ir.Model:
    copy = ir.from_proto(ir.to_proto(master))
    if precision == "fp16":
        return to_half(copy)[0]
    store(copy, storage, stem)
    return copy


def _sections(
    folder: Path, info: BundleInfo, core: CoreSource | None, clip: ClipModel | None
) -> dict[str, dict[str, Any]]:
    """The "core" and "dream" objects; writes the tokenizers, one file where both are equal."""
    tokenizers = {}
    if core is not None:
        tokenizers["core"] = core.tokenizer_json
    if clip is not None:
        tokenizers["clip"] = clip.tokenizer_json
    one = len(tokenizers) == 2 and len(set(tokenizers.values())) == 1
    names = {part: "tokenizer.json" if one else f"{part}_tokenizer.json" for part in tokenizers}
    for part, text in tokenizers.items():
        (folder / names[part]).write_text(text, encoding="utf-8")
    sections = {}
    if core is not None:
        sections["core"] = core_section(core, names["core"])
    if clip is not None:
        sections["dream"] = dream_section(clip, names["clip"], info)
    return sections


def _files(
    core: CoreSource | None, clip: ClipModel | None, sections: Mapping[str, Mapping[str, Any]]
) -> list[GraphFile]:
    shared = shared_text_export(core, clip) if core is not None and clip is not None else None
    files = []
    if shared is not None and core is not None and clip is not None:
        entries = {"core_text": core_text_export(core), "clip_text": clip_text_export(clip)}
        files.append(GraphFile("text", shared, entries, sections))
    if core is not None:
        if shared is None:
            files.append(_own(core_text_export(core), {"core": sections["core"]}))
        files.append(_own(core_export(core), {"core": sections["core"]}))
    if clip is not None:
        if shared is None:
            files.append(_own(clip_text_export(clip), {"dream": sections["dream"]}))
        files.append(_own(dream_export(clip), {"dream": sections["dream"]}))
    return files


def _own(graph: GraphExport, config: Mapping[str, Any]) -> GraphFile:
    """A file that holds one graph; its `realm.config` is that part's section alone."""
    (section,) = config.values()
    return GraphFile(graph.name, graph, {graph.name: graph}, section)


def _part_labels(core: CoreSource | None, clip: ClipModel | None) -> list[str]:
    labels = [f"core: {core.weights}"] if core is not None else []
    return labels + ([f"clip: {clip.weights}"] if clip is not None else [])


def _publish(folder: Path, output: Path) -> None:
    """Move a finished bundle to its place; an old one is only gone once the new one is there."""
    if not output.exists():
        folder.rename(output)
        return
    aside = folder.with_name(f"{output.name}.old")
    output.rename(aside)
    try:
        folder.rename(output)
    except OSError:
        aside.rename(output)
        raise
