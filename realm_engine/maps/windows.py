"""Geometry of sliding windows: where they are, which pixels they cover, and maps made from them.

All functions are pure. A window at (top, left) covers rows top..top+window-1 and the same columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from realm_engine.arrays import Bool, Float32, Float64, Int64
from realm_engine.errors import WindowError

KEPT_COVERAGE = 1 << 18  # numbers in a coverage matrix that is kept for the next map: 2 MB


@dataclass(frozen=True)
class WindowGrid:
    """Square windows of one size over an image of height x width pixels.

    Raises WindowError for a window that does not fit, naming the largest that does.
    """

    height: int
    width: int
    window_px: int
    stride_px: int

    def __post_init__(self) -> None:
        if self.window_px < 1 or self.stride_px < 1:
            raise WindowError(
                f"window {self.window_px} px and stride {self.stride_px} px must both be at least 1"
            )
        largest = min(self.height, self.width)
        if self.window_px > largest:
            raise WindowError(
                f"a window of {self.window_px} px does not fit an image of {self.width} x {self.height} px; "
                f"the largest that fits is {largest} px"
            )

    @property
    def rows(self) -> int:
        """Number of window rows."""
        return (self.height - self.window_px) // self.stride_px + 1

    @property
    def cols(self) -> int:
        """Number of windows in a row."""
        return (self.width - self.window_px) // self.stride_px + 1

    @property
    def count(self) -> int:
        """Number of windows."""
        return self.rows * self.cols

    def origins(self) -> tuple[Int64, Int64]:
        """(top, left) of every window, each int64 (count,), row by row."""
        tops = origins(self.height, self.window_px, self.stride_px)
        lefts = origins(self.width, self.window_px, self.stride_px)
        return np.repeat(tops, self.cols), np.tile(lefts, self.rows)


def origins(length: int, window: int, stride: int) -> Int64:
    """First pixels of the windows along one axis, int64: `range(0, length - window + 1, stride)`."""
    return np.arange(0, length - window + 1, stride, dtype=np.int64)


def box_shares(firsts: Int64, window: int, cells: int, cell: int) -> Float32:
    """How much of each window lies in each cell along one axis, float32 (windows, cells); rows sum to 1.

    Windows of `window` pixels begin at `firsts`; cell i covers `cell` pixels from i * cell.
    """
    start, edge = firsts[:, None], np.arange(cells)[None, :] * cell
    overlap = np.minimum(start + window, edge + cell) - np.maximum(start, edge)
    return np.asarray(np.maximum(overlap, 0) / window, dtype=np.float32)


def coverage(length: int, window: int, stride: int) -> Float64:
    """Which windows cover which pixel along one axis, float64 (length, windows).

    Rows are 0/1 divided by their sum, so that a product with window values is a mean over the
    covering windows; rows of pixels that no window covers are 0. Read-only: that of a usual size is made once.
    """
    count = max(0, length - window) // stride + 1
    return (_coverage if length * count <= KEPT_COVERAGE else _coverage.__wrapped__)(length, window, stride)


@lru_cache(maxsize=32)
def _coverage(length: int, window: int, stride: int) -> Float64:
    first = origins(length, window, stride)
    pixel = np.arange(length)[:, None]
    covers = ((pixel >= first) & (pixel < first + window)).astype(np.float64)
    shares: Float64 = covers / np.maximum(covers.sum(axis=1, keepdims=True), 1.0)
    shares.flags.writeable = False
    return shares


def spread_mean(values: npt.NDArray[np.floating], grid: WindowGrid) -> Float64:
    """Mean over the windows that cover each pixel, (rows, cols) -> float64 (height, width), else 0."""
    if values.shape != (grid.rows, grid.cols):
        raise ValueError(f"values have shape {values.shape}, the grid {(grid.rows, grid.cols)}")
    down = coverage(grid.height, grid.window_px, grid.stride_px)
    across = coverage(grid.width, grid.window_px, grid.stride_px)
    return np.asarray(down @ values.astype(np.float64) @ across.T)


def covered(grid: WindowGrid) -> Bool:
    """Pixels that at least one window covers, bool (height, width): all but a strip at the right and bottom.

    With a stride larger than the window there are gaps between windows as well.
    """
    down = coverage(grid.height, grid.window_px, grid.stride_px).sum(axis=1) > 0
    across = coverage(grid.width, grid.window_px, grid.stride_px).sum(axis=1) > 0
    return np.asarray(np.logical_and.outer(down, across))


def covered_by_any(grids: Sequence[WindowGrid]) -> Bool:
    """Pixels that a window of at least one scale covers, bool (height, width)."""
    mask = covered(grids[0])
    for grid in grids[1:]:
        mask |= covered(grid)
    return mask


def spread_scales(
    values: Sequence[npt.NDArray[np.floating]], grids: Sequence[WindowGrid], aggregate: str
) -> Float64:
    """Combine window values of several scales into one map, float64 (height, width).

    Each scale is first spread by `spread_mean`. Per pixel the scales that cover it are then combined
    by "mean" or "max"; a pixel that no scale covers is NaN.
    """
    shape = (grids[0].height, grids[0].width)
    if len(grids) == 1:
        only = spread_mean(values[0], grids[0])
        only[~covered(grids[0])] = np.nan
        return only
    total = np.full(shape, -np.inf) if aggregate == "max" else np.zeros(shape)
    scales = np.zeros(shape, dtype=np.int32)
    for scale_values, grid in zip(values, grids, strict=True):
        spread, mask = spread_mean(scale_values, grid), covered(grid)
        if aggregate == "max":
            np.maximum(total, spread, out=total, where=mask)
        else:
            np.add(total, spread, out=total, where=mask)
        scales += mask
    if aggregate != "max":
        total /= np.maximum(scales, 1)
    total[scales == 0] = np.nan
    return total
