"""BRISQUE's support vector machine as a graph: 36 features in, one number out. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from export.graph.model import Port
from export.graph.nodes import Nodes
from realm_engine.arrays import Float64

FEATURES, VALUE = "features", "brisque"


@dataclass(frozen=True)
class MachineGraph:
    """sum of c_i exp(-gamma |x - s_i|^2) + offset, x the features scaled to -1..1 by fixed ranges.

    Attributes:
        low: Least of each feature, [d].
        high: Largest of each, [d].
        vectors: s, [n, d].
        coefficients: c, [n].
    """

    low: Float64
    high: Float64
    gamma: float
    offset: float
    coefficients: Float64
    vectors: Float64

    name = "brisque_machine"
    outputs = (Port(VALUE, "float32", ("batch",)),)
    float32_alone = True

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The features."""
        return (Port(FEATURES, "float32", ("batch", len(self.low))),)

    def model(self) -> onnx.ModelProto:
        """The graph. Weights are float32; it counts in float64, because coefficients reach 1024 and cancel out."""
        nodes = Nodes()

        def double(label: str, values: Float64) -> str:
            stored = nodes.constant(label, np.asarray(values, dtype=np.float32))
            return nodes.add("Cast", [stored], to=TensorProto.DOUBLE)

        # The ranges are few numbers, and dividing by one magnifies what float32 loses.
        scale, shift = 2 / (self.high - self.low), -1 - 2 * self.low / (self.high - self.low)
        given = nodes.add("Cast", [FEATURES], to=TensorProto.DOUBLE)
        x = nodes.add("Mul", [given, nodes.constant("scale", scale)])
        x = nodes.add("Add", [x, nodes.constant("shift", shift)])  # [batch, d]
        vectors = double("vectors", self.vectors.T)  # [d, n]
        square_of_x = nodes.add("ReduceSum", [nodes.add("Mul", [x, x]), nodes.integers(1)])  # [batch, 1]
        squares = nodes.add("ReduceSum", [nodes.add("Mul", [vectors, vectors]), nodes.integers(0)])  # [1, n]
        both = nodes.add("MatMul", [x, vectors])
        distance = nodes.add(
            "Sub", [nodes.add("Add", [square_of_x, squares]), nodes.add("Add", [both, both])]
        )
        near = nodes.add(
            "Exp", [nodes.add("Mul", [distance, nodes.constant("gamma", np.float64(-self.gamma))])]
        )
        summed = nodes.add("MatMul", [near, double("coefficients", self.coefficients[:, None])])  # [batch, 1]
        value = nodes.add("Add", [summed, nodes.constant("offset", np.float64(self.offset))])
        flat = nodes.add("Squeeze", [value, nodes.integers(1)])
        nodes.output(nodes.add("Cast", [flat], to=TensorProto.FLOAT), self.outputs[0])
        return nodes.model(self.name, self.inputs, self.outputs)
