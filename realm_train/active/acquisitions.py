"""How much a picture would teach, from T stochastic answers about it: the nine acquisitions of CS545.

p is float64 [T, N], the probability that a picture is fake in each pass; what comes back is float64 [N], and high is
asked first. Entropies are natural, with 1e-10 inside their logarithms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from realm_engine.arrays import Bool, Float64

EPSILON = 1e-10
LEAST_FLOOR = 0.1


def entropy(p: Float64) -> Float64:
    """Of a coin, in nats: 0 where it is certain, ln 2 at .5; any shape."""
    return np.asarray(-p * np.log(p + EPSILON) - (1 - p) * np.log(1 - p + EPSILON))


def max_entropy(p: Float64) -> Float64:
    """Entropy of the mean answer, 0 to ln 2."""
    return entropy(p.mean(axis=0))


def bald(p: Float64) -> Float64:
    """Entropy of the mean answer less the mean entropy of the answers: high where each is sure of something else."""
    return np.asarray(entropy(p.mean(axis=0)) - entropy(p).mean(axis=0))


def variation_ratio(p: Float64) -> Float64:
    """Share of the passes that disagree with the majority, 0 to .5; exactly .5 is no vote for fake."""
    fake = (p > 0.5).sum(axis=0)
    return np.asarray(1 - np.maximum(fake, len(p) - fake) / len(p))


def mean_std(p: Float64) -> Float64:
    """Standard deviation over the passes, of the population; the same for both labels."""
    return np.asarray(p.std(axis=0))


def above_floor(u: Float64) -> Float64:
    """1 + how far u lies above its floor, the lesser of .1 and the least u, relative to the largest: about 1 to 2."""
    floor = min(float(u.min()), LEAST_FLOOR)
    return np.asarray(1 + (u - floor) / (u.max() - floor + EPSILON))


def cross_entropy(p: Float64, fake: Bool) -> Float64:
    """-log of what probabilities [N] give to the true labels [N]."""
    return np.asarray(-np.log(np.where(fake, p, 1 - p) + EPSILON))


@dataclass(frozen=True)
class Acquisition:
    """One of the nine.

    Attributes:
        number: In the published code, from 1.
        uncertainty: Of p [T, N]; None draws at random.
        loss: Whether it is multiplied with the loss, for which the labels of the pool must be known.
    """

    number: int
    uncertainty: Callable[[Float64], Float64] | None
    loss: bool = False

    def score(self, p: Float64, fake: Bool | None = None) -> Float64:
        """float64 [N], high = ask first; with `loss` of the true labels `fake` [N] too. Not of the random one."""
        assert self.uncertainty is not None
        found = self.uncertainty(p)
        if not self.loss:
            return found
        assert fake is not None
        return cross_entropy(p.mean(axis=0), fake) * above_floor(found)


UNIFORM = "uniform"
_UNCERTAINTIES: Mapping[str, Callable[[Float64], Float64]] = {
    "max-entropy": max_entropy,
    "bald": bald,
    "variation-ratio": variation_ratio,
    "mean-std": mean_std,
}
ACQUISITIONS: Mapping[str, Acquisition] = MappingProxyType(
    {
        UNIFORM: Acquisition(1, None),
        **{name: Acquisition(number, of) for number, (name, of) in enumerate(_UNCERTAINTIES.items(), 2)},
        **{
            f"loss-{name}": Acquisition(number, of, loss=True)
            for number, (name, of) in enumerate(_UNCERTAINTIES.items(), 6)
        },
    }
)
