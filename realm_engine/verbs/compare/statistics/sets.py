"""How far a set of pictures is from another, by features of a network: kernel and Frechet distance."""

from __future__ import annotations

import numpy as np

from realm_engine.arrays import Float64
from realm_engine.verbs.compare.statistics.bootstrap import SEED

SUBSETS = 100
SUBSET_SIZE = 1_000


def standardised(features: Float64, reference: Float64) -> Float64:
    """Features [n, d] in standard deviations from the mean of the reference's [m, d]; constant ones only shifted."""
    deviation = reference.std(axis=0)
    return np.asarray((features - reference.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0))


def squared_mmd(first: Float64, second: Float64) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3, of [n, d] and [m, d], n and m > 1.

    It is 0 on the average for two samples of one distribution, and may be negative (Gretton et al., 2012).
    """
    n, m, d = len(first), len(second), first.shape[1]

    def kernel(a: Float64, b: Float64) -> Float64:
        return np.asarray((a @ b.T / d + 1.0) ** 3)

    own, other = kernel(first, first), kernel(second, second)
    inside = (own.sum() - np.trace(own)) / (n * (n - 1)) + (other.sum() - np.trace(other)) / (m * (m - 1))
    return float(inside - 2.0 * kernel(first, second).mean())


def kernel_distance(
    features: Float64, reference: Float64, subsets: int = SUBSETS, size: int = SUBSET_SIZE, seed: int = SEED
) -> tuple[float, float]:
    """Mean and standard deviation of `squared_mmd` over random subsets, of at most `size` of each side.

    Not what is known as KID: the features are not Inception's. The deviation is 0 where subsets are all of both sides.
    """
    rng = np.random.default_rng(seed)
    count = min(size, len(features), len(reference))
    if count == len(features) == len(reference):
        return squared_mmd(features, reference), 0.0
    found = [
        squared_mmd(
            features[rng.choice(len(features), count, replace=False)],
            reference[rng.choice(len(reference), count, replace=False)],
        )
        for _ in range(subsets)
    ]
    return float(np.mean(found)), float(np.std(found))


def frechet_distance(features: Float64, reference: Float64) -> float:
    """Squared Frechet distance of two Gaussians with the means and covariances (n - 1) of [n, d] and [m, d]."""
    shift = features.mean(axis=0) - reference.mean(axis=0)
    first, second = np.cov(features, rowvar=False), np.cov(reference, rowvar=False)
    values, vectors = np.linalg.eigh(np.atleast_2d(first))
    root = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    shared = np.linalg.eigvalsh(root @ np.atleast_2d(second) @ root)
    return float(
        shift @ shift + np.trace(first) + np.trace(second) - 2.0 * np.sqrt(np.clip(shared, 0.0, None)).sum()
    )
