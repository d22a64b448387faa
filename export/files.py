"""The files of a bundle: every graph in every precision, tokenizers, and what the manifest says of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from export.errors import ExportError
from export.graph.model import Graph, serialize
from export.graph.shared import sharing
from export.manifest import (
    FORMAT,
    FORMAT_VERSION,
    BundleInfo,
    graph_entry,
    onnx_metadata,
)
from export.parts.part import Part, plain_name
from export.terms import write_terms

if TYPE_CHECKING:
    import onnx_ir as ir

    from export.graph.half import Float32Node, Half
    from export.graph.int8 import Feeds, Study
    from export.towers.shared_text import TextGraph

HALVES = ("fp16", "bf16")
Report = Callable[[str], None]


@dataclass(frozen=True)
class Variants:
    """Which files there are of each graph.

    Attributes:
        precisions: Of `export.graph.model.PRECISIONS`. bf16 and int8 are compared with fp32 and need it too.
        storage: How fp32 files keep their weights (`export.graph.weights.STORAGES`).
        int8_parts: Names of the parts that get an int8 variant, the others run their fp32 file; None for all.
        int8_for: "cpu", or "tensorrt", which takes zero points of zero alone (`export.graph.int8`).
        fused_for: Devices that get files of their own in fp16, of ONNX Runtime's operators (`export.graph.fused`).
    """

    precisions: tuple[str, ...] = ("fp32",)
    storage: str = "fp32"
    int8_parts: tuple[str, ...] | None = None
    int8_for: str = "cpu"
    fused_for: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.fused_for and not {"fp32", "fp16"} <= set(self.precisions):
            raise ExportError(
                f"--fused-for {self.fused_for[0]} makes fp16 files, which are compared with fp32; "
                "give --precision fp32 --precision fp16 too"
            )
        for precision in ("bf16", "int8"):
            if precision in self.precisions and "fp32" not in self.precisions:
                raise ExportError(f"{precision} is compared with fp32; give --precision fp32 too")

    def quantised(self, parts: Sequence[Part]) -> list[Part]:
        """The parts that get an int8 variant."""
        return [part for part in parts if self.int8_parts is None or part.name in self.int8_parts]


@dataclass(frozen=True)
class GraphFile:
    """One ONNX file to write and the manifest's graphs that it serves, with the part that each belongs to."""

    stem: str
    graph: Graph
    entries: Mapping[str, Graph]
    parts: Mapping[str, str]
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Work:
    """What to make of each graph.

    Attributes:
        variants: Which files.
        studies: Calibration of the graphs that get an int8 variant.
        probes: Real inputs of a graph, to see which values float16 could not hold; one without any is converted
            by its operators alone.
    """

    variants: Variants = field(default_factory=Variants)
    studies: Mapping[str, Study] = field(default_factory=dict)
    probes: Mapping[str, Sequence[Feeds]] = field(default_factory=dict)


