"""A subset of windows for nearly the same map: compute where it matters, interpolate the rest.

Neighbouring windows share most of their pixels, and a map is a mean over the windows that cover a pixel, so
most similarities can be interpolated. Two things decide which ones are worth computing:

* how much of the map hangs on a window: a corner pixel is covered by one window alone, a pixel inside by
  `overlap`^2 of them, so an error at the border shows undiluted;
* how much the similarities change around it, known once the first half of the budget has been computed.

Within these densities windows follow a low-discrepancy sequence, not a regular grid: on real images that alone
halves the squared error of the map, while bilinear, cubic and kriging interpolation differ little.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from realm_engine.arrays import Bool, Float32, Float64, Int64
from realm_engine.errors import UsageError
from realm_engine.maps.windows import coverage

Encode = Callable[[Int64], Float32]

FAST_FRACTION = 0.2
FAST = "fast"
"""The preset that every bundle with maps has: its recommended one with fewer windows."""
"""Of 64 px windows at stride 8: keeps a map's Pearson to the full grid at 0.99 or over for nearly all images."""

MIN_WINDOWS = 16
"""Never fewer windows than this (or all): less is no basis for interpolation."""

_FIRST_SHARE = 0.5  # of the budget; the rest goes where the first windows show change
_EXPONENT = 0.4  # density ~ (influence x variance)^0.4 minimises the error of means over a rough field
_FLAT = 0.1  # change assumed where none was seen, in units of the mean
_SCALES = (2.0, 1.0, 0.5)  # of the Gaussians that interpolate, in distances between computed windows


def fast_fraction(window_px: int, stride_px: int) -> float:
    """Share of the windows of one scale that the fast mode computes, in (0, 1].

    `FAST_FRACTION` where 8 windows cover a pixel along an axis (64 px at stride 8). A finer stride needs a
    smaller share (0.05 for 128 px at stride 4), a coarser one a larger (0.57 at stride 16, all at 32), because
    a window in between then shares less with its neighbours.
    """
    coarseness = 8.0 * stride_px / window_px
    return min(1.0, FAST_FRACTION * coarseness * max(1.0, math.sqrt(coarseness)))


def windows_to_compute(count: int, fraction: float) -> int:
    """How many of `count` windows are computed where a fraction of them is to be. See `adaptive_similarities`."""
    return min(count, max(math.ceil(fraction * count), MIN_WINDOWS))


def adaptive_similarities(
    rows: int, cols: int, fraction: float, encode: Encode, overlap: float = 8.0
) -> tuple[Float32, Bool]:
    """Similarities of a whole window grid from a share of its windows.

    Deterministic; `encode` is called once where all windows are computed, else twice, and never for
    the same window again. Constant and linear fields come back exact to rounding.

    Args:
        rows: Rows of the window grid.
        cols: Columns of it.
        fraction: Share of the windows to compute, over 0 up to 1; 1 is exactly the full grid. At least
            `MIN_WINDOWS` are computed, or all where there are fewer.
        encode: Indices of windows, row by row, int64 (n,) ascending -> their similarities, float32 (n, K).
        overlap: Windows that cover a pixel along one axis: window / stride.

    Returns:
        Similarities, float32 (rows * cols, K), and which of them were computed, bool (rows * cols,).

    Raises:
        UsageError: the fraction is not over 0 and up to 1.
    """
    if not 0.0 < fraction <= 1.0:
        raise UsageError(f"the fraction of windows is {fraction:g}; give a number over 0, up to 1")
    count = rows * cols
    budget = windows_to_compute(count, fraction)
    if budget == count:
        return _encoded(encode, np.arange(count, dtype=np.int64)), np.ones(count, dtype=np.bool_)

    influence = np.outer(_influence(rows, overlap), _influence(cols, overlap))
    corners = np.ix_((0, rows - 1), (0, cols - 1))
    computed = np.zeros((rows, cols), dtype=np.bool_)
    computed[corners] = True
    computed |= _best(influence, computed, round(_FIRST_SHARE * budget) - int(computed.sum()))
    first = np.flatnonzero(computed)
    first_values = _encoded(encode, first)

    known = np.zeros((first_values.shape[1], rows, cols))
    known[:, computed] = first_values.T
    change = _change(known, computed)
    added = _best(influence * change, computed, budget - len(first))
    second = np.flatnonzero(added)
    second_values = _encoded(encode, second)
    known[:, added] = second_values.T
    computed |= added

    values = _interpolate(known, computed).reshape(len(known), count).T.astype(np.float32)
    values[first], values[second] = first_values, second_values
    return values, computed.ravel()


