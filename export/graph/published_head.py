"""The head of a published probe as a graph: features in, p(fake) and the word for it out. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from export.graph.model import Port
from export.graph.nodes import Nodes
from realm_engine.arrays import Float32

FEATURES, P_FAKE, VERDICT = "features", "p_fake", "verdict"
REAL, FAKE = range(2)
WORDS = ("real", "fake")


@dataclass(frozen=True)
class PublishedHead:
    """p = sigmoid(features . weight + bias), and the place in `WORDS`: fake from p = .5 on, as its authors have it.

    Attributes:
        weight: float32 [F].
        bias: Of the logit.
        name: Of the graph.
    """

    weight: Float32
    bias: float
    name: str

    outputs = (Port(P_FAKE, "float32", ("batch",)), Port(VERDICT, "float32", ("batch",)))
    float32_alone = True

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The features."""
        return (Port(FEATURES, "float32", ("batch", len(self.weight))),)

    def model(self) -> onnx.ModelProto:
        """The graph."""
        nodes = Nodes()
        weight = nodes.constant("weight", np.asarray(self.weight, np.float32)[:, None])
        logit = nodes.add("Add", [nodes.add("MatMul", [FEATURES, weight]), nodes.number(self.bias)])
        flat = nodes.add("Squeeze", [logit, nodes.integers(1)])
        nodes.output(nodes.add("Sigmoid", [flat]), self.outputs[0])
        # Of the logit, not of p: what is above 0 is above .5 whatever a runtime's sigmoid rounds to.
        fake = nodes.add("GreaterOrEqual", [flat, nodes.number(0.0)])
        nodes.output(nodes.add("Cast", [fake], to=TensorProto.FLOAT), self.outputs[1])
        return nodes.model(self.name, self.inputs, self.outputs)
