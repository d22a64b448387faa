"""The float16 variant of a graph: float16 inside the towers, float32 where range or rounding matters.

Interfaces keep their dtypes. Float32 stays: everything before the first weight (resize, normalisation),
everything after the last (L2 norm, cosine), layer norms, softmax, reductions, and
elementwise arithmetic that only feeds those (masking, squares of a variance).
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

NORMS = {"LayerNormalization", "RMSNormalization", "GroupNormalization", "InstanceNormalization"}
REDUCTIONS = {"ReduceL2", "ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceMax", "CumSum"}
WIDE_RANGE = {"Softmax", "LogSoftmax", "Pow", "Sqrt", "Reciprocal", "Exp", "Log", "Range", "Resize"}
NO_ARITHMETIC = {"Cast", "Constant", "ConstantOfShape"}  # their dtype is an attribute
KEEP_FLOAT32 = frozenset(NORMS | REDUCTIONS | WIDE_RANGE | NO_ARITHMETIC)
ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Div", "Where", "Max", "Min", "Clip", "Neg", "Abs"})
ANY_DTYPE = frozenset({"Shape", "Size"})
HALF_LIMIT = 65504.0


def to_half(model: ir.Model) -> tuple[ir.Model, int]:
    """Convert a float32 model (finite masks, no functions) to mixed float16.

    Returns:
        A new model and the number of nodes that compute in float16.
    """
    model = ir.from_proto(onnx.shape_inference.infer_shapes(ir.to_proto(model), data_prop=True))
    graph = model.graph
    chosen = _half_nodes(graph)
    halves: dict[ir.Value, ir.Value] = {}  # float32 value -> its float16 twin
    fulls: dict[ir.Value, ir.Value] = {}  # float16 output -> its float32 twin
    native: set[ir.Value] = set()  # outputs that are float16 now
    for node in list(graph):
        if node.op_type in ANY_DTYPE:
            continue
        for index, value in enumerate(node.inputs):
            if value is None:
                continue
            if node in chosen:
                if value not in native and value.dtype == ir.DataType.FLOAT:
                    node.replace_input_with(index, _half(graph, value, node, halves))
            elif value in native:
                node.replace_input_with(index, _full(graph, value, node, fulls))
        if node in chosen:
            for output in node.outputs:
                if output.dtype == ir.DataType.FLOAT:
                    output.dtype = ir.DataType.FLOAT16
                    native.add(output)
    for index, output in enumerate(graph.outputs):
        if output in native:  # only where the last node itself holds weights
            name, output.name = output.name, f"{output.name}_fp16"
            attributes = {"to": int(ir.DataType.FLOAT)}
            cast = ir.node("Cast", [output], attributes=attributes, name=f"{name}_float32")
            graph.append(cast)
            twin = cast.outputs[0]
            twin.name, twin.shape, twin.dtype = name, output.shape, ir.DataType.FLOAT
            graph.outputs[index] = twin
    for name in [name for name, value in graph.initializers.items() if not value.uses()]:
        del graph.initializers[name]
    return model, len(chosen)


def _half_nodes(graph: ir.Graph) -> set[ir.Node]:
    nodes = list(graph)
    keep = _preprocessing(graph)
    reaching: set[ir.Node] = set()
    for node in reversed(nodes):
        if _holds_weights(node) or any(user in reaching for user in _users(node)):
            reaching.add(node)
    chosen: set[ir.Node] = set()
    for node in nodes:
        floats = any(value is not None and value.dtype == ir.DataType.FLOAT for value in node.inputs)
        if floats and node in reaching and node not in keep and node.op_type not in KEEP_FLOAT32 | ANY_DTYPE:
            chosen.add(node)
    for node in reversed(nodes):
        # What only feeds float32 nodes gains nothing from rounding first: attention scores and their mask,
        # the squares of a variance, the residual sum before a norm.
        users = {user for user in _users(node) if user.op_type not in ANY_DTYPE}
        if node in chosen and node.op_type in ELEMENTWISE and users and not users & chosen:
            chosen.remove(node)
    for node in nodes:
        # ONNX Runtime 1.24 to 1.31 on x86 crashes while it loads Cast(fp16) -> Transpose(1, 0, 2) -> MatMul
        # (microsoft/onnxruntime#28392). Rounding after the transposition is the same numbers.
        source = node.inputs[0] if node.op_type == "Transpose" else None
        if node in chosen and source is not None and source.producer() not in chosen:
            chosen.remove(node)
    return chosen


def _users(node: ir.Node) -> set[ir.Node]:
    return {user for output in node.outputs for user, _ in output.uses()}


def _holds_weights(node: ir.Node) -> bool:
    if node.op_type not in ("Conv", "Gemm", "MatMul"):
        return False
    constants = [value for value in node.inputs if value is not None and value.is_initializer()]
    return any(len(value.shape or ()) >= 2 for value in constants)


def _preprocessing(graph: ir.Graph) -> set[ir.Node]:
    """Nodes between the image (the uint8 input) and the first weights, and what they depend on."""
    found: set[ir.Node] = set()
    waiting = [value for value in graph.inputs if value.dtype == ir.DataType.UINT8]
    while waiting:
        for node, _ in waiting.pop().uses():
            if node not in found and node.op_type not in ANY_DTYPE and not _holds_weights(node):
                found.add(node)
                waiting += node.outputs
    ancestors = list(found)
    while ancestors:  # the halves of the resize matrix, which float16 cannot hold
        for value in ancestors.pop().inputs:
            parent = value.producer() if value is not None else None
            if parent is not None and parent not in found:
                found.add(parent)
                ancestors.append(parent)
    return found


def _half(graph: ir.Graph, value: ir.Value, before: ir.Node, halves: dict[ir.Value, ir.Value]) -> ir.Value:
    if value in halves:
        return halves[value]
    name = f"{value.name}_fp16"
    if value.is_initializer():
        array = np.clip(value.const_value.numpy(), -HALF_LIMIT, HALF_LIMIT).astype(np.float16)  # type: ignore[union-attr]
        tensor = ir.Tensor(array, name=name)
        twin = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
        graph.register_initializer(twin)
    else:
        twin = _cast(graph, value, before, ir.DataType.FLOAT16, name)
    halves[value] = twin
    return twin


def _full(graph: ir.Graph, value: ir.Value, before: ir.Node, fulls: dict[ir.Value, ir.Value]) -> ir.Value:
    if value not in fulls:
        fulls[value] = _cast(graph, value, before, ir.DataType.FLOAT, f"{value.name}_float32")
    return fulls[value]


def _cast(graph: ir.Graph, value: ir.Value, before: ir.Node, dtype: ir.DataType, name: str) -> ir.Value:
    cast = ir.node("Cast", [value], attributes={"to": int(dtype)}, name=name)
    cast.outputs[0].name, cast.outputs[0].shape, cast.outputs[0].dtype = name, value.shape, dtype
    graph.insert_before(before, cast)
    return cast.outputs[0]