def _encoded(encode: Encode, indices: Int64) -> Float32:
    values = encode(indices)
    if values.ndim != 2 or len(values) != len(indices):
        raise ValueError(f"encode gave shape {values.shape} for {len(indices)} windows")
    return np.asarray(values, dtype=np.float32)


def _influence(windows: int, overlap: float) -> Float64:
    """Squared weights of each window of one axis over the map, 1 for the least, float64 (windows,)."""
    span = max(1, round(overlap))
    squared = (coverage(windows + span - 1, span, 1) ** 2).sum(axis=0)
    return np.asarray(squared / squared.min())


def _best(value: Float64, taken: Bool, count: int) -> Bool:
    """The next `count` windows not taken yet, spread evenly at a density of about value^0.4, bool (rows, cols).

    The thresholds are the two-dimensional low-discrepancy sequence R2 (M. Roberts, "The unreasonable
    effectiveness of quasirandom sequences", 2018) on the lattice. A window counts once its density passes its
    threshold, so that a later, denser choice fills the gaps of an earlier one.
    """
    row, col = np.ogrid[: value.shape[0], : value.shape[1]]
    threshold = (0.5 + 0.7548776662466927 * row + 0.5698402909980532 * col) % 1.0
    order = np.argsort(np.where(taken, np.inf, threshold / value**_EXPONENT), axis=None, kind="stable")
    chosen = np.zeros(value.size, dtype=np.bool_)
    chosen[order[: max(0, count)]] = True
    return chosen.reshape(value.shape) & ~taken


def _change(known: Float64, computed: Bool) -> Float64:
    """How much similarities change around every window, about 1 on average, float64 (rows, cols)."""
    field = _interpolate(known, computed)
    down = np.diff(field, axis=1, prepend=field[:, :1])
    across = np.diff(field, axis=2, prepend=field[:, :, :1])
    squared = (down**2 + across**2).sum(axis=0)
    blur_rows, blur_cols = _gaussians(computed, 1.0)
    local = (blur_rows @ squared @ blur_cols) / (blur_rows @ np.ones_like(squared) @ blur_cols)
    # Where the model answers NaN, windows are still chosen, and the values say so.
    return np.asarray(_FLAT + np.nan_to_num(local / max(float(local.mean()), 1e-30), nan=1.0))


def _interpolate(known: Float64, computed: Bool) -> Float64:
    """Fields through the computed windows, (K, rows, cols) -> the same shape.

    A plane by least squares, then successive corrections of what is left by Gaussian means of growing
    sharpness (S. Barnes, "A technique for maximizing details in numerical weather map analysis", 1964).
    """
    rows, cols = np.nonzero(computed)
    height, width = computed.shape
    # The pseudo-inverse, because the planes through a single row or column are not unique.
    plane = np.linalg.pinv(np.stack([np.ones(len(rows)), rows, cols], axis=1)) @ known[:, rows, cols].T
    field = (
        plane[0][:, None, None]
        + plane[1][:, None, None] * np.arange(height)[:, None]
        + plane[2][:, None, None] * np.arange(width)
    )
    for scale in _SCALES:
        blur_rows, blur_cols = _gaussians(computed, scale)
        weight = blur_rows @ computed.astype(np.float64) @ blur_cols
        # Far from every computed window the weight vanishes, and with the small term the correction as well.
        field = field + blur_rows @ np.where(computed, known - field, 0.0) @ blur_cols / (weight + 1e-6)
    return np.where(computed, known, field)


def _gaussians(computed: Bool, scale: float) -> tuple[Float64, Float64]:
    """Gaussian blurs of rows and columns, `scale` times the mean distance between computed windows wide."""
    sigma = scale * math.sqrt(computed.size / int(computed.sum()))

    def blur(length: int) -> Float64:
        distance = np.arange(length)[:, None] - np.arange(length)
        return np.asarray(np.exp(-0.5 * (distance / sigma) ** 2))

    return blur(computed.shape[0]), blur(computed.shape[1])
