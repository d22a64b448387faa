"""A copy of the embedded bundle for an attack to change; its checksums are made true again, as an author's are."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

ROOT = Path(__file__).resolve().parents[1]
EMBEDDED = ROOT / "realm_engine" / "bundles" / "realm-tiny"
HALF = ".fp16.onnx"

CORE_INPUTS = """uint8[batch, height, width, 3] pixels, float[resizes, 1, 336, height] resample_rows,
    float[resizes, 1, 448, width] resample_cols, float[batch, 384] text_features, float[batch] has_text"""


class Victim:
    """A bundle in `folder` that `seal` writes; `manifest` is what will be written, without float16 files."""

    def __init__(self, folder: Path, source: Path = EMBEDDED) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.manifest: dict[str, Any] = json.loads((source / "bundle.json").read_text(encoding="utf-8"))
        for graph in self.manifest["graphs"].values():
            graph["variants"].pop("fp16", None)
        for name in [name for name in self.manifest["files"] if name.endswith(HALF)]:
            del self.manifest["files"][name]
        for name in self.manifest["files"]:
            _link(source / name, folder / name)

    def write(self, name: str, content: bytes) -> None:
        """Put a file in the place of another, or add one."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.list(name)

    def list(self, name: str) -> None:
        """List a file as it lies there."""
        content = (self.folder / name).read_bytes()
        self.manifest["files"][name] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_bytes": len(content),
        }
        for measure in self.manifest["measures"].values():  # a head says which file its tower is
            for graph in measure.get("fitted_on", {}):
                if self.manifest["graphs"][graph]["variants"]["fp32"] == name:
                    measure["fitted_on"][graph] = self.manifest["files"][name]["sha256"]

    def json(self, name: str) -> Any:
        """The content of a JSON file of the bundle."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def write_json(self, name: str, value: Any) -> None:
        """`write` as JSON."""
        self.write(name, json.dumps(value).encode())

    def model(self, graph: str) -> onnx.ModelProto:
        """A graph of the bundle, to be changed and written again."""
        return onnx.load(self.folder / self.manifest["graphs"][graph]["variants"]["fp32"])

    def write_model(self, graph: str, model: onnx.ModelProto) -> None:
        """Put a model in the place of a graph's file."""
        self.write(self.manifest["graphs"][graph]["variants"]["fp32"], model.SerializeToString())

    def write_core(
        self, body: str, outputs: str = "float[batch] mos, float[batch] unlike", opsets: str = '"": 20'
    ) -> None:
        """Put a graph of these nodes, in ONNX's text syntax, in the place of CORE's; there is no head on it then."""
        for name in [name for name, each in self.manifest["measures"].items() if each.get("tower") == "core"]:
            del self.manifest["measures"][name]
        core = self.manifest["graphs"]["core"]
        core["outputs"] = [output for output in core["outputs"] if output["name"] in ("mos", "unlike")]
        text = f"<ir_version: 10, opset_import: [{opsets}]> core ({CORE_INPUTS}) => ({outputs}) {{ {body} }}"
        self.write_model("core", onnx.parser.parse_model(text))

    def set_weight(self, graph: str, value: float) -> None:
        """Set the last matrix of a graph to a value."""
        model = self.model(graph)
        tensor = [each for each in model.graph.initializer if len(each.dims) == 2][-1]
        array = np.full(tuple(tensor.dims), value, numpy_helper.to_array(tensor).dtype)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        self.write_model(graph, model)

    def seal(self) -> None:
        """Write the manifest, unless the attack wrote one of its own."""
        path = self.folder / "bundle.json"
        if not path.exists():
            path.write_text(json.dumps(self.manifest), encoding="utf-8")  # ASCII: surrogates as escapes


def _link(source: Path, target: Path) -> None:
    """The same file under another name, which takes no time; a copy where the file systems differ."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
