"""What decoding a picture will hold, by what its header announces: known before anything is decoded.

Readers differ: some hold a picture several times over. The numbers were measured, and a test measures them again
(`tests/engine/pictures/test_decode_memory.py`).
"""

from __future__ import annotations

import math

from PIL import Image

from realm_engine.pictures.rgb import STRIP_PX, TURNS, orientation, packs_in_place

OURS = 3  # uint8 RGB
# Bytes that Pillow holds of a pixel, by mode; four of every other.
_PILLOWS = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
# libwebp keeps two canvases of the animation that a picture might be, and its answer is copied twice.
_WEBP = 16
_BYTES_PER_STRIP_PX = 32  # alpha in 16 bits, floats in 64: what is between Pillow's pixels and ours
_ROW_BYTES = 16  # a pointer a row, and rows that are filled up
_TIFF_ROWS_PER_STRIP, _TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT = 278, 322, 323
_TIFF_BITS, _TIFF_SAMPLES = 258, 277


def decoding_bytes(image: Image.Image, passes: int = 1) -> int:
    """About how much memory `load_image` holds at its peak, of an image that is opened and not loaded.

    `passes`: scans of a JPEG file.
    """
    whole = math.ceil(image.width * image.height * bytes_per_px(image, passes))
    return whole + _tiff_strip_bytes(image) + _strip_bytes(image.width, image.height)


def webp_bytes(width: int, height: int) -> int:
    """`decoding_bytes` of a WebP picture, which is not opened: that alone takes most of it."""
    return _WEBP * width * height + _strip_bytes(width, height)


def _strip_bytes(width: int, height: int) -> int:
    return min(width * height, max(STRIP_PX, width)) * _BYTES_PER_STRIP_PX + height * _ROW_BYTES


def bytes_per_px(image: Image.Image, passes: int = 1) -> float:
    """Bytes a pixel at the peak: while the reader works, while its pixels become ours, or while ours are turned."""
    pillows = _PILLOWS.get(image.mode, 4)
    if image.format == "WEBP":
        return _WEBP
    reading = pillows + (_coefficients(image) if passes > 1 else 0) + (2 if image.format == "BMP" else 0)
    ours = 4 if packs_in_place(image) else pillows + OURS
    turned = _is_turned(image)
    if turned and image.format == "TIFF":  # Pillow turns those itself
        reading, ours = 2 * pillows, pillows + OURS
    return max(reading, ours, 2 * OURS if turned else 0)


def _is_turned(image: Image.Image) -> bool:
    if image.format == "PNG" and "exif" not in image.info:  # Pillow would decode it to look for more
        return any("exif" in str(key) or "xmp" in str(key) for key in image.info)
    return orientation(image) in TURNS


def _coefficients(image: Image.Image) -> float:
    """Two bytes a sample that libjpeg keeps where a picture comes in several scans."""
    layers = getattr(image, "layer", None)
    if image.format not in ("JPEG", "MPO") or not layers:
        return 0.0
    across, down = (max(int(layer[place]) for layer in layers) for place in (1, 2))
    return 2.0 * sum(int(layer[1]) * int(layer[2]) for layer in layers) / (across * down)


def _tiff_strip_bytes(image: Image.Image) -> int:
    """What libtiff unpacks at once: a strip, which may be the whole picture, or a tile."""
    tags = getattr(image, "tag_v2", None)
    if image.format != "TIFF" or tags is None or tags.get(259, 1) == 1:
        return 0
    bits = tags.get(_TIFF_BITS, (8,))
    deep = max(bits) if isinstance(bits, tuple) else int(bits)
    sample_bytes = int(tags.get(_TIFF_SAMPLES, 1)) * deep / 8
    if _TIFF_TILE_WIDTH in tags:
        across, down = int(tags[_TIFF_TILE_WIDTH]), int(tags.get(_TIFF_TILE_HEIGHT, 1))
    else:
        across, down = image.width, min(image.height, int(tags.get(_TIFF_ROWS_PER_STRIP, image.height)))
    return math.ceil(across * down * sample_bytes)
