"""How well predicted scores agree with mean opinion scores: SROCC, PLCC, RMSE, with bootstrap intervals.

Every statistic takes two arrays of equal shape and works along `axis`, so that all resamples of a bootstrap are one
call: 0.4 s instead of 1.8 s for 510 rows and 2000 resamples.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from realm_engine.arrays import Float64


@dataclass(frozen=True)
class Estimate:
    """A statistic with the 2.5 and 97.5 percentiles of its bootstrap distribution."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def plcc(prediction: Any, target: Any, axis: int = -1) -> Any:
    """Pearson's linear correlation, in [-1, 1]; nan where one of them is constant."""
    x, y = _pair(prediction, target)
    x, y = x - x.mean(axis, keepdims=True), y - y.mean(axis, keepdims=True)
    scale = np.sqrt((x * x).sum(axis) * (y * y).sum(axis))
    # Below this, what is left of a constant vector is rounding, and its correlation noise.
    scale = np.where(scale > 1e-12 * x.shape[axis], scale, np.nan)
    # Not SciPy's pearsonr, which divides first: of equal rank correlations one would come out higher, and epochs are
    # compared by them.
    return (x * y).sum(axis) / scale


def srocc(prediction: Any, target: Any, axis: int = -1) -> Any:
    """Spearman's rank correlation, ties at their mean rank; nan where one is constant."""
    x, y = _pair(prediction, target)
    return plcc(stats.rankdata(x, axis=axis), stats.rankdata(y, axis=axis), axis)


def rmse(prediction: Any, target: Any, axis: int = -1) -> Any:
    """Root mean squared error, in the units of the target."""
    x, y = _pair(prediction, target)
    return np.sqrt(np.mean((x - y) ** 2, axis=axis))


def scores(prediction: Any, target: Any) -> dict[str, float]:
    """SROCC, PLCC and RMSE of two (N,) vectors."""
    return {name: float(statistic(prediction, target)) for name, statistic in STATISTICS.items()}


def bootstrap(
    statistic: Callable[..., Any], prediction: Any, target: Any, samples: int = 2000, seed: int = 0
) -> Estimate:
    """A statistic with its 95 % percentile-bootstrap interval over the N pairs of two (N,) vectors.

    Resamples in which the statistic is undefined (all pairs equal) are left out; nan if no other is left.
    """
    x, y = _pair(prediction, target)
    value = float(statistic(x, y))
    values = np.full(samples, value)
    if len(x) > 1:
        with warnings.catch_warnings():
            # SciPy's own interval is nan where a single resample is; it is not used.
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            values = stats.bootstrap(
                (x, y),
                statistic,
                n_resamples=samples,
                batch=200,  # bounds the memory; the resamples are the same
                paired=True,
                vectorized=True,
                method="percentile",
                rng=np.random.default_rng(seed),
            ).bootstrap_distribution
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (np.nan, np.nan)
    return Estimate(value, float(low), float(high))


def estimates(prediction: Any, target: Any, samples: int = 2000, seed: int = 0) -> dict[str, Estimate]:
    """SROCC, PLCC and RMSE with their intervals."""
    return {
        name: bootstrap(statistic, prediction, target, samples, seed)
        for name, statistic in STATISTICS.items()
    }


STATISTICS: dict[str, Callable[..., Any]] = {"srocc": srocc, "plcc": plcc, "rmse": rmse}


def _pair(prediction: Any, target: Any) -> tuple[Float64, Float64]:
    x, y = np.asarray(prediction, np.float64), np.asarray(target, np.float64)
    if x.shape != y.shape or not x.size:
        raise ValueError(f"two equally long, non-empty vectors expected, got shapes {x.shape} and {y.shape}")
    return x, y
