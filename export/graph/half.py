"""The fp16 or bf16 variant of a graph: half precision inside the towers, float32 where range or rounding matters.

Interfaces keep their dtypes. Float32 stays: everything before the first weight (resize, normalisation),
everything after the last (L2 norm, cosine), layer norms, softmax, reductions, elementwise arithmetic that only
feeds those (masking, squares of a variance); in float16 also whatever touches a value that came near its largest
number on real inputs, in bfloat16, which has 8 bits, also the sums along residual connections (on ViT-B/32 they
cause about two thirds of the error).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
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
# What calibration saw may be exceeded by other pictures; beyond an eighth of the limit a node stays float32.
LARGE_ACTIVATION = HALF_LIMIT / 8
OWN_DOMAIN = "com.microsoft"
BFLOAT16_OPSET = 22  # the first in which a convolution may be bfloat16

_TYPES: dict[str, tuple[ir.DataType, Any]] = {
    "fp16": (ir.DataType.FLOAT16, np.float16),
    "bf16": (ir.DataType.BFLOAT16, ml_dtypes.bfloat16),
}


@dataclass(frozen=True)
class Float32Node:
    """A node of a half variant that computes in float32. `largest`: its largest value, where that is the reason."""

    node: str
    operator: str
    reason: str
    largest: float | None = None


@dataclass(frozen=True)
class Half:
    """A half variant: the model, how many nodes compute in half precision, and which do not and why."""

    model: ir.Model
    precision: str
    converted: int
    float32: tuple[Float32Node, ...]

    def reasons(self) -> dict[str, int]:
        """How many nodes remain float32 for each reason."""
        return dict(sorted(Counter(entry.reason for entry in self.float32).items()))

    def record(self) -> dict[str, Any]:
        """What the manifest says about it."""
        large = {e.node: float(f"{e.largest:.3g}") for e in self.float32 if e.largest is not None}
        return {"half_nodes": self.converted, "float32_nodes": self.reasons(), "large_values": large}


def to_half(
    model: ir.Model, precision: str = "fp16", largest: Mapping[str, float] | None = None, norms: bool = False
) -> Half:
    """Convert a float32 model (finite masks, no functions) to mixed half precision.

    Args:
        model: The float32 graph; not changed.
        precision: "fp16" or "bf16".
        largest: Largest absolute values of its tensors on real inputs (`export.graph.activations`); a node that
            touches one beyond `LARGE_ACTIVATION` stays float32 in fp16. bf16 has the range of float32.
        norms: Layer norms are half as well, and whatever is of ONNX Runtime's own domain: its kernels for CUDA read and
            write half and sum in float32.
    """
    dtype, numpy_dtype = _TYPES[precision]
    model = ir.from_proto(onnx.shape_inference.infer_shapes(ir.to_proto(model), data_prop=True))
    graph = model.graph
    chosen, float32 = _half_nodes(graph, largest or {}, precision == "fp16", norms)
    halves: dict[ir.Value, ir.Value] = {}  # float32 value -> its half twin
    fulls: dict[ir.Value, ir.Value] = {}  # half output -> its float32 twin
    native: set[ir.Value] = set()  # outputs that are half now

    def half(value: ir.Value, before: ir.Node) -> ir.Value:
        if value not in halves:
            name = f"{value.name}_{precision}"
            if value.is_initializer():
                halves[value] = _constant(graph, name, value.const_value.numpy().astype(numpy_dtype))  # type: ignore[union-attr]
            else:
                halves[value] = _cast(graph, value, before, dtype, name)
        return halves[value]

    def full(value: ir.Value, before: ir.Node) -> ir.Value:
        if value not in fulls:
            fulls[value] = _cast(graph, value, before, ir.DataType.FLOAT, f"{value.name}_float32")
        return fulls[value]

    for node in list(graph):
        if node.op_type in ANY_DTYPE:
            continue
        for index, value in enumerate(node.inputs):
            if value is None:
                continue
            if node in chosen:
                if value not in native and value.dtype == ir.DataType.FLOAT:
                    node.replace_input_with(index, half(value, node))
            elif value in native:
                node.replace_input_with(index, full(value, node))
        if node in chosen:
            for output in node.outputs:
                if output.dtype == ir.DataType.FLOAT:
                    output.dtype = dtype
                    native.add(output)
    for index, output in enumerate(graph.outputs):
        if output in native:  # of a node that itself holds weights; others may read it as well
            name, output.name = output.name, f"{output.name}_{precision}"
            if output not in fulls:
                attributes = {"to": int(ir.DataType.FLOAT)}
                cast = ir.node("Cast", [output], attributes=attributes, name=f"{name}_float32")
                graph.append(cast)
                fulls[output] = cast.outputs[0]
            twin = fulls[output]
            twin.name, twin.shape, twin.dtype = name, output.shape, ir.DataType.FLOAT
            graph.outputs[index] = twin
    for name in [name for name, value in graph.initializers.items() if not value.uses()]:
        del graph.initializers[name]
    if precision == "bf16":
        # Between these opsets the operators of our graphs only gained dtypes.
        model.opset_imports[""] = max(model.opset_imports[""], BFLOAT16_OPSET)
    return Half(model, precision, len(chosen), float32)


def _half_nodes(
    graph: ir.Graph, largest: Mapping[str, float], limited: bool, norms: bool
) -> tuple[set[ir.Node], tuple[Float32Node, ...]]:
    """The nodes that compute in half precision, and the others that compute, each with its reason."""
    nodes = list(graph)
    keep = _preprocessing(graph)
    reaching: set[ir.Node] = set()
    for node in reversed(nodes):
        if (
            _holds_weights(node)
            or node.domain == OWN_DOMAIN
            or any(user in reaching for user in _users(node))
        ):
            reaching.add(node)
    chosen: set[ir.Node] = set()
    reasons: dict[ir.Node, str] = {}
    peaks: dict[ir.Node, float] = {}
    for node in nodes:
        floats = any(value is not None and value.dtype == ir.DataType.FLOAT for value in node.inputs)
        if not floats or node.op_type in ANY_DTYPE | NO_ARITHMETIC:
            continue
        if node in keep:
            reasons[node] = "preprocessing"
        elif norms and node.domain == OWN_DOMAIN:
            chosen.add(node)
        elif node.op_type in NORMS and not (norms and node in reaching):
            reasons[node] = "layer norm"
        elif node.op_type in REDUCTIONS:
            reasons[node] = "reduction"
        elif node.op_type in WIDE_RANGE:
            reasons[node] = "softmax" if "Softmax" in node.op_type else "wide range"
        elif node not in reaching:
            reasons[node] = "L2 norm, cosine, head"
        elif not limited and _is_residual(node):
            reasons[node] = "residual sum"
        else:
            chosen.add(node)
    _leave_to_float32(nodes, chosen, reasons)
    if limited:
        for node in [node for node in nodes if node in chosen]:
            peak = _peak(node, largest)
            if peak > LARGE_ACTIVATION:
                chosen.remove(node)
                reasons[node], peaks[node] = "large values", peak
        _leave_to_float32(nodes, chosen, reasons)
    for node in nodes:
        # ONNX Runtime 1.24 to 1.31 on x86 crashes while it loads Cast(fp16) -> Transpose(1, 0, 2) -> MatMul
        # (microsoft/onnxruntime#28392). Rounding after the transposition is the same numbers.
        source = node.inputs[0] if node.op_type == "Transpose" else None
        if node in chosen and source is not None and source.producer() not in chosen:
            chosen.remove(node)
            reasons[node] = "moves float32 values"
    return chosen, tuple(
        Float32Node(node.name or node.outputs[0].name or "", node.op_type, reason, peaks.get(node))
        for node, reason in reasons.items()
    )


def _is_residual(node: ir.Node) -> bool:
    """Whether a node adds two computed values: a tower's stream, which every layer of bf16 would round again."""
    return node.op_type == "Add" and all(
        value is not None and not value.is_initializer() for value in node.inputs
    )


