"""Who wins how often: shares with Wilson's interval, and strengths by Bradley and Terry."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from realm_engine.arrays import Float64
from realm_engine.verbs.compare.statistics.bootstrap import SEED, percentile_interval, resample_weights

RANKING_RESAMPLES = 1_000
POINTS = 400.0 / math.log(10.0)
"""Of the usual scale (400 points: ten wins to one) in one unit of strength, which is a natural logarithm."""
_TOLERANCE = 1e-10
_MOST_STEPS = 10_000


def wins(first: Float64, second: Float64, higher_wins: bool = True) -> Float64:
    """1 where the first is better, 0.5 for a tie, 0 where the second is; NaN where one is missing. Any shape."""
    ahead = np.sign(first - second) if higher_wins else np.sign(second - first)
    return np.asarray((1.0 + ahead) / 2.0)


def wilson(won: float, games: int, share: float = 0.95) -> tuple[float, float]:
    """Interval of a share by Wilson's score; `won` may hold halves. (0, 1) without a game."""
    if games == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + share / 2.0)
    found, square = won / games, z * z / games
    centre = (found + square / 2.0) / (1.0 + square)
    width = z * math.sqrt(found * (1.0 - found) / games + square / (4.0 * games)) / (1.0 + square)
    return max(0.0, centre - width), min(1.0, centre + width)


def strengths(won: Float64) -> Float64:
    """Bradley-Terry strengths, natural logarithms of mean 0, float64 [..., n], of wins [..., n, n].

    `won[..., i, j]`: how often i won against j, ties half. Half a win is added to each side of every pair, which keeps
    the strength of one that always wins finite. By minorise-maximise steps (Hunter, 2004) until none moves a
    logarithm by more than 1e-10.
    """
    n = won.shape[-1]
    counted = won + 0.5 * (1.0 - np.eye(n))
    games, total = counted + np.swapaxes(counted, -1, -2), counted.sum(axis=-1)
    logs = np.zeros(total.shape)
    for _ in range(_MOST_STEPS):
        skill = np.exp(logs)
        shared = games / (skill[..., :, None] + skill[..., None, :])
        moved = np.log(total) - np.log(shared.sum(axis=-1))
        moved -= moved.mean(axis=-1, keepdims=True)
        step = float(np.abs(moved - logs).max())
        logs = moved
        if step < _TOLERANCE:
            break
    return np.asarray(logs)


def ranking(
    values: Float64, higher_wins: bool, resamples: int = RANKING_RESAMPLES, seed: int = SEED
) -> tuple[Float64, Float64]:
    """Points of n players, 1000 on the average, and their 95 % intervals: float64 [n] and [2, n].

    `values`: [games, n], each row one game of all against all (a prompt), NaN where a player is missing. The intervals
    are from the first of the resamples that `bootstrap.resample_weights` draws of as many units.
    """
    count, n = values.shape
    each = wins(values[:, :, None], values[:, None, :], higher_wins)
    each[:, np.arange(n), np.arange(n)] = 0.0
    flat = np.nan_to_num(each).reshape(count, n * n)
    found = strengths(flat.sum(axis=0).reshape(n, n))
    drawn = [
        strengths((weights @ flat).reshape(-1, n, n)) for weights in resample_weights(count, resamples, seed)
    ]
    ends = percentile_interval(np.concatenate(drawn))
    return 1000.0 + POINTS * found, 1000.0 + POINTS * ends
