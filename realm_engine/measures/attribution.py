"""Where a measure's number comes from: what every position of its tower's stages adds to the logit behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from realm_engine.arrays import Float32
from realm_engine.errors import AnswerError
from realm_engine.measures.look import Look, View

LOGIT, BIAS = "logit", "bias"
TOLERANCE = 1e-3  # of the logit, or of 1 below it: how far the parts may be from it


@dataclass(frozen=True)
class Contributions:
    """What the positions of a picture add to a logit: logit = bias + the sum of all of `stages`.

    `stages`: float32 [h, w] of each stage. `columns`: the measure's numbers and words for the picture.
    """

    stages: tuple[Float32, ...]
    logit: float
    bias: float
    columns: Mapping[str, float | str | None]


@dataclass(frozen=True)
class Attribution:
    """How a measure shares out its logit.

    `graph` takes the outputs `stages` of the graph `tower`, which looks at pictures by `view`, and gives `map_0`, ...,
    one for each of them, `logit` and `bias`. `speaks_for`: what a positive number speaks for.
    """

    tower: str
    view: View
    graph: str
    stages: tuple[str, ...]
    speaks_for: str

    @property
    def maps(self) -> tuple[str, ...]:
        """The graph's output for each stage."""
        return tuple(f"map_{index}" for index in range(len(self.stages)))

    @property
    def outputs(self) -> Mapping[str, frozenset[str]]:
        """What is read of which graph."""
        return {self.tower: frozenset(self.stages), self.graph: frozenset((*self.maps, LOGIT, BIAS))}

    def read(self, look: Look) -> list[tuple[tuple[Float32, ...], float, float]]:
        """The maps [h, w] of every picture's stages, its logit and its bias.

        Raises what the graphs raise, and AnswerError where the parts are not the whole.
        """
        feeds = {stage: look.tower(self.tower, self.view, stage) for stage in self.stages}
        found = look.run(self.graph, feeds)
        logits, biases = (found[name].reshape(look.count) for name in (LOGIT, BIAS))
        answers = []
        for picture, (logit, bias) in enumerate(zip(map(float, logits), map(float, biases), strict=True)):
            maps = tuple(found[name][picture] for name in self.maps)
            parts = bias + sum(float(each.sum(dtype=np.float64)) for each in maps)
            if not abs(parts - logit) <= TOLERANCE * max(1.0, abs(logit), abs(bias)):
                raise AnswerError(
                    f"graph {self.graph}: its maps and its bias add up to {parts:g}, and its logit is {logit:g}; "
                    "get the bundle again"
                )
            answers.append((maps, logit, bias))
        return answers
