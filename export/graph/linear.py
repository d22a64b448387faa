"""A linear function of features as a graph. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from export.graph.model import Port
from export.graph.nodes import Nodes
from realm_engine.arrays import Float64

FEATURES, VALUE = "features", "value"


@dataclass(frozen=True)
class LinearGraph:
    """features @ weight + bias.

    Attributes:
        name: The graph's.
        weight: float64 [D], written as float32.
        bias: Likewise.
    """

    name: str
    weight: Float64
    bias: float

    outputs = (Port(VALUE, "float32", ("batch",)),)
    float32_alone = True

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The features."""
        return (Port(FEATURES, "float32", ("batch", len(self.weight))),)

    def model(self) -> onnx.ModelProto:
        """The graph."""
        nodes = Nodes()
        weight = nodes.constant("weight", self.weight[:, None].astype(np.float32))
        weighed = nodes.add(
            "Squeeze", [nodes.add("MatMul", [FEATURES, weight]), nodes.integers(1)]
        )  # [batch]
        nodes.output(
            nodes.add("Add", [weighed, nodes.constant("bias", np.float32(self.bias))]), self.outputs[0]
        )
        return nodes.model(self.name, self.inputs, self.outputs)
