"""Local contrast as the originals of NIQE and BRISQUE count it, float64: what the profile "published" reads.

It is not what the graphs give (docs/measures.md): where a window of 7 x 7 px is flat, the deviation is the square root
of what rounding leaves of a difference of two equal numbers, and its sign decides features.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np

from realm_engine.arrays import Array, Float64, UInt8
from realm_engine.measures.nss import BLOCK_PX, SCALES

LUMA = (0.298936021293775, 0.587043074451121, 0.114020904255103)
RADIUS, SIGMA = 3, 7 / 6


def moments_of_blocks(pixels: UInt8) -> Float64:
    """Moments [blocks, 2, 5, 6] of the blocks of a picture uint8 [H, W, 3], its edges repeated."""
    return in_blocks(_contrasts(whole_blocks(luma(pixels)), "edge"))


def moments_of_whole(pixels: UInt8) -> Float64:
    """Moments [2, 5, 6] of a picture uint8 [H, W, 3], black around it."""
    return np.stack([moments(contrast) for contrast in _contrasts(luma(pixels), "constant")])


def whole_blocks(levels: Float64) -> Float64:
    """The upper left part of a picture that is whole blocks."""
    rows, columns = (length // BLOCK_PX * BLOCK_PX for length in levels.shape)
    return levels[:rows, :columns]


def in_blocks(contrasts: Iterable[Float64]) -> Float64:
    """Moments [blocks, 2, 5, 6] of the contrast at both scales, of whole blocks."""
    scales = []
    for scale, contrast in enumerate(contrasts):
        side = BLOCK_PX >> scale
        rows, columns = (length // side for length in contrast.shape)
        blocks = contrast.reshape(rows, side, columns, side).swapaxes(1, 2)
        scales.append(moments(blocks.reshape(rows * columns, side, side)))
    return np.stack(scales, axis=1)


def luma(pixels: UInt8) -> Float64:
    """Whole levels of grey [H, W]."""
    return np.asarray(np.floor(pixels @ np.array(LUMA) + 0.5))


def _contrasts(levels: Float64, edges: str) -> Iterator[Float64]:
    """(y - mean) / (deviation + 1) at full size and at half of it."""
    for scale in range(SCALES):
        if scale:
            levels = halved(levels)
        mean = _smoothed(levels, edges)
        deviation = np.sqrt(np.abs(_smoothed(levels * levels, edges) - mean * mean))
        yield (levels - mean) / (deviation + 1)


@cache
def _window() -> Float64:
    """The 7 x 7 weights, sum 1."""
    along = np.exp(-(np.arange(-RADIUS, RADIUS + 1) ** 2) / (2 * SIGMA**2))
    window = np.outer(along, along)
    return np.asarray(window / window.sum())


def _smoothed(levels: Float64, edges: str) -> Float64:
    padded = np.pad(levels, RADIUS, mode=edges)  # type: ignore[call-overload]
    height, width = levels.shape
    total = np.zeros_like(levels)
    for (row, column), weight in np.ndenumerate(_window()):
        total += weight * padded[row : row + height, column : column + width]
    return total


def halved(levels: Float64) -> Float64:
    """Half size, rounded up: bicubic, a = -0.5, over 8 neighbours, mirrored at the edges."""
    return _half_the_rows(_half_the_rows(levels).T).T


def _half_the_rows(levels: Float64) -> Float64:
    t = np.abs(np.arange(8) - 3.5) / 2
    weights = np.where(t <= 1, 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2)
    padded = np.pad(levels, ((3, 4), (0, 0)), mode="symmetric")
    end = 2 * ((len(levels) + 1) // 2)
    taps = (padded[tap : tap + end : 2] * weight for tap, weight in enumerate(weights / weights.sum()))
    return np.asarray(sum(taps))


def moments(contrast: Float64) -> Float64:
    """[..., 5, 6] of fields [..., h, w]; see `realm_engine.measures.nss`."""
    beside, below = np.roll(contrast, 1, axis=-1), np.roll(contrast, 1, axis=-2)
    diagonal = np.roll(below, 1, axis=-1)
    fields = (contrast, contrast * beside, contrast * below, contrast * diagonal, beside * below)
    return np.stack([_moments_of(field.reshape(*field.shape[:-2], -1)) for field in fields], axis=-2)


def _moments_of(values: Float64) -> Array:
    below, above = values < 0, values > 0
    square = values * values
    return np.stack(
        [
            np.full(values.shape[:-1], float(values.shape[-1])),
            below.sum(axis=-1),
            above.sum(axis=-1),
            np.abs(values).sum(axis=-1),
            np.where(below, square, 0.0).sum(axis=-1),
            np.where(above, square, 0.0).sum(axis=-1),
        ],
        axis=-1,
    )
