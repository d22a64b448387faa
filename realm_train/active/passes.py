"""T stochastic answers about a picture, by which an acquisition sees what is not known yet.

A network with dropout gives them; a linear head has none. By default the passes are heads fitted to bootstrap samples
of the labelled rows: they differ where few labels decide.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from realm_engine.arrays import Bool, Float32, Float64, Int64
from realm_train.active.heads import Heads, fit_heads

KINDS = ("bootstrap", "views", "dropout")
DROPOUT = 0.2


def fit_with_passes(
    features: Float32, fake: Bool, passes: str, count: int, c: float, generator: np.random.Generator
) -> Heads:
    """The head of the labelled rows [n, F] first and, where passes are that, heads of `count` bootstrap samples."""
    every = np.ones((1, len(fake)), dtype=np.int64)
    counts = [every, bootstrap_counts(fake, count, generator)] if passes == "bootstrap" else [every]
    return fit_heads(features, fake, np.concatenate(counts), c)


def answers(
    heads: Heads, features: Float32, passes: str, count: int, generator: np.random.Generator
) -> Float64:
    """p(fake) float64 [T, N] of features [1 + views, N, F]: T heads of samples, or views, or masks of the input."""
    if passes == "bootstrap":
        return heads.p_fake(features[0])[1:]
    if passes == "views":
        return np.stack([heads.p_fake(view)[0] for view in features[1:]])
    rows = heads.standardised(features[0])
    found = []
    for _ in range(count):
        kept = generator.random(rows.shape, dtype=np.float32) >= DROPOUT
        found.append(expit((rows * kept) @ heads.weight[0] / (1 - DROPOUT) + heads.bias[0]))
    return np.stack(found)


def bootstrap_counts(fake: Bool, count: int, generator: np.random.Generator) -> Int64:
    """How often each of n rows is in each of `count` samples, int64 [count, n]; each label is drawn for itself, so that
    every sample has both."""
    found = np.zeros((count, len(fake)), dtype=np.int64)
    for label in (False, True):
        rows = np.flatnonzero(fake == label)
        if len(rows):
            found[:, rows] = generator.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=count)
    return found
