"""Pillow's resampling as a matrix, so that resizing is two matrix products on any device."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from realm_engine.arrays import Float32, Float64

# Pillow's fixed-point precision for 8-bit images: 32 bits - 8 of the pixel - 2 of headroom (Resample.c).
PRECISION_BITS = 22
# One matrix of a 6000 px photograph is 9 MB at 384 px: photographs of many sizes must not add up.
KEPT_BYTES = 64 << 20

_kept: dict[tuple[int, Span, str], Float32] = {}
_lock = threading.Lock()


def _bilinear(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _bicubic(x: float) -> float:
    a = -0.5
    x = abs(x)
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    if x < 2.0:
        return (((x - 5) * x + 8) * x - 4) * a
    return 0.0


_FILTERS: dict[str, tuple[Callable[[float], float], float]] = {
    "bilinear": (_bilinear, 1.0),
    "bicubic": (_bicubic, 2.0),
}


@dataclass(frozen=True)
class Span:
    """What a view takes of an axis resized to `resized_px`: its pixels from `first_px` on, `count_px` of them."""

    resized_px: int
    first_px: int
    count_px: int

    @classmethod
    def whole(cls, resized_px: int) -> Span:
        """All of it."""
        return cls(resized_px, 0, resized_px)

    @property
    def pixels(self) -> range:
        """Those that are taken."""
        return range(self.first_px, self.first_px + self.count_px)


def resample_matrix(in_size: int, out_size: int, filter: str, rows: range | None = None) -> Float64:
    """Return R, float64 (out_size, in_size), with which Pillow resizes one axis from in_size to out_size.

    `rows`: of R those alone, since each depends on nothing but its own weights.


    `floor(R @ pixels + 0.5)` clipped to 0..255, per pass, horizontal first, equals
    `Image.resize(..., Resampling.BILINEAR | BICUBIC)` of an 8-bit image bit for bit in float64. (From
    version 13 Pillow takes the vertical pass first when the height shrinks by more than the width does;
    square windows are never concerned, bilinear results of others then differ by 1 level here and there.)
    Coefficients are rounded to 2^-22 as in Pillow's Resample.c (`precompute_coeffs`,
    `normalize_coeffs_8bpc`); the filter widens when shrinking. Equal sizes give the identity.
    Raises ValueError for a size below 1 or an unknown filter.
    """
    if in_size < 1 or out_size < 1:
        raise ValueError(f"sizes must be at least 1, got {in_size} -> {out_size}")
    if filter not in _FILTERS:
        raise ValueError(f"unknown filter {filter!r}; choose one of {', '.join(_FILTERS)}")
    rows = range(out_size) if rows is None else rows
    if in_size == out_size:
        return np.eye(len(rows), in_size, rows.start)
    kernel, support = _FILTERS[filter]
    scale = in_size / out_size
    filter_scale = max(scale, 1.0)
    reach = support * filter_scale
    matrix = np.zeros((len(rows), in_size))
    for kept, row in enumerate(rows):
        center = (row + 0.5) * scale
        first = max(int(center - reach + 0.5), 0)
        last = min(int(center + reach + 0.5), in_size)
        # A plain loop, in Pillow's order of operations: a vectorised sum may round differently.
        weights = [kernel((x - center + 0.5) * (1.0 / filter_scale)) for x in range(first, last)]
        total = 0.0
        for weight in weights:
            total += weight
        for x, weight in zip(range(first, last), weights, strict=True):
            share = weight / total if total != 0.0 else weight
            fixed = math.trunc(share * (1 << PRECISION_BITS) + math.copysign(0.5, share))
            matrix[kept, x] = fixed / (1 << PRECISION_BITS)
    return matrix


def resample_matrix_float32(in_size: int, out: int | Span, filter: str) -> Float32:
    """`resample_matrix` as the graphs take it, float32 (out, in_size), made once per sizes and filter.

    `out`: the size of the resized axis, or what is taken of it.

    Those used last are kept, `KEPT_BYTES` of them. Every caller gets the same array: read only. Raises ValueError
    as `resample_matrix`.
    """
    span = out if isinstance(out, Span) else Span.whole(out)
    key = (in_size, span, filter)
    with _lock:
        matrix = _kept.pop(key, None)
        if matrix is None:
            matrix = resample_matrix(in_size, span.resized_px, filter, span.pixels).astype(np.float32)
            room = KEPT_BYTES - matrix.nbytes
            while _kept and sum(other.nbytes for other in _kept.values()) > room:
                del _kept[next(iter(_kept))]
        if matrix.nbytes <= KEPT_BYTES:
            _kept[key] = matrix  # the last of them: a dict keeps its order
    return matrix
