"""Where the logit of a linear probe on means and deviations of stages comes from, exactly, as a graph. Knows no torch.

The mean m of a channel is a sum over positions, (1/N) sum_p x(p), and so is its deviation s = sqrt(variance + 1e-6):
s = s^2 / s = (1/N) sum_p ((x(p) - m)^2 + 1e-6) / s. Hence a logit that is linear in both,
bias + sum w m + sum v s, is the bias and a sum over the positions of every stage; nothing is approximated.

Where that is counted from is a choice: the parts of a picture that `centre` stands for are taken off every position
alike and added to the bias, which then is the logit of that picture. Without it a probe's bias and its parts are
large and cancel out, and the sign of a part says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from export.graph.model import Port
from export.graph.nodes import Nodes
from realm_engine.arrays import Array, Float32

VARIANCE_FLOOR = 1e-6  # under the root of a deviation, as where features are made (`realm_train.core.model`)
STAGE = "stage_"  # and a number: the output of a tower that has a map


@dataclass(frozen=True)
class ContributionMap:
    """Stages of pictures to what each of their positions adds to the logit of a linear probe.

    Attributes:
        name: Its key in the manifest's "graphs".
        weights: [F], of features ordered stage by stage: a stage's means, then its deviations
            sqrt(variance + 1e-6). Of the logit whose sigmoid is the probability, so that standardisation and
            temperature are folded in.
        bias: Of that logit.
        stages: Channels, height and width of each stage.
        centre: Features that contributions are counted from, [F]: those of an average picture; None: 0.
        first: Number of the first stage, in the name of its input.

    Raises:
        ValueError: there is another number of weights, or of features in the centre.
    """

    name: str
    weights: Array
    bias: float
    stages: tuple[tuple[int, int, int], ...]
    centre: Array | None = None
    first: int = 0

    float32_alone = True

    def __post_init__(self) -> None:
        features = 2 * sum(channels for channels, _, _ in self.stages)
        for what, given in (("weights", self.weights), ("a centre", self.centre)):
            if given is not None and given.shape != (features,):
                raise ValueError(
                    f"{len(self.stages)} stages have {features} means and deviations, not {what} of {given.size}"
                )

    @property
    def inputs(self) -> tuple[Port, ...]:
        """`stage_<first>`, ...: float32 [batch, C, h, w]."""
        shapes = enumerate(self.stages, self.first)
        return tuple(Port(f"{STAGE}{i}", "float32", ("batch", *shape)) for i, shape in shapes)

    @property
    def outputs(self) -> tuple[Port, ...]:
        """`map_0`, ...: float32 [batch, h, w]. `logit`, counted from the features and not from the maps, and `bias`:
        float32 [batch]. The logit is the bias and the sum of all maps, up to rounding."""
        maps = (Port(f"map_{i}", "float32", ("batch", *shape[1:])) for i, shape in enumerate(self.stages))
        return (*maps, *(Port(name, "float32", ("batch",)) for name in ("logit", "bias")))

    def model(self) -> onnx.ModelProto:
        """The graph, float32."""
        nodes = Nodes()
        *maps, logit, bias = self.outputs
        total = nodes.number(self.bias)
        left = self.bias
        for stage, added, (w, v, of_centre) in zip(self.inputs, maps, self._parts(), strict=True):
            left += of_centre
            of_means = nodes.constant(f"{stage.name}_means", w)  # [1, C]
            of_deviations = nodes.constant(f"{stage.name}_deviations", v)
            x = nodes.add("Reshape", [stage.name, nodes.integers(0, 0, -1)])  # [B, C, N]
            mean = nodes.add("ReduceMean", [x, nodes.integers(2)])  # [B, C, 1]
            apart = nodes.add("Sub", [x, mean])
            square = nodes.add("Add", [nodes.add("Mul", [apart, apart]), nodes.number(VARIANCE_FLOOR)])
            deviation = nodes.add("Sqrt", [nodes.add("ReduceMean", [square, nodes.integers(2)])])
            share = nodes.add("Div", [of_deviations, nodes.add("Transpose", [deviation], perm=[0, 2, 1])])
            both = nodes.add(
                "Add", [nodes.add("MatMul", [of_means, x]), nodes.add("MatMul", [share, square])]
            )  # [B, 1, N]
            height, width = map(int, added.shape[1:])
            mapped = nodes.add("Reshape", [both, nodes.integers(0, height, width)])
            apiece = nodes.add("Sub", [mapped, nodes.number(of_centre)])  # what N positions of it would add
            nodes.output(nodes.add("Mul", [apiece, nodes.number(1 / (height * width))]), added)
            for weight, feature in ((of_means, mean), (of_deviations, deviation)):
                total = nodes.add("Add", [total, nodes.add("MatMul", [weight, feature])])  # [B, 1, 1]
        value = nodes.add("Reshape", [total, nodes.integers(-1)])
        nodes.output(value, logit)
        nodes.output(nodes.add("Expand", [nodes.number(left), nodes.add("Shape", [value])]), bias)
        return nodes.model(self.name, self.inputs, self.outputs)

    def _parts(self) -> Iterator[tuple[Float32, Float32, float]]:
        """Stage by stage the weights of means and of deviations, float32 [1, C] each, and what the centre adds."""
        first = 0
        for channels, _, _ in self.stages:
            own = slice(first, first + 2 * channels)
            w, v = self.weights[own].astype(np.float32).reshape(2, 1, channels)
            yield w, v, 0.0 if self.centre is None else float(self.weights[own] @ self.centre[own])
            first += 2 * channels
