"""What a bundle says about itself: `bundle.json`, and what every ONNX file repeats of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.graph.to_onnx import GraphExport
from export.towers.clip_model import ClipModel
from realm_engine.bundle.bundle import MANIFEST
from realm_engine.machine.files import sha256_of

FORMAT, FORMAT_VERSION = "realm-bundle", "1.0"
PRESETS: dict[str, dict[str, Any]] = {
    "released": {"windows_px": [64], "stride_px": 8, "aggregate": "mean"},
    "paper": {"windows_px": [128, 64, 32], "stride_px": 4, "aggregate": "max"},
}
# rating = offset + slope * MOS, the 0-100 scale that RAISE-TD's z-scores were made from.
RATING = {"offset": 64.010578006, "slope": 17.349906357}
UNKNOWN_LICENCE = "not stated; ask whoever trained the weights"


@dataclass(frozen=True)
class BundleInfo:
    """What a person says about a bundle.

    Attributes:
        name: The bundle's name.
        description: One line.
        licence: Licence of the weights, one line.
        licence_file: Its text, copied into the bundle.
        commercial_use: Whether that licence allows commercial use.
        training_data: What the weights were trained on, one line.
        metrics: Measured numbers, free form.
        presets: DREAM presets beside "released" and "paper".
        recommended_preset: The one a host uses unless told otherwise.
        phrases: JSON file of the phrase bank.
    """

    name: str
    description: str = ""
    licence: str = UNKNOWN_LICENCE
    licence_file: Path | None = None
    commercial_use: bool = False
    training_data: str = "not stated"
    metrics: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Any] = field(default_factory=dict)
    recommended_preset: str = "released"
    phrases: Path | None = None

    def __post_init__(self) -> None:
        if self.recommended_preset not in self.all_presets:
            raise ExportError(
                f"no preset {self.recommended_preset!r} to recommend; there are {', '.join(self.all_presets)}"
            )

    @property
    def all_presets(self) -> dict[str, Any]:
        """Published and own presets, by name."""
        return {**PRESETS, **self.presets}


def text_section(
    tokenizer: str, max_tokens: int, pad_id: int, fixed_length: bool, buckets: list[int]
) -> dict[str, Any]:
    """The "text" object of a part."""
    return {
        "tokenizer": tokenizer,
        "max_tokens": max_tokens,
        "pad_id": pad_id,
        "fixed_length": fixed_length,
        "buckets": buckets,
    }


def dream_section(clip: ClipModel, tokenizer: str, info: BundleInfo) -> dict[str, Any]:
    """The "dream" object of the manifest."""
    section = {
        "image_size_px": clip.image_size_px,
        "interpolation": clip.interpolation,
        "text": text_section(tokenizer, clip.max_tokens, clip.pad_id, clip.fixed_length, clip.buckets),
        "presets": info.all_presets,
        "recommended_preset": info.recommended_preset,
    }
    return {**section, "phrases": "phrases.json"} if info.phrases is not None else section


def graph_entry(graph: GraphExport, variants: Mapping[str, str]) -> dict[str, Any]:
    """The object of one graph."""
    return {
        "variants": dict(variants),
        "inputs": [port.manifest() for port in graph.inputs],
        "outputs": [port.manifest() for port in graph.outputs],
    }


def onnx_metadata(graph: str, bundle: str, config: Mapping[str, Any]) -> dict[str, str]:
    """`metadata_props` of an ONNX file: enough for a host that has no manifest."""
    return {
        "realm.graph": graph,
        "realm.bundle": bundle,
        "realm.format_version": FORMAT_VERSION,
        "realm.config": json.dumps(config, ensure_ascii=False, sort_keys=True),
    }


def file_entries(folder: Path) -> dict[str, dict[str, Any]]:
    """Checksum and size of every file in a folder but the manifest, sorted by name."""
    entries = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            name = path.relative_to(folder).as_posix()
            entries[name] = {"sha256": sha256_of(path), "size_bytes": path.stat().st_size}
    return entries


def read_manifest(folder: Path) -> dict[str, Any]:
    """The content of `bundle.json`."""
    content: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return content


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Write `bundle.json` (UTF-8, no timestamps: equal bundles are equal bytes) and return it with its files."""
    complete = {**manifest, "files": file_entries(folder)}
    text = json.dumps(complete, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return complete
