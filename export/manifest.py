"""What a bundle says about itself: `bundle.json`, and what every ONNX file repeats of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.graph.model import Graph
from export.schema import check_manifest
from export.terms import Terms
from realm_engine.bundle.bundle import MANIFEST
from realm_engine.bundle.manifest import NAME_RULE, is_bundle_name
from realm_engine.machine.files import sha256_of

FORMAT, FORMAT_VERSION = "realm-bundle", "1.4"


@dataclass(frozen=True)
class BundleInfo:
    """What a person says about a bundle.

    Attributes:
        name: The bundle's name, as `realm_engine.manifest.is_bundle_name` allows it.
        description: One line.
        terms: What the weights may be used for, and what they were trained on.
        terms_of: Of parts that have terms of their own, by name.
        metrics: Measured numbers, free form; what stands under a measure's name is that measure's.
    """

    name: str
    description: str = ""
    terms: Terms = field(default_factory=Terms)
    terms_of: Mapping[str, Terms] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_bundle_name(self.name):
            raise ExportError(f"{self.name!r} is no name of a bundle ({NAME_RULE}); give another --name")

    def terms_for(self, part: str) -> Terms:
        """The terms of a part's weights."""
        return self.terms_of.get(part, self.terms)

    def metrics_of(self, measure: str) -> Mapping[str, Any]:
        """The numbers of one measure."""
        found = self.metrics.get(measure)
        return found if isinstance(found, Mapping) else {}


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


def graph_entry(
    graph: Graph,
    variants: Mapping[str, str],
    terms: Mapping[str, Any],
    devices: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """The object of one graph; `terms` are those of its weights, `devices` the files that are made for one."""
    return {
        "variants": dict(variants),
        **({"devices": devices} if devices else {}),
        "inputs": [port.manifest() for port in graph.inputs],
        "outputs": [port.manifest() for port in graph.outputs],
        **terms,
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
    """Write `bundle.json` (UTF-8, no timestamps: equal bundles are equal bytes) and return it with its files.

    Raises:
        ExportError: it is not what `docs/bundle.schema.json` says.
    """
    complete = {**manifest, "files": file_entries(folder)}
    check_manifest(complete)
    text = json.dumps(complete, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return complete
