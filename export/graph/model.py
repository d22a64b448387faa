"""A graph to write: its interface, its model, the bytes of its file. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import onnx

from realm_engine.runtimes.words import Precision

if TYPE_CHECKING:
    import onnx_ir as ir

PRECISIONS = tuple(precision.value for precision in Precision)
OPSET = 20  # single-node LayerNormalization and Gelu; opset 23's Attention does not build in TensorRT


@dataclass(frozen=True)
class Port:
    """An input or output of a graph: name, dtype as numpy writes it, shape (a string is a free dimension)."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def manifest(self) -> dict[str, Any]:
        """The entry of a bundle's manifest."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}


class Graph(Protocol):
    """A graph of a part, wherever it comes from."""

    @property
    def name(self) -> str:
        """Its key in the manifest's "graphs"."""

    @property
    def inputs(self) -> tuple[Port, ...]:
        """Inputs, in order."""

    @property
    def outputs(self) -> tuple[Port, ...]:
        """Outputs, in order."""

    @property
    def float32_alone(self) -> bool:
        """It is small and belongs to no part of the engine: it has one file, whatever precisions the others have."""

    def model(self) -> onnx.ModelProto:
        """The float32 graph, self-contained."""


def serialize(model: ir.Model | onnx.ModelProto, metadata: Mapping[str, str]) -> bytes:
    """The file's bytes: checked, weights inside, the same for the same graph and metadata (which replaces its own)."""
    proto = _proto(model)
    del proto.metadata_props[:]
    for key in sorted(metadata):
        proto.metadata_props.add(key=key, value=metadata[key])
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString(deterministic=True))


def count_nodes(model: ir.Model | onnx.ModelProto, op_type: str) -> int:
    """How many nodes of one operator a model's main graph has."""
    return sum(node.op_type == op_type for node in _proto(model).graph.node)


def _proto(model: ir.Model | onnx.ModelProto) -> onnx.ModelProto:
    if isinstance(model, onnx.ModelProto):
        return model
    import onnx_ir

    return onnx_ir.to_proto(model)
