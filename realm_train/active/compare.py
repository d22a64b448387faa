"""Curves of acquisitions against asking at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap

from realm_engine.arrays import Float64
from realm_train.active.acquisitions import UNIFORM
from realm_train.active.simulate import Trajectory
from realm_train.runs import Row

PERCENTILES = (5.0, 50.0, 95.0)
RESAMPLES = 10_000


@dataclass(frozen=True)
class Curve:
    """Of one acquisition over all cells.

    Attributes:
        labels: int [rounds].
        auc: The 5th, 50th and 95th percentile over cells, float64 [3, rounds].
        balanced_accuracy: Likewise.
        area: Mean over cells of the area under the curve of AUC.
        gain: Mean difference of that area from `UNIFORM`'s in the same cell, and its 95 % interval; None of itself.
    """

    labels: tuple[int, ...]
    auc: Float64
    balanced_accuracy: Float64
    area: float
    gain: tuple[float, float, float] | None

    @property
    def beats_uniform(self) -> bool:
        """Whether the interval of the difference lies above 0."""
        return self.gain is not None and self.gain[1] > 0


def curves(cells: Sequence[Sequence[Trajectory]], seed: int = 0) -> dict[str, Curve]:
    """Of every acquisition by name, over cells whose trajectories are in the same order and equally long.

    A published balanced query may bring fewer labels than it was asked for: rounds are compared then, and `labels` are
    their means.
    """
    by_name = {each[0].acquisition: each for each in zip(*cells, strict=True)}
    uniform = _areas(by_name[UNIFORM]) if UNIFORM in by_name else None
    return {name: _curve(each, None if name == UNIFORM else uniform, seed) for name, each in by_name.items()}


def paired_gain(areas: Float64, uniform: Float64, seed: int = 0) -> tuple[float, float, float]:
    """Mean difference of two vectors over the same cells, and its 95 % percentile-bootstrap interval over cells."""
    difference = areas - uniform
    if len(difference) < 2:
        return float(difference[0]), float("nan"), float("nan")
    interval = bootstrap(
        (difference,),
        np.mean,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(difference.mean()), float(interval.low), float(interval.high)


def rows(found: Mapping[str, Curve]) -> list[Row]:
    """The curves as a table, a row for each acquisition and round."""
    return [_row(name, curve, at) for name, curve in found.items() for at in range(len(curve.labels))]


def _row(name: str, curve: Curve, at: int) -> Row:
    numbers = {
        f"{of}{suffix}": round(float(values[place, at]), 4)
        for of, values in (("auc", curve.auc), ("balanced_accuracy", curve.balanced_accuracy))
        for place, suffix in enumerate(("_p5", "_median", "_p95"))
    }
    return {"acquisition": name, "labels": curve.labels[at], **numbers}


def _areas(trajectories: Sequence[Trajectory]) -> Float64:
    return np.array([each.area for each in trajectories])


def _curve(trajectories: Sequence[Trajectory], uniform: Float64 | None, seed: int) -> Curve:
    shortest = min(len(each.labels) for each in trajectories)
    areas = _areas(trajectories)

    def spread(values: Sequence[Sequence[float]]) -> Float64:
        return np.percentile([each[:shortest] for each in values], PERCENTILES, axis=0)

    return Curve(
        labels=tuple(round(n) for n in np.mean([each.labels[:shortest] for each in trajectories], axis=0)),
        auc=spread([each.auc for each in trajectories]),
        balanced_accuracy=spread([each.balanced_accuracy for each in trajectories]),
        area=float(areas.mean()),
        gain=None if uniform is None else paired_gain(areas, uniform, seed),
    )
