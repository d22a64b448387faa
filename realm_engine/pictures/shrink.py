"""Resizing a large picture beside the graphs, in strips: a graph holds several numbers for every pixel at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from realm_engine.arrays import Float32, UInt8
from realm_engine.pictures.resample import Span, resample_matrix_float32

# Products of this size are one thread's work to BLAS libraries, whose own threads wait for each other by spinning:
# beside a busy decoder four megapixels took 6 s instead of 0.1 s.
STRIP_PX = 1 << 15
# Outputs that are made in one product, of all inputs that any of them sees: a filter sees few, the matrix is long.
BAND_PX = 16


def resized(picture: UInt8, spans: tuple[Span, Span], interpolation: str) -> UInt8:
    """A picture uint8 [H, W, 3] resized as graphs do it, columns, then rows, and what is taken of it.

    `spans`: of its height and of its width. uint8 [height's count, width's count, 3].
    """
    height, width = picture.shape[:2]
    height_px, width_px = (span.count_px for span in spans)
    columns = _bands(resample_matrix_float32(width, spans[1], interpolation))
    narrow = np.empty((height, width_px, 3), dtype=np.uint8)
    step = max(1, STRIP_PX // width)
    for top in range(0, height, step):
        strip = picture[top : top + step].transpose(0, 2, 1).astype(np.float32)
        planes = _product(columns, strip.reshape(-1, width).T).T  # [rows * 3, width_px]
        narrow[top : top + step] = _bytes(planes).reshape(-1, 3, width_px).transpose(0, 2, 1)
    rows = _bands(resample_matrix_float32(height, spans[0], interpolation))
    found = np.empty((height_px, width_px, 3), dtype=np.uint8)
    step = max(1, STRIP_PX // height)
    for left in range(0, width_px, step):
        part = narrow[:, left : left + step].reshape(height, -1).astype(np.float32)
        found[:, left : left + step] = _bytes(_product(rows, part)).reshape(height_px, -1, 3)
    return found


@dataclass(frozen=True)
class _Band:
    """Some rows of a resampling matrix, float32 [outputs, inputs], and the inputs beyond which they are zero."""

    matrix: Float32
    outputs: slice
    inputs: slice


def _bands(matrix: Float32) -> list[_Band]:
    found = []
    for first in range(0, len(matrix), BAND_PX):
        outputs = slice(first, min(first + BAND_PX, len(matrix)))
        seen = np.flatnonzero(matrix[outputs].any(axis=0))
        inputs = slice(int(seen[0]), int(seen[-1]) + 1)
        found.append(_Band(np.ascontiguousarray(matrix[outputs, inputs]), outputs, inputs))
    return found


def _product(bands: Sequence[_Band], values: Float32) -> Float32:
    """The matrix of all bands times values [in, N], without most of its zeros: float32 [out, N]."""
    found = np.empty((bands[-1].outputs.stop, values.shape[1]), dtype=np.float32)
    for band in bands:
        np.matmul(band.matrix, values[band.inputs], out=found[band.outputs])
    return found


def _bytes(values: Float32) -> UInt8:
    """Rounded half up and clipped to 0..255, as Pillow stores what lies between its two passes."""
    found: UInt8 = np.clip(np.floor(values + np.float32(0.5)), 0, 255).astype(np.uint8)
    return found
