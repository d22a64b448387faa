"""How good a ridge becomes with how many ratings, on rows that it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.model_selection import KFold

from realm_engine.arrays import Float32, Float64, Int64
from realm_train.metrics import plcc, srocc
from realm_train.ridge.fit import ALPHAS, FOLDS, fit_ridge

SIZES = (50, 100, 200)
DRAWS = 20
LEAST_HELD_OUT = 8
"""With fewer rows to test on a rank correlation is chance, and there is no curve."""


@dataclass(frozen=True)
class Spread:
    """Median and the 5th and 95th percentile over draws."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value; what is not a number is left out."""
        low, median, high = np.nanpercentile(values, [5, 50, 95])
        return cls(float(median), float(low), float(high))

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Point:
    """Agreement with people's ratings after `labels` of them, over `draws` random choices of which."""

    labels: int
    draws: int
    everything: bool
    agreement: Mapping[str, Spread]
    alpha: float


def plcc_after_cubic(prediction: Float64, target: Float64) -> float:
    """PLCC after a polynomial of degree 3 from predictions to ratings, fitted to the very pairs that it is tested on.

    Many tables of image quality state it so, the published ones too: it flatters.
    """
    if np.ptp(prediction) == 0:
        return float("nan")
    bent = np.polynomial.Polynomial.fit(prediction, target, 3)
    return float(plcc(bent(prediction), target))


STATISTICS: Mapping[str, Callable[[Float64, Float64], float]] = {
    "srocc": srocc,
    "plcc": plcc,
    "plcc_after_cubic": plcc_after_cubic,
}


def label_counts(rows: int) -> list[int]:
    """How many labels a curve of so many rated pictures is measured at; [] where too few are left to test on."""
    everything = rows - -(-rows // FOLDS)  # what the smallest training side of a fold holds
    if rows // FOLDS < LEAST_HELD_OUT:
        return []
    return [*(size for size in SIZES if size < everything), everything]


def draws(rows: int, count: int = DRAWS, seed: int = 0) -> Iterator[tuple[Int64, Int64]]:
    """Rows to take labels from, in random order, and rows to test on: `count` folds of as many splits as it takes."""
    made = 0
    for repetition in range(-(-count // FOLDS)):
        for train, test in KFold(FOLDS, shuffle=True, random_state=seed + repetition).split(np.empty(rows)):
            if made < count:
                made += 1
                yield np.random.default_rng((seed, made)).permutation(train), test


def learning_curve(
    features: Float64 | Float32,
    ratings: Float64,
    alphas: Sequence[float] = ALPHAS,
    seed: int = 0,
    done: Callable[[], None] | None = None,
) -> list[Point]:
    """Points of `label_counts`; `done` is called after each of `DRAWS` draws."""
    counts = label_counts(len(ratings))
    found: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    chosen: dict[int, list[float]] = {count: [] for count in counts}
    fit = partial(fit_ridge, alphas=alphas, seed=seed)
    for pool, test in draws(len(ratings), seed=seed) if counts else ():
        for count in counts:
            fitted = fit(features[pool[:count]], ratings[pool[:count]])
            predicted = fitted.predict(features[test])
            found[count].append(
                {name: float(of(predicted, ratings[test])) for name, of in STATISTICS.items()}
            )
            chosen[count].append(fitted.alpha)
        if done is not None:
            done()
    return [
        Point(
            labels=count,
            draws=len(found[count]),
            everything=count == counts[-1],
            agreement={name: Spread.of([each[name] for each in found[count]]) for name in STATISTICS},
            alpha=float(np.median(chosen[count])),
        )
        for count in counts
    ]