def _leave_to_float32(nodes: list[ir.Node], chosen: set[ir.Node], reasons: dict[ir.Node, str]) -> None:
    """Take out what only feeds float32 nodes, for it gains nothing from rounding first.

    These are attention scores and their mask, the squares of a variance, the residual sum before a norm.
    """
    for node in reversed(nodes):
        users = {user for user in _users(node) if user.op_type not in ANY_DTYPE}
        if node in chosen and node.op_type in ELEMENTWISE and users and not users & chosen:
            chosen.remove(node)
            reasons[node] = "feeds float32 alone"


def _peak(node: ir.Node, largest: Mapping[str, float]) -> float:
    """The largest absolute value that a node reads or writes; weights count as what they are."""
    peak = 0.0
    for value in [*node.inputs, *node.outputs]:
        if value is None or value.dtype != ir.DataType.FLOAT:
            continue
        if value.is_initializer():
            array = value.const_value.numpy()  # type: ignore[union-attr]
            weight = float(np.abs(array).max()) if array.size else 0.0
            peak = max(peak, weight if weight > HALF_LIMIT else 0.0)  # a weight is the same on every picture
        else:
            peak = max(peak, largest.get(value.name or "", 0.0))
    return peak


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


def _constant(graph: ir.Graph, name: str, array: Any) -> ir.Value:
    tensor = ir.Tensor(array, name=name)
    value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def _cast(graph: ir.Graph, value: ir.Value, before: ir.Node, dtype: ir.DataType, name: str) -> ir.Value:
    cast = ir.node("Cast", [value], attributes={"to": int(dtype)}, name=name)
    cast.outputs[0].name, cast.outputs[0].shape, cast.outputs[0].dtype = name, value.shape, dtype
    graph.insert_before(before, cast)
    return cast.outputs[0]
