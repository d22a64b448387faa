"""Small pictures inside a page, as many as its size allows."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from realm_engine.arrays import UInt8
from realm_engine.errors import RealmError
from realm_engine.pictures.decode import load_image

THUMBNAIL_PX = 160
MAP_PX = 320
QUALITY = 82
BUDGET_BYTES = 11_000_000
"""Of all pictures of a page, encoded: with plots and tables it stays below 15 MB."""


@dataclass(frozen=True)
class Thumbnail:
    """A picture as the `src` of an image, and its size on the page in pixels."""

    source: str
    width: int
    height: int


class Thumbnails:
    """Makes small pictures until the page is full. `left_out`: how many did not fit."""

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._left = budget_bytes
        self._made: dict[Path, Thumbnail | None] = {}
        self.left_out = 0

    def of_file(self, path: Path | None) -> Thumbnail | None:
        """A picture file, 160 px at its longer side; None where it cannot be read or the page is full."""
        if path is None:
            return None
        if path not in self._made:
            try:
                self._made[path] = self.of_pixels(load_image(path), THUMBNAIL_PX)
            except (RealmError, MemoryError):
                self._made[path] = None
        return self._made[path]

    def of_pixels(self, pixels: UInt8, longest_px: int) -> Thumbnail | None:
        """Pixels, uint8 RGB; None where the page is full."""
        picture = Image.fromarray(pixels)
        picture.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=QUALITY)
        source = f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
        if len(source) > self._left:
            self.left_out += 1
            return None
        self._left -= len(source)
        return Thumbnail(source, picture.width, picture.height)
