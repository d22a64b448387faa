"""The files of a bundle: every graph in every precision, tokenizers, and what the manifest says of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import onnx_ir as ir

from export.graph.activations import largest_values
from export.graph.half import Float32Node, Half, to_half
from export.graph.int8 import Feeds, Study, to_int8
from export.graph.to_onnx import GraphExport, serialize, tidy, to_onnx
from export.graph.weights import store
from export.manifest import FORMAT, FORMAT_VERSION, BundleInfo, dream_section, graph_entry, onnx_metadata
from export.parts.core import CoreSource, core_export, core_section, core_text_export
from export.parts.dream import dream_export
from export.towers.clip_model import ClipModel
from export.towers.clip_text import clip_text_export
from export.towers.shared_text import shared_text_export

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
HALVES = ("fp16", "bf16")
Report = Callable[[str], None]


@dataclass(frozen=True)
class GraphFile:
    """One ONNX file to write and the manifest's graphs that it serves."""

    stem: str
    export: GraphExport
    entries: Mapping[str, GraphExport]
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Work:
    """What to make of each graph.

    Attributes:
        precisions: Variants to write.
        storage: How fp32 files keep their weights.
        studies: Calibration of the files that get an int8 variant.
        int8_for: See `export.graph.int8`.
        probes: Real inputs of a file, to see which values float16 could not hold; a file without any is
            converted by its operators alone.
    """

    precisions: Sequence[str] = ("fp32",)
    storage: str = "fp32"
    studies: Mapping[str, Study] = field(default_factory=dict)
    int8_for: str = "cpu"
    probes: Mapping[str, Sequence[Feeds]] = field(default_factory=dict)


def write_files(
    folder: Path,
    info: BundleInfo,
    core: CoreSource | None,
    clip: ClipModel | None,
    work: Work,
    report: Report,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the graphs and tokenizers of a bundle, without proof.

    Returns:
        The manifest's content, and per half precision and file the nodes that stay float32.
    """
    sections = _sections(folder, info, core, clip)
    graphs: dict[str, Any] = {}
    made: dict[str, Any] = {}
    stayed: dict[str, Any] = {}
    for file in _files(core, clip, sections):
        report(f"exporting {file.stem}")
        master = tidy(to_onnx(file.export))
        probes = work.probes.get(file.stem, ())
        largest = largest_values(ir.to_proto(master), probes) if probes else {}
        variants: dict[str, str] = {}
        for precision in work.precisions:
            variant, record, float32 = _variant(file.stem, master, precision, work, largest, report)
            if variant is None:
                continue  # a text tower in int8: embedded once per text, and the engine uses its fp32 file
            if record:
                made.setdefault(precision, {"graphs": {}})["graphs"][file.stem] = record
            if precision in HALVES:
                stayed.setdefault(precision, {})[file.stem] = [asdict(node) for node in float32]
            path = f"{file.stem}.onnx" if precision == "fp32" else f"{file.stem}.{precision}.onnx"
            metadata = onnx_metadata(",".join(sorted(file.entries)), info.name, file.config)
            (folder / path).write_bytes(serialize(variant, metadata))
            variants[precision] = path
        for name, entry in file.entries.items():
            graphs[name] = graph_entry(entry, variants)
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": info.name,
        "description": info.description,
        "licence": _extras(folder, info, clip),
        "training_data": info.training_data,
        "weights": _weights_label(core, clip),
        "metrics": dict(info.metrics),
        "graphs": dict(sorted(graphs.items())),
        "fidelity": made,
        **sections,
    }
    return manifest, stayed


def _variant(
    stem: str,
    master: ir.Model,
    precision: str,
    work: Work,
    largest: Mapping[str, float],
    report: Report,
) -> tuple[ir.Model | None, dict[str, Any], Sequence[Float32Node]]:
    """One precision of a graph: the model (None where there is none), its record, what stays float32 in it."""
    if precision in HALVES:
        half = to_half(master, precision, largest)
        report(_half_line(stem, half))
        return half.model, half.record(), half.float32
    if precision == "int8":
        if stem not in work.studies:
            return None, {}, ()
        quantised = to_int8(ir.to_proto(master), work.studies[stem], stem, report, work.int8_for)
        model = ir.from_proto(quantised.model)
        store(model, "fp32" if work.storage == "fp32" else "fp16", stem)  # what stayed float
        return model, quantised.record(), ()
    model = ir.from_proto(ir.to_proto(master))
    store(model, work.storage, stem)
    return model, {}, ()


def _extras(folder: Path, info: BundleInfo, clip: ClipModel | None) -> dict[str, Any]:
    """Copy the licence and the phrase bank; returns the manifest's "licence"."""
    licence: dict[str, Any] = {"weights": info.licence, "commercial_use": info.commercial_use}
    if info.licence_file is not None:
        shutil.copyfile(info.licence_file, folder / "LICENSE-WEIGHTS.md")
        licence["text"] = "LICENSE-WEIGHTS.md"
    if info.phrases is not None and clip is not None:
        shutil.copyfile(info.phrases, folder / "phrases.json")
    return licence


def _half_line(stem: str, half: Half) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in half.reasons().items())
    return f"{stem} {half.precision}: {half.converted} nodes in half precision; in float32: {reasons}"


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


def _weights_label(core: CoreSource | None, clip: ClipModel | None) -> str:
    parts = {name: part.weights for name, part in (("core", core), ("clip", clip)) if part is not None}
    labels = set(parts.values())
    return (
        labels.pop() if len(labels) == 1 else "; ".join(f"{name}: {label}" for name, label in parts.items())
    )
