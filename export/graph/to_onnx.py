"""From a torch module to a clean ONNX model: export, finite masks, no traces of the machine that wrote it."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from onnx_ir.passes.common import (
    CommonSubexpressionEliminationPass,
    DeduplicateInitializersPass,
    RemoveUnusedNodesPass,
)
from torch import nn

from export.graph.model import OPSET, Port

MASKING = -1e9  # constants below this are masks: -inf, or the lowest float
MASK_FLOOR = -1e4  # exp(-1e4) is exactly 0 in float32, and the number exists in float16
_ELEMENTWISE = ("Add", "Div", "Floor", "Mul", "Sub")  # what splits a matrix into halves (`resize`)


@dataclass(frozen=True)
class GraphExport:
    """A graph that is a torch module: everything that is needed to write it.

    Attributes:
        name: Its key in the manifest's "graphs".
        module: What is exported.
        example: Inputs of the module.
        inputs: Ports of the graph, in the module's order.
        outputs: Ports of its outputs.
        matrices: Inputs that the module takes as one matrix for all rows, and the graph as one for all or one for each.
    """

    name: str
    module: nn.Module
    example: tuple[torch.Tensor, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    matrices: tuple[str, ...] = ()

    float32_alone = False

    def model(self) -> onnx.ModelProto:
        """The float32 graph, clean (`to_onnx`, `tidy`)."""
        return ir.to_proto(tidy(to_onnx(self)))


def to_onnx(graph: GraphExport) -> ir.Model:
    """Export a graph with float32 weights, free dimensions as its ports say.

    The dynamo exporter is used, not the TorchScript one: it keeps LayerNormalization and Gelu as single
    nodes, folds BatchNorm into convolutions, and proves that the free dimensions are free.
    """
    free: dict[str, Any] = {}
    shapes = tuple(
        {
            axis: free.setdefault(dim, torch.export.Dim(dim, min=1))
            for axis, dim in enumerate(port.shape[-2:] if port.name in graph.matrices else port.shape)
            if isinstance(dim, str)
        }
        for port in graph.inputs
    )
    with torch.no_grad(), _quiet(), _plain_attention():
        program = torch.onnx.export(
            graph.module,
            graph.example,
            input_names=[port.name for port in graph.inputs],
            output_names=[port.name for port in graph.outputs],
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            optimize=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError(f"the exporter returned nothing for graph {graph.name}")
    _free_names(program.model)
    for port in graph.inputs:
        if port.name in graph.matrices:
            _for_each_row(program.model, port)
    return program.model


def _for_each_row(model: ir.Model, port: Port) -> None:
    """Give an input that is one matrix two axes before it, so that a product has one for all rows or one for each.

    The exporter cannot be told of a size that is either 1 or another dimension's; the products themselves broadcast.
    """
    given = next(value for value in model.graph.inputs if value.name == port.name)
    given.shape = ir.Shape(port.shape)
    made_of_it = [given]
    while made_of_it:
        for node in [use.node for use in made_of_it.pop().uses()]:
            if node.op_type == "MatMul":
                continue
            if node.op_type == "Transpose":
                node.attributes["perm"] = ir.AttrInt64s("perm", [0, 1, 3, 2])
            elif node.op_type not in _ELEMENTWISE:
                raise RuntimeError(
                    f"{port.name} is no matrix of a product: the exporter wrote {node.op_type}"
                )
            node.outputs[0].shape = None
            made_of_it.append(node.outputs[0])


def _free_names(model: ir.Model) -> None:
    """Rename what the exporter called after its operator ("embedding") where an output has that name."""
    outputs = set(model.graph.outputs)
    taken = {value.name for value in outputs}
    for value in [value for value in _values(model) if value.name in taken and value not in outputs]:
        value.name = f"{value.name}_inside"


def tidy(model: ir.Model) -> ir.Model:
    """Drop what names the machine (stack traces, source paths) and make attention masks finite; in place."""
    finite_masks(model)
    # A transformer that two outputs share runs once: equal weights become one, then equal nodes do.
    DeduplicateInitializersPass(size_limit=2**40)(model)
    CommonSubexpressionEliminationPass()(model)
    RemoveUnusedNodesPass()(model)
    containers: list[Any] = [model, model.graph, *model.graph.all_nodes(), *model.functions.values()]
    for container in containers:
        container.metadata_props.clear()
        container.doc_string = None
    for value in _values(model):
        value.metadata_props.clear()
        value.doc_string = None
    model.producer_name, model.producer_version = "realm", None
    return model


def finite_masks(model: ir.Model) -> int:
    """Replace -inf and other huge negative constants (attention masks) by -1e4.

    Returns how many tensors changed. A row of scores plus -1e4 has the same softmax in float32 as one plus
    -inf, and stays a number in float16.
    """
    changed = 0
    for value in model.graph.initializers.values():
        floored = _floored(value.const_value)
        if floored is not None:
            value.const_value = floored
            changed += 1
    for node in model.graph.all_nodes():
        if node.op_type not in ("Constant", "ConstantOfShape"):
            continue
        for name, attribute in list(node.attributes.items()):
            if attribute.type == ir.AttributeType.TENSOR:
                floored = _floored(attribute.as_tensor())
                if floored is not None:
                    node.attributes[name] = ir.AttrTensor(name, floored)
                    changed += 1
            elif attribute.type == ir.AttributeType.FLOAT and attribute.as_float() <= MASKING:
                node.attributes[name] = ir.AttrFloat32(name, MASK_FLOOR)
                changed += 1
    return changed


def _floored(tensor: Any) -> ir.Tensor[Any] | None:
    if tensor is None or tensor.dtype != ir.DataType.FLOAT:
        return None
    array = tensor.numpy()
    if array.size == 0 or array.min() > MASKING:
        return None
    return ir.Tensor(np.where(array <= MASKING, np.float32(MASK_FLOOR), array), name=tensor.name)


def _values(model: ir.Model) -> Iterator[ir.Value]:
    yield from model.graph.inputs
    yield from model.graph.initializers.values()
    for node in model.graph.all_nodes():
        yield from node.outputs


@contextlib.contextmanager
def _plain_attention() -> Iterator[None]:
    """Keep nn.MultiheadAttention out of its fused inference path, which has no ONNX form."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's progress lines; its errors are exceptions."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
