"""The largest values inside a graph on real inputs: what float16 must be able to hold."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
import onnxruntime

from export.graph.int8 import Feeds

_PREFIX = "largest:"


def largest_values(model: onnx.ModelProto, feeds: Iterable[Feeds]) -> dict[str, float]:
    """Largest absolute value of every float32 tensor that a node writes, by name; NaN counts as infinite.

    The maximum is taken inside the graph, so that memory is that of one pass.

    Args:
        model: A float32 graph; not changed.
        feeds: Inputs of the graph; what it does not take is left out.
    """
    probe = onnx.shape_inference.infer_shapes(model, data_prop=True)
    known = {value.name: value for value in [*probe.graph.value_info, *probe.graph.output]}
    inner = [
        name
        for node in probe.graph.node
        for name in node.output
        if name in known and known[name].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    ]
    for name in inner:
        sizes, peak = f"{_PREFIX}abs:{name}", f"{_PREFIX}{name}"
        probe.graph.node.append(onnx.helper.make_node("Abs", [name], [sizes]))
        probe.graph.node.append(onnx.helper.make_node("ReduceMax", [sizes], [peak], keepdims=0))
        probe.graph.output.append(onnx.helper.make_tensor_value_info(peak, onnx.TensorProto.FLOAT, []))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    wanted = [f"{_PREFIX}{name}" for name in inner]
    taken = {entry.name for entry in session.get_inputs()}
    largest = dict.fromkeys(inner, 0.0)
    for batch in feeds:
        inputs = {name: array for name, array in batch.items() if name in taken}
        for name, peak in zip(inner, session.run(wanted, inputs), strict=True):
            value = float(peak)
            largest[name] = max(largest[name], value if np.isfinite(value) else float("inf"))
    return largest
