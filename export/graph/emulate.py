"""A half file in float32 arithmetic: every half value rounded as the hardware would, so that any runtime can check it.

Products of bf16 or fp16 numbers are exact in float32 and hardware sums them in float32, so rounding what a node reads
and writes is what it computes, up to the order of sums.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from export.graph.half import BFLOAT16_OPSET
from export.graph.model import OPSET
from export.manifest import write_manifest

_FLOAT = ir.DataType.FLOAT
_HALVES = {"bf16": ir.DataType.BFLOAT16, "fp16": ir.DataType.FLOAT16}


def emulate(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """The same function in float32: half weights widened, and a round trip through half behind every half node."""
    half = _HALVES[precision]
    graph_model = ir.from_proto(model)
    graph = graph_model.graph
    for value in graph.initializers.values():
        if value.dtype == half and value.const_value is not None:
            value.const_value = ir.Tensor(value.const_value.numpy().astype(np.float32), name=value.name)
            value.dtype = _FLOAT
    for node in list(graph):
        if node.op_type == "Cast" and node.attributes["to"].as_int() == half:
            node.attributes["to"] = ir.AttrInt64("to", int(_FLOAT))
        for output in node.outputs:
            if output.dtype == half:
                output.dtype = _FLOAT
                _round_trip(graph, node, output, half)
    if graph_model.opset_imports[""] == BFLOAT16_OPSET:
        graph_model.opset_imports[""] = OPSET
    return ir.to_proto(graph_model)


def _round_trip(graph: ir.Graph, node: ir.Node, output: ir.Value, half: ir.DataType) -> None:
    down = ir.node("Cast", [output], attributes={"to": int(half)}, name=f"{output.name}_down")
    up = ir.node("Cast", [down.outputs[0]], attributes={"to": int(_FLOAT)}, name=f"{output.name}_up")
    for cast, dtype in ((down, half), (up, _FLOAT)):
        cast.outputs[0].name, cast.outputs[0].shape, cast.outputs[0].dtype = cast.name, output.shape, dtype
    graph.insert_after(node, [down, up])
    for user, index in list(output.uses()):
        if user is not down:
            user.replace_input_with(index, up.outputs[0])


def emulated_bundle(
    folder: Path, manifest: Mapping[str, Any], output: Path, precision: str, device: str | None = None
) -> None:
    """Write a bundle whose fp32 files are the half files of another, emulated; the other files are links.

    Args:
        folder: The bundle.
        manifest: Its manifest.
        output: New folder on the same file system.
        precision: "bf16" or "fp16"; a graph without a file of it keeps its own.
        device: Take the files made for it, where there are any.
    """
    output.mkdir()
    for path in folder.iterdir():
        if path.suffix != ".onnx" and path.name != "bundle.json":
            os.link(path, output / path.name)
    graphs = {}
    for name, entry in manifest["graphs"].items():
        files = {**entry["variants"], **entry.get("devices", {}).get(device, {})}
        file = files.get(precision, files["fp32"])
        if not (output / file).exists():
            model = onnx.load(str(folder / file))
            onnx.save(emulate(model, precision) if precision in files else model, str(output / file))
        graphs[name] = {**entry, "variants": {"fp32": file}, "devices": {}}
    write_manifest(output, {**manifest, "graphs": graphs})
