"""Smaller files for float32 graphs: weights stored as float16 or int8, turned back to float32 at load.

Arithmetic stays float32. `Cast` and `Mul` of stored weights are constants, so a runtime folds them once
when it loads the file. (`DequantizeLinear` would say the same, but ONNX Runtime leaves it in the graph and
runs it on every call.) Embedding tables are gathered first and turned to float32 after, row by row: the
whole table never exists in float32.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from realm_engine.arrays import Array

STORAGES = ("fp32", "fp16", "int8-embeddings", "int8-text")
TEXT_GRAPHS = frozenset({"core_text", "clip_text", "text"})
SMALLEST_SIZE = 1024  # biases, norms and preprocessing constants stay float32: they weigh nothing
LARGEST_HALF = 65504.0


def store(model: ir.Model, storage: str, graph: str) -> dict[str, int]:
    """Rewrite the initialisers of a float32 model in place.

    Args:
        model: graph with float32 initialisers.
        storage: "fp32" (nothing changes), "fp16", "int8-embeddings" (embedding tables int8 per row, the
            rest fp16) or "int8-text" (also the text graphs' linear layers, int8 per output channel).
        graph: name of the graph, for "int8-text".

    Returns:
        How many tensors were stored as "fp16", "int8_rows" and "int8_channels".
    """
    if storage not in STORAGES:
        raise ValueError(f"unknown storage {storage!r}; one of {', '.join(STORAGES)}")
    counts = {"fp16": 0, "int8_rows": 0, "int8_channels": 0}
    if storage == "fp32":
        return counts
    for value in list(model.graph.initializers.values()):
        weights = _weights(value)
        if weights is None:
            continue
        channel_axis = _channel_axis(value) if storage == "int8-text" and graph in TEXT_GRAPHS else None
        if _is_embedding(value) and storage != "fp16":
            _gather_int8(model.graph, value, weights)
            counts["int8_rows"] += 1
        elif channel_axis is not None:
            _linear_int8(model.graph, value, weights, channel_axis)
            counts["int8_channels"] += 1
        elif np.abs(weights).max() <= LARGEST_HALF:
            _half(model.graph, value, weights)
            counts["fp16"] += 1
    return counts


def quantise(weights: Array, axis: int) -> tuple[Array, Array]:
    """Symmetric int8 along one axis: `weights ~ codes * scale`, at most half a step off.

    Args:
        weights: float32, 2-D.
        axis: the axis that keeps one scale per index.

    Returns:
        int8 codes of the same shape (-127..127) and float32 scales, broadcastable to it.
    """
    peak = np.abs(weights).max(axis=1 - axis, keepdims=True).astype(np.float32)
    scale = np.where(peak > 0, peak / np.float32(127), np.float32(1))
    return np.clip(np.rint(weights / scale), -127, 127).astype(np.int8), scale


def _weights(value: ir.Value) -> Array | None:
    tensor = value.const_value
    if tensor is None or tensor.dtype != ir.DataType.FLOAT:
        return None
    if tensor.size < SMALLEST_SIZE or len(tensor.shape) < 2:
        return None
    if value.is_graph_output() or not value.uses():
        return None
    return np.asarray(tensor.numpy())


def _is_embedding(value: ir.Value) -> bool:
    gathered = all(
        node.op_type == "Gather" and index == 0 and _integer(node, "axis") == 0
        for node, index in value.uses()
    )
    return gathered and len(value.shape or ()) == 2


def _integer(node: ir.Node, name: str) -> int:
    attribute = node.attributes.get(name)
    return 0 if attribute is None else attribute.as_int()


def _channel_axis(value: ir.Value) -> int | None:
    """The output axis of a 2-D linear weight; None for anything else."""
    if len(value.shape or ()) != 2:
        return None
    axes = set()
    for node, index in value.uses():
        if index != 1 or node.op_type not in ("MatMul", "Gemm"):
            return None
        axes.add(0 if _integer(node, "transB") else 1)
    return axes.pop() if len(axes) == 1 else None


def _half(graph: ir.Graph, value: ir.Value, weights: Array) -> None:
    name = f"{value.name}_fp16"
    # A half variant, parts of which are float32, has it already.
    stored = graph.initializers.get(name) or _initializer(graph, name, weights.astype(np.float16))
    if _is_embedding(value):
        for node, _ in list(value.uses()):
            rows = _after_gather(graph, node, stored, "rows")
            _replace_output(graph, node, _cast(graph, rows, node))
    else:
        first = _first_user(graph, value)
        _replace_uses(value, _cast(graph, stored, first))
    _forget(graph, value)


def _gather_int8(graph: ir.Graph, value: ir.Value, weights: Array) -> None:
    codes, scale = quantise(weights, axis=0)
    stored = _initializer(graph, f"{value.name}_int8", codes)
    scales = _initializer(graph, f"{value.name}_scale", scale)  # (rows, 1), gathered with the same ids
    for node, _ in list(value.uses()):
        rows = _cast(graph, _after_gather(graph, node, stored, "codes"), node)
        steps = _after_gather(graph, node, scales, "scales")
        _replace_output(graph, node, _node(graph, "Mul", [rows, steps], node, "dequantised"))
    _forget(graph, value)


def _linear_int8(graph: ir.Graph, value: ir.Value, weights: Array, axis: int) -> None:
    codes, scale = quantise(weights, axis)
    stored = _initializer(graph, f"{value.name}_int8", codes)
    scales = _initializer(graph, f"{value.name}_scale", scale)
    first = _first_user(graph, value)
    cast = _cast(graph, stored, first)
    _replace_uses(value, _node(graph, "Mul", [cast, scales], first, f"{value.name}_dequantised"))
    _forget(graph, value)


def _forget(graph: ir.Graph, value: ir.Value) -> None:
    del graph.initializers[_name(value)]


def _name(value: ir.Value) -> str:
    assert value.name is not None  # initialisers always have one
    return value.name


def _initializer(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    tensor = ir.Tensor(np.ascontiguousarray(array), name=name)
    value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def _node(
    graph: ir.Graph,
    op: str,
    inputs: list[ir.Value | None],
    before: ir.Node,
    name: str,
    **attributes: int,
) -> ir.Value:
    node = ir.node(op, inputs, attributes=attributes, name=f"{before.name}_{name}")
    node.outputs[0].name = f"{before.name}_{name}"
    graph.insert_before(before, node)
    return node.outputs[0]


def _cast(graph: ir.Graph, value: ir.Value, before: ir.Node) -> ir.Value:
    return _node(graph, "Cast", [value], before, f"{value.name}_float32", to=int(ir.DataType.FLOAT))


def _after_gather(graph: ir.Graph, gather: ir.Node, table: ir.Value, name: str) -> ir.Value:
    return _node(graph, "Gather", [table, gather.inputs[1]], gather, name, axis=0)


def _replace_output(graph: ir.Graph, node: ir.Node, new: ir.Value) -> None:
    """Let the consumers of a node read another value instead, and remove the node."""
    _replace_uses(node.outputs[0], new)
    graph.remove(node, safe=True)


def _replace_uses(old: ir.Value, new: ir.Value) -> None:
    for node, index in list(old.uses()):
        node.replace_input_with(index, new)


def _first_user(graph: ir.Graph, value: ir.Value) -> ir.Node:
    users = {node for node, _ in value.uses()}
    return next(node for node in graph if node in users)
