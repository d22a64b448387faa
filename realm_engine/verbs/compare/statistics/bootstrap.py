"""Percentile intervals by the bootstrap, over whatever belongs together (the pictures of a prompt, or a picture).

Every call with one seed and one number of units draws the same resamples, so that intervals of several measures, their
differences and rankings are all of the same imagined repetitions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from realm_engine.arrays import Float64

SEED = 0
RESAMPLES = 10_000
CHUNK_BYTES = 32 << 20
_BYTES_PER_DRAW = (
    40  # the draws, their places, the counts as whole numbers and as floats, and what sorting holds
)


def resample_weights(
    units: int, resamples: int = RESAMPLES, seed: int | tuple[int, ...] = SEED
) -> Iterator[Float64]:
    """How often each unit is drawn: float64 [chunk, units], chunk after chunk, `resamples` rows in all.

    Units are drawn with replacement, as many as there are. The rows do not depend on where chunks end.
    """
    rng = np.random.default_rng(seed)
    chunk = max(1, CHUNK_BYTES // (_BYTES_PER_DRAW * units))
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        places = rng.integers(units, size=(rows, units))
        places += units * np.arange(rows)[:, None]
        counts = np.bincount(places.ravel(), minlength=rows * units)
        yield counts.reshape(rows, units).astype(np.float64)


def resampled_means(
    values: Float64, resamples: int = RESAMPLES, seed: int | tuple[int, ...] = SEED
) -> Float64:
    """Means of columns over resampled units, float64 [resamples, columns].

    `values`: [units, columns], NaN where a unit has none; it then counts for nothing. A resample that holds no value
    of a column at all is NaN.
    """
    known = ~np.isnan(values)
    filled, whole = np.where(known, values, 0.0), bool(known.all())
    found = []
    for weights in resample_weights(len(values), resamples, seed):
        counts = weights.sum(axis=1, keepdims=True) if whole else weights @ known
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append((weights @ filled) / counts)
    return np.concatenate(found)


def intervals_of_means(values: Float64, resamples: int = RESAMPLES) -> Float64:
    """95 % intervals of the means of columns, float64 [2, columns], of `resampled_means` with `SEED`.

    Many columns are drawn for in blocks, the same resamples for each, so that their estimates need little memory.
    """
    block = max(1, CHUNK_BYTES // (16 * resamples))
    starts = range(0, values.shape[1], block)
    found = [percentile_interval(resampled_means(values[:, at : at + block], resamples)) for at in starts]
    return np.concatenate(found, axis=1)


def percentile_interval(estimates: Float64, share: float = 0.95) -> Float64:
    """Ends that hold `share` of the estimates in their middle, float64 [2, columns], of [resamples, columns].

    NaN estimates count for nothing; a column of nothing else is NaN.
    """
    tail = 100.0 * (1.0 - share) / 2.0
    found = np.full((2, estimates.shape[1]), np.nan)
    for index, column in enumerate(estimates.T):
        known = column[~np.isnan(column)]
        if len(known):
            found[:, index] = np.percentile(known, [tail, 100.0 - tail])
    return found
