"""The moments of `export.graph.nss` in float64 without cancellation, to prove its graphs on. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from export.graph.nss import RADIUS, STEPS, gaussian
from realm_engine.arrays import Float64, UInt8
from realm_engine.measures.contrast import halved, in_blocks, luma, moments, whole_blocks
from realm_engine.measures.nss import SCALES


def exact_moments_of_blocks(pixels: UInt8) -> Float64:
    """Of the blocks of a picture uint8 [H, W, 3]: [blocks, 2, 5, 6]."""
    return in_blocks(_contrasts(whole_blocks(luma(pixels)), "edge"))


def exact_moments_of_whole(pixels: UInt8) -> Float64:
    """Of a picture uint8 [H, W, 3]: [2, 5, 6]."""
    return np.stack([moments(contrast) for contrast in _contrasts(luma(pixels), "constant")])


def _contrasts(levels: Float64, edges: str) -> Iterator[Float64]:
    """At both scales -D / (sqrt(S - D^2) + 1), D and S the weighted sums of differences from the centre, and squares.

    Sums of differences are 0 where a window is flat.
    """
    weights = gaussian()
    for scale in range(SCALES):
        if scale:
            levels = np.floor(halved(levels) * STEPS + 0.5) / STEPS
        padded = np.pad(levels, RADIUS, mode=edges)  # type: ignore[call-overload]
        height, width = levels.shape
        first, second = np.zeros_like(levels), np.zeros_like(levels)
        for (row, column), weight in np.ndenumerate(np.outer(weights, weights)):
            difference = padded[row : row + height, column : column + width] - levels
            first += weight * difference
            second += weight * difference**2
        yield -first / (np.sqrt(np.maximum(second - first**2, 0)) + 1)
