"""The head of a linear probe as a graph: features in, p(fake), how unlike, and the verdict out. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from export.graph.model import Port
from export.graph.nodes import Nodes
from realm_engine.arrays import Float64

FEATURES = "features"
P_FAKE, UNLIKE, VERDICT = "p_fake", "unlike", "verdict"
REAL, UNCERTAIN, FAKE = 0.0, 1.0, 2.0


@dataclass(frozen=True)
class ProbeHead:
    """p = sigmoid(z . weight + bias) of standardised features z = (x - mean) / std; unlike = mean z^2; the verdict.

    The verdict is 2, fake, where p >= fake_above, 0, real, where p <= real_below, else 1, uncertain; always 1 where
    unlike > unlike_above.

    Attributes:
        name: The graph's.
        mean: float64 [F].
        std: float64 [F].
        weight: float64 [F].
    """

    name: str
    mean: Float64
    std: Float64
    weight: Float64
    bias: float
    real_below: float
    fake_above: float
    unlike_above: float

    outputs = tuple(Port(name, "float32", ("batch",)) for name in (P_FAKE, UNLIKE, VERDICT))
    float32_alone = True

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The features."""
        return (Port(FEATURES, "float32", ("batch", len(self.weight))),)

    def model(self) -> onnx.ModelProto:
        """The graph."""
        nodes = Nodes()

        def floats(label: str, values: Float64 | float) -> str:
            return nodes.constant(label, np.asarray(values, dtype=np.float32))

        # Standardised first: raw features times folded weights would cancel in float32.
        apart = nodes.add("Sub", [FEATURES, floats("mean", self.mean)])
        z = nodes.add("Mul", [apart, floats("scale", 1 / self.std)])  # [batch, F]
        weighed = nodes.add("MatMul", [z, floats("weight", self.weight[:, None])])
        logit = nodes.add(
            "Add", [nodes.add("Squeeze", [weighed, nodes.integers(1)]), floats("bias", self.bias)]
        )
        p = nodes.add("Sigmoid", [logit])
        unlike = nodes.add("ReduceMean", [nodes.add("Mul", [z, z]), nodes.integers(1)], keepdims=0)
        fake = nodes.add("GreaterOrEqual", [p, floats("fake_above", self.fake_above)])
        real = nodes.add("LessOrEqual", [p, floats("real_below", self.real_below)])
        strange = nodes.add("Greater", [unlike, floats("unlike_above", self.unlike_above)])
        uncertain = floats("uncertain", UNCERTAIN)
        called = nodes.add("Where", [real, floats("real", REAL), uncertain])
        called = nodes.add("Where", [fake, floats("fake", FAKE), called])
        verdict = nodes.add("Where", [strange, uncertain, called])
        for value, port in zip((p, unlike, verdict), self.outputs, strict=True):
            nodes.output(value, port)
        return nodes.model(self.name, self.inputs, self.outputs)