def write_files(
    folder: Path, info: BundleInfo, parts: Sequence[Part], work: Work, report: Report
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the graphs and tokenizers of a bundle, without proof.

    Returns:
        The manifest's content, and per half precision and file the nodes that stay float32.
    """
    texts = {part.name: text for part in parts if (text := part.text()) is not None}
    tokenizers = _tokenizers(folder, texts)
    written = write_terms(folder, {plain_name(part): info.terms_for(plain_name(part)) for part in parts})
    terms = {part.name: written.of[plain_name(part)] for part in parts}
    sections = {
        # Maps have no measure to say their terms.
        part.name: section if part.measures() else {**section, **terms[part.name]}
        for part in parts
        if (section := part.section(tokenizers.get(part.name, "")))
    }
    graphs: dict[str, Any] = {}
    made: dict[str, Any] = {}
    kept_float32: dict[str, Any] = {}
    for file in _files(parts, texts, sections):
        report(f"exporting {file.stem}")
        master = file.graph.model()
        largest = _largest(file, master, work)
        variants: dict[str, str] = {}
        for precision in ("fp32",) if file.graph.float32_alone else work.variants.precisions:
            variant, record, float32 = _variant(file.stem, master, precision, work, largest, report)
            if variant is None:
                continue  # a text tower in int8: embedded once per text, and the engine uses its fp32 file
            if record:
                made.setdefault(precision, {"graphs": {}})["graphs"][file.stem] = record
            if precision in HALVES:
                kept_float32.setdefault(precision, {})[file.stem] = [asdict(node) for node in float32]
            path = f"{file.stem}.onnx" if precision == "fp32" else f"{file.stem}.{precision}.onnx"
            metadata = onnx_metadata(",".join(sorted(file.entries)), info.name, file.config)
            contents = serialize(variant, metadata)
            if "fp32" in variants:
                contents = sharing(contents, folder / variants["fp32"])
            (folder / path).write_bytes(contents)
            variants[precision] = path
        devices: dict[str, dict[str, str]] = {}
        for device in work.variants.fused_for if "fp16" in variants else ():
            from export.graph.fused import fuse
            from export.graph.half import to_half

            model, counts = fuse(master)
            if not counts:
                continue  # nothing but convolutions: the portable file is as good
            half = to_half(model, "fp16", largest, norms=True)
            operators = ", ".join(f"{count} {operator}" for operator, count in counts.items())
            report(f"{_half_line(f'{file.stem} for {device}', half)}; {operators}")
            path = f"{file.stem}.fp16.{device}.onnx"
            metadata = onnx_metadata(",".join(sorted(file.entries)), info.name, file.config)
            (folder / path).write_bytes(serialize(half.model, metadata))
            devices[device] = {"fp16": path}
        for name, entry in file.entries.items():
            graphs[name] = graph_entry(entry, variants, terms[file.parts[name]], devices)
    for part in parts:
        for name, source in part.files().items():
            shutil.copyfile(source, folder / name)
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": info.name,
        "description": info.description,
        **written.whole,
        "weights": _weights_label(parts),
        "metrics": dict(info.metrics),
        "graphs": dict(sorted(graphs.items())),
        "fidelity": made,
        **sections,
        **_measures(parts, info, terms),
    }
    return manifest, kept_float32


def _measures(
    parts: Sequence[Part], info: BundleInfo, terms: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The objects from format 1.1 on, each where there is something to write."""
    listed = [(part, name, measure) for part in parts for name, measure in part.measures().items()]
    measures = {
        name: measure.manifest(terms[part.name], info.metrics_of(name)) for part, name, measure in listed
    }
    towers = {measure.tower.name: dict(measure.tower.entry) for _, _, measure in listed if measure.tower}
    maps = {name: policy for part in parts for name, policy in part.maps().items()}
    return {
        key: value for key, value in (("measures", measures), ("towers", towers), ("maps", maps)) if value
    }


def _largest(file: GraphFile, master: onnx.ModelProto, work: Work) -> Mapping[str, float]:
    """The largest values inside a graph on its probes, those of the first graph that it serves; {} without any."""
    probes = next((work.probes[name] for name in file.entries if name in work.probes), ())
    if not probes:
        return {}
    from export.graph.activations import largest_values

    return largest_values(master, probes)


def _variant(
    stem: str,
    master: onnx.ModelProto,
    precision: str,
    work: Work,
    largest: Mapping[str, float],
    report: Report,
) -> tuple[ir.Model | onnx.ModelProto | None, dict[str, Any], Sequence[Float32Node]]:
    """One precision of a graph: the model (None if there is no such file), its record, what stays float32 in it."""
    variants = work.variants
    if precision == "fp32" and variants.storage == "fp32":
        return master, {}, ()
    import onnx_ir

    from export.graph.weights import TEXT_GRAPHS, store

    if precision in HALVES and variants.storage == "int8-text" and stem in TEXT_GRAPHS:
        return None, {}, ()  # its weights lie there in int8 already, and a text is embedded once
    if precision in HALVES:
        from export.graph.half import to_half

        half = to_half(onnx_ir.from_proto(master), precision, largest)
        report(_half_line(stem, half))
        if precision == "fp16" and variants.storage != "fp32":
            store(half.model, "fp16", stem)  # what remains float, as the other file has it
        return half.model, half.record(), half.float32
    if precision == "int8":
        if stem not in work.studies:
            return None, {}, ()
        from export.graph.int8 import to_int8

        quantised = to_int8(master, work.studies[stem], stem, report, variants.int8_for)
        model = onnx_ir.from_proto(quantised.model)
        store(model, "fp32" if variants.storage == "fp32" else "fp16", stem)  # what remains float
        return model, quantised.record(), ()
    model = onnx_ir.from_proto(master)
    store(model, variants.storage, stem)
    return model, {}, ()


def _half_line(stem: str, half: Half) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in half.reasons().items())
    return f"{stem} {half.precision}: {half.converted} nodes in half precision; in float32: {reasons}"


def _tokenizers(folder: Path, texts: Mapping[str, TextGraph]) -> dict[str, str]:
    """Write the tokenizers, one file where all are equal; returns each part's."""
    one = len(texts) > 1 and len({text.tokenizer_json for text in texts.values()}) == 1
    names = {
        part: "tokenizer.json" if one else f"{text.label}_tokenizer.json" for part, text in texts.items()
    }
    for part, text in texts.items():
        (folder / names[part]).write_text(text.tokenizer_json, encoding="utf-8")
    return names


def _files(
    parts: Sequence[Part], texts: Mapping[str, TextGraph], sections: Mapping[str, Mapping[str, Any]]
) -> list[GraphFile]:
    """The files to write, in the parts' order; a text tower that begins another shares its file."""
    files = []
    sharing: set[str] = set()
    if len(texts) == 2:
        from export.towers.shared_text import shared_text_export

        shared = shared_text_export(*texts.values())
        if shared is not None:
            entries: dict[str, Graph] = {text.graph.name: text.graph for text in texts.values()}
            owners = {text.graph.name: part for part, text in texts.items()}
            files.append(GraphFile("text", shared, entries, owners, sections))
            sharing = set(texts)
    for part in parts:
        own = [texts[part.name].graph] if part.name in texts and part.name not in sharing else []
        for graph in (*own, *part.graphs()):
            # The realm.config of a file that one part owns is that part's section alone, or its measures.
            config = sections.get(part.name) or {n: dict(m.inside) for n, m in part.measures().items()}
            files.append(GraphFile(graph.name, graph, {graph.name: graph}, {graph.name: part.name}, config))
    return files


def _weights_label(parts: Sequence[Part]) -> str:
    labels = {part.weights for part in parts}
    return labels.pop() if len(labels) == 1 else "; ".join(f"{part.name}: {part.weights}" for part in parts)
