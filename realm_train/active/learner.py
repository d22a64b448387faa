"""What learns in a simulation: asked for its answers about the pool, told which pictures were labelled."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from realm_engine.arrays import Bool, Float32, Float64, Int64
from realm_train.active.acquisitions import ACQUISITIONS
from realm_train.active.config import QueryConfig
from realm_train.active.heads import Heads
from realm_train.active.passes import answers, fit_with_passes
from realm_train.active.query import highest, highest_balanced


class Learner(Protocol):
    """A learner of one simulated run; `rows` are places in the pool, whose labels `fake` are all known."""

    def learn(self, rows: Int64) -> None:
        """Learn from all that is labelled so far, in the order in which it was."""

    def p_fake(self, features: Float32) -> Float64:
        """Of features [N, F] that it is tested on, float64 [N]."""

    def choose(self, rows: Int64, count: int, generator: np.random.Generator) -> Int64:
        """Which of these unlabelled rows to label next, at most `count`."""


class Refitted:
    """The default: a committee of linear heads, fitted from nothing each time, so that the order leaves no trace."""

    def __init__(
        self, features: Float32, fake: Bool, acquisition: str, config: QueryConfig, seed: tuple[int, ...]
    ) -> None:
        """`features`: [1 + views, N, F] of the pool; `seed`: of bootstrap samples and of masks."""
        self._features, self._fake, self._config, self._seed = features, fake, config, seed
        self._acquisition = ACQUISITIONS[acquisition]
        self._heads: Heads | None = None
        self._generator = np.random.default_rng(seed)

    def learn(self, rows: Int64) -> None:
        """See `Learner`."""
        ordered, config = np.sort(rows), self._config
        self._generator = np.random.default_rng((*self._seed, len(rows)))
        self._heads = fit_with_passes(
            self._features[0, ordered],
            self._fake[ordered],
            config.passes,
            config.count,
            config.c,
            self._generator,
        )

    def p_fake(self, features: Float32) -> Float64:
        """See `Learner`."""
        assert self._heads is not None
        return np.asarray(self._heads.p_fake(features)[0])

    def choose(self, rows: Int64, count: int, generator: np.random.Generator) -> Int64:
        """See `Learner`."""
        assert self._heads is not None
        among = generator.permutation(rows)[: self._config.subset]
        if self._acquisition.uncertainty is None:
            return np.asarray(among[:count])
        p = answers(
            self._heads, self._features[:, among], self._config.passes, self._config.count, self._generator
        )
        u = self._acquisition.score(p, self._fake[among])
        places = (
            highest_balanced(u, p.mean(axis=0) > 0.5, count) if self._config.balanced else highest(u, count)
        )
        return np.asarray(among[places])
