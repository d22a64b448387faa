"""How a backbone looks at a picture: the centre of it, at a size of the backbone's choice."""

from dataclasses import dataclass

from realm_engine.arrays import UInt8
from realm_train.probe.views import PUBLISHED_PX, PUBLISHED_SHORT_PX, centre_crop, short_side_to


@dataclass(frozen=True)
class CentreCrop:
    """The short side resized to `short_px` (by Pillow), and of that the centre.

    Attributes:
        short_px: Of the short side.
        size_px: Of the square that is left, at most `short_px`.
        interpolation: "bilinear" or "bicubic".
    """

    short_px: int
    size_px: int
    interpolation: str = "bilinear"

    def of(self, pixels: UInt8) -> UInt8:
        """uint8 RGB (H, W, 3) -> uint8 (size_px, size_px, 3)."""
        return centre_crop(short_side_to(pixels, self.short_px, self.interpolation), self.size_px)


PUBLISHED = CentreCrop(PUBLISHED_SHORT_PX, PUBLISHED_PX)
"""Of the published probes, and of ImageNet's networks: the centre 224 px of a picture of 256 px."""
