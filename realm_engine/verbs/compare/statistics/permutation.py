"""Two-sided permutation tests of a difference of means, and Holm's correction of many of them.

p = (1 + draws at least as extreme) / (1 + draws), which is never 0 and never too small (Phipson and Smyth, 2010).
"""

from __future__ import annotations

import numpy as np

from realm_engine.arrays import Float64
from realm_engine.verbs.compare.statistics.bootstrap import SEED

DRAWS = 9_999
_CHUNK_BYTES = 16 << 20
# A draw that gives the observed difference in another order of summation differs in the last bits.
_ROUNDING = 1e-9


def sign_flip_p(differences: Float64, draws: int = DRAWS, seed: int = SEED) -> Float64:
    """p values of means of paired differences being 0, float64 [columns].

    `differences`: [pairs, columns], NaN where one side is missing. Were both sides alike, each difference could as
    well have the other sign, so signs are drawn, the same for all columns. NaN for a column without a difference.
    """
    known = ~np.isnan(differences)
    filled = np.where(known, differences, 0.0)
    observed = np.abs(filled.sum(axis=0))  # sums order as means do: the number of pairs stays the same
    rng = np.random.default_rng(seed)
    extreme = np.zeros(filled.shape[1], dtype=np.int64)
    chunk = max(1, _CHUNK_BYTES // (9 * max(len(filled), 1)))
    for start in range(0, draws, chunk):
        rows = min(chunk, draws - start)
        signs = 2.0 * rng.integers(0, 2, size=(rows, len(filled)), dtype=np.int8) - 1.0
        extreme += (np.abs(signs @ filled) >= observed * (1.0 - _ROUNDING)).sum(axis=0)
    return np.where(known.any(axis=0), (1.0 + extreme) / (1.0 + draws), np.nan)


def label_p(first: Float64, second: Float64, draws: int = DRAWS, seed: int = SEED) -> Float64:
    """p values of two groups having one mean, float64 [columns], of [n, columns] and [m, columns] without NaN.

    Were the groups alike, any n of all n + m rows could be the first group, so such groups are drawn, the same rows for
    all columns. Extreme is a difference of means at least as far from 0. NaN where a group is empty.
    """
    if not len(first) or not len(second):
        return np.full(first.shape[1], np.nan)
    pooled = np.concatenate([first, second])
    pooled -= pooled.mean(axis=0)
    total, n, m = pooled.sum(axis=0), len(first), len(second)

    def distance(sums: Float64) -> Float64:
        return np.asarray(np.abs(sums / n - (total - sums) / m))

    observed = distance(pooled[:n].sum(axis=0))
    rng = np.random.default_rng(seed)
    extreme = np.zeros(pooled.shape[1], dtype=np.int64)
    chunk = max(1, _CHUNK_BYTES // (24 * (n + m)))
    for start in range(0, draws, chunk):
        rows = min(chunk, draws - start)
        keys = rng.random((rows, n + m))  # the n smallest are the first group: faster than to shuffle labels
        drawn = (keys < np.partition(keys, n, axis=1)[:, n : n + 1]).astype(np.float64)
        extreme += (distance(drawn @ pooled) >= observed * (1.0 - _ROUNDING)).sum(axis=0)
    return np.asarray((1.0 + extreme) / (1.0 + draws))


def holm(p: Float64) -> Float64:
    """p values corrected for being many, by Holm's step-down method, in any shape; NaN stays and is not counted."""
    flat = np.asarray(p, dtype=np.float64).ravel()
    corrected = np.full(flat.shape, np.nan)
    order = [index for index in np.argsort(flat, kind="stable") if not np.isnan(flat[index])]
    if order:
        steps = flat[order] * np.arange(len(order), 0, -1)
        corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected.reshape(np.shape(p))
