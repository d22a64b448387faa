"""Pictures in one array, and the matrices that resize them: one pair for all of one size, or one for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from realm_engine.arrays import Float32, UInt8
from realm_engine.pictures.resample import resample_matrix_float32

# Heights and widths of an array that holds pictures of several sizes. Those of one call lie within one step of each
# other, so that no more than about half of what is resized are zeros; larger pictures go with their equals alone.
SIDES_PX = (256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)


LARGE_PX = 16 << 20  # from here on a picture is resized in strips before a graph sees it
STRIP_PX = 1 << 20


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
        return cls(np.stack(pictures), tuple((each.shape[0], each.shape[1]) for each in pictures))

    @classmethod
    def of_many_sizes(cls, pictures: Sequence[UInt8]) -> Together:
        """Pictures uint8 [h, w, 3] in an array whose height and width are of `SIDES_PX`."""
        height, width = (side_px(max(each.shape[axis] for each in pictures)) for axis in (0, 1))
        pixels = np.zeros((len(pictures), height, width, 3), dtype=np.uint8)
        for row, each in zip(pixels, pictures, strict=True):
            row[: each.shape[0], : each.shape[1]] = each
        return cls(pixels, tuple((each.shape[0], each.shape[1]) for each in pictures))

    def narrowed(self, out_px: int, interpolation: str) -> Together:
        """The same with columns resized to `out_px`, as graphs do it, but in strips: uint8 [N, H, out_px, 3].

        A graph holds several numbers for every pixel at once, which of a hundred megapixels are gigabytes.
        """
        pixels = np.zeros((*self.pixels.shape[:2], out_px, 3), dtype=np.uint8)
        for row, picture, (height, width) in zip(pixels, self.pixels, self.sizes_px, strict=True):
            columns = resample_matrix_float32(width, out_px, interpolation)
            step = max(1, STRIP_PX // width)
            for top in range(0, height, step):
                strip = picture[top : min(height, top + step), :width].transpose(0, 2, 1).astype(np.float32)
                wide = (strip.reshape(-1, width) @ columns.T).reshape(len(strip), 3, out_px)
                row[top : top + len(strip)] = np.clip(np.floor(wide + np.float32(0.5)), 0, 255).transpose(
                    0, 2, 1
                )
        return Together(pixels, tuple((height, out_px) for height, _ in self.sizes_px))

    def resample(self, axis: int, out_px: int, interpolation: str) -> Float32:
        """The matrices that resize an axis (0: rows, 1: columns) to `out_px`.

        float32 [M, out_px, H or W]: M is 1 where all pictures have one size along it, else N. What stands for pixels
        beyond a picture is 0, so that they count for nothing.
        """
        held = self.pixels.shape[1 + axis]
        lengths = [size[axis] for size in self.sizes_px]
        if len(set(lengths)) == 1:
            lengths = lengths[:1]
        if lengths == [held]:
            return resample_matrix_float32(held, out_px, interpolation)[None]
        matrices = np.zeros((len(lengths), out_px, held), dtype=np.float32)
        for matrix, length in zip(matrices, lengths, strict=True):
            matrix[:, :length] = resample_matrix_float32(length, out_px, interpolation)
        return matrices
