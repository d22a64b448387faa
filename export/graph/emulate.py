"""A bf16 file in float32 arithmetic: every bf16 value rounded as bf16 hardware would, so that any runtime can check it.

Products of bf16 numbers are exact in float32 and hardware sums them in float32, so rounding what a node reads and
writes is what it computes, up to the order of sums.
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

_BF16, _FLOAT = ir.DataType.BFLOAT16, ir.DataType.FLOAT


def emulate_bf16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function in float32: bf16 weights widened, and a round trip through bf16 behind every bf16 node."""
    graph_model = ir.from_proto(model)
    graph = graph_model.graph
    for value in graph.initializers.values():
        if value.dtype == _BF16 and value.const_value is not None:
            value.const_value = ir.Tensor(value.const_value.numpy().astype(np.float32), name=value.name)
            value.dtype = _FLOAT
    for node in list(graph):
        if node.op_type == "Cast" and node.attributes["to"].as_int() == _BF16:
            node.attributes["to"] = ir.AttrInt64("to", int(_FLOAT))
        for output in node.outputs:
            if output.dtype == _BF16:
                output.dtype = _FLOAT
                _round_trip(graph, node, output)
    if graph_model.opset_imports[""] == BFLOAT16_OPSET:
        graph_model.opset_imports[""] = OPSET
    return ir.to_proto(graph_model)


def _round_trip(graph: ir.Graph, node: ir.Node, output: ir.Value) -> None:
    down = ir.node("Cast", [output], attributes={"to": int(_BF16)}, name=f"{output.name}_down")
    up = ir.node("Cast", [down.outputs[0]], attributes={"to": int(_FLOAT)}, name=f"{output.name}_up")
    for cast, dtype in ((down, _BF16), (up, _FLOAT)):
        cast.outputs[0].name, cast.outputs[0].shape, cast.outputs[0].dtype = cast.name, output.shape, dtype
    graph.insert_after(node, [down, up])
    for user, index in list(output.uses()):
        if user is not down:
            user.replace_input_with(index, up.outputs[0])


def emulated_bundle(folder: Path, manifest: Mapping[str, Any], output: Path) -> None:
    """Write a bundle whose fp32 files are the bf16 files of another, emulated; the other files are links.

    Args:
        folder: The bundle.
        manifest: Its manifest.
        output: New folder on the same file system.
    """
    output.mkdir()
    for path in folder.iterdir():
        if path.suffix != ".onnx" and path.name != "bundle.json":
            os.link(path, output / path.name)
    graphs = {}
    for name, entry in manifest["graphs"].items():
        file = entry["variants"]["bf16"]
        if not (output / file).exists():
            onnx.save(emulate_bf16(onnx.load(str(folder / file))), str(output / file))
        graphs[name] = {**entry, "variants": {"fp32": file}}
    write_manifest(output, {**manifest, "graphs": graphs})
