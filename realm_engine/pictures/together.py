"""Pictures in one array, and the matrices that resize them: one pair for all of one size, or one for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from realm_engine.arrays import Float32, UInt8
from realm_engine.pictures.resample import Span, resample_matrix_float32
from realm_engine.pictures.shrink import resized

Spans: TypeAlias = Callable[[int, int], tuple[Span, Span]]
"""Height and width of a picture -> what is taken of each; as many pixels of every picture."""

# Heights and widths of an array that holds pictures of several sizes. Those of one call lie within one step of each
# other, so that no more than about half of what is resized are zeros; larger pictures go with their equals alone.
SIDES_PX = (256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)

LARGE_PX = 4 << 20
"""A picture of more pixels is resized before a graph sees it."""


def side_px(length: int) -> int:
    """The smallest of `SIDES_PX` that holds so many pixels, or the length itself where none does."""
    return next((side for side in SIDES_PX if side >= length), length)


@dataclass(frozen=True)
class Together:
    """N pictures, each in the upper left of its row, zeros beyond it.

    `pixels`: uint8 [N, H, W, 3]. `sizes_px`: height and width of each.
    """

    pixels: UInt8
    sizes_px: tuple[tuple[int, int], ...]

    @classmethod
    def of_one_size(cls, pictures: Sequence[UInt8]) -> Together:
        """Pictures uint8 [h, w, 3] that all have one size. Raises ValueError where they do not."""
        pixels = pictures[0][None] if len(pictures) == 1 else np.stack(pictures)  # a large one is not copied
        return cls(pixels, tuple((each.shape[0], each.shape[1]) for each in pictures))

    @classmethod
    def of_many_sizes(cls, pictures: Sequence[UInt8]) -> Together:
        """Pictures uint8 [h, w, 3] in an array whose height and width are of `SIDES_PX`."""
        height, width = (side_px(max(each.shape[axis] for each in pictures)) for axis in (0, 1))
        pixels = np.zeros((len(pictures), height, width, 3), dtype=np.uint8)
        for row, each in zip(pixels, pictures, strict=True):
            row[: each.shape[0], : each.shape[1]] = each
        return cls(pixels, tuple((each.shape[0], each.shape[1]) for each in pictures))

    def each(self) -> Iterator[UInt8]:
        """The pictures alone, uint8 [h, w, 3]."""
        for row, (height, width) in zip(self.pixels, self.sizes_px, strict=True):
            yield row[:height, :width]

    def shrunk(self, spans: Spans, interpolation: str) -> Together:
        """What is taken of the same pictures resized: uint8 [N, height's count, width's count, 3]."""
        each = [resized(picture, spans(*picture.shape[:2]), interpolation) for picture in self.each()]
        return Together.of_one_size(each)

    def resample(self, axis: int, spans: Spans, interpolation: str) -> Float32:
        """The matrices that resize an axis (0: rows, 1: columns), and take what is to be taken of it.

        float32 [M, count, H or W]: M is 1 where all pictures need the same along it, else N. What stands for pixels
        beyond a picture is 0, so that they count for nothing.
        """
        held = self.pixels.shape[1 + axis]
        wanted = [(size[axis], spans(*size)[axis]) for size in self.sizes_px]
        if len(set(wanted)) == 1:
            wanted = wanted[:1]
        length, span = wanted[0]
        if len(wanted) == 1 and length == held:
            return resample_matrix_float32(held, span, interpolation)[None]
        matrices = np.zeros((len(wanted), span.count_px, held), dtype=np.float32)
        for matrix, (length, span) in zip(matrices, wanted, strict=True):
            matrix[:, :length] = resample_matrix_float32(length, span, interpolation)
        return matrices
