"""How well predicted scores agree with mean opinion scores: SROCC, PLCC, RMSE, with bootstrap intervals."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A statistic with the 2.5 and 97.5 percentiles of its bootstrap distribution."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def plcc(prediction: Any, target: Any) -> float:
    """Pearson's linear correlation of two (N,) vectors, in [-1, 1]; nan where one of them is constant."""
    x, y = _pair(prediction, target)
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x * x).sum() * (y * y).sum()))
    # Below this, what is left of a constant vector is rounding, and its correlation noise.
    return float((x * y).sum()) / scale if scale > 1e-12 * len(x) else float("nan")


def srocc(prediction: Any, target: Any) -> float:
    """Spearman's rank correlation of two (N,) vectors, ties at their mean rank; nan where one is constant."""
    x, y = _pair(prediction, target)
    return plcc(rankdata(x), rankdata(y))


def rmse(prediction: Any, target: Any) -> float:
    """Root mean squared error of two (N,) vectors, in the units of the target."""
    x, y = _pair(prediction, target)
    return float(np.sqrt(np.mean((x - y) ** 2)))


def scores(prediction: Any, target: Any) -> dict[str, float]:
    """SROCC, PLCC and RMSE."""
    return {name: statistic(prediction, target) for name, statistic in STATISTICS.items()}


def bootstrap(
    statistic: Callable[[Array, Array], float],
    prediction: Any,
    target: Any,
    samples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """A statistic with its 95 % percentile-bootstrap interval over the N pairs.

    Resamples in which the statistic is undefined (all pairs equal) are left out; nan if no other is left.
    """
    x, y = _pair(prediction, target)
    generator = np.random.default_rng(seed)
    draws = [generator.integers(0, len(x), len(x)) for _ in range(samples)]
    values = np.array([statistic(x[draw], y[draw]) for draw in draws])
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (float("nan"), float("nan"))
    return Estimate(statistic(x, y), float(low), float(high))


def estimates(prediction: Any, target: Any, samples: int = 2000, seed: int = 0) -> dict[str, Estimate]:
    """SROCC, PLCC and RMSE with their intervals."""
    return {
        name: bootstrap(statistic, prediction, target, samples, seed)
        for name, statistic in STATISTICS.items()
    }


STATISTICS: dict[str, Callable[[Any, Any], float]] = {"srocc": srocc, "plcc": plcc, "rmse": rmse}


def _pair(prediction: Any, target: Any) -> tuple[Array, Array]:
    x, y = np.asarray(prediction, np.float64), np.asarray(target, np.float64)
    if x.shape != y.shape or x.ndim != 1 or not len(x):
        raise ValueError(f"two equally long, non-empty vectors expected, got shapes {x.shape} and {y.shape}")
    return x, y
