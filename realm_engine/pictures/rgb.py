"""What a Pillow image becomes: contiguous uint8 sRGB, upright, on white, within as little memory as can be.

Pillow holds four bytes for a pixel of colour, and we three. It decodes into memory of ours, which is packed where it
lies, in strips, and cut to its new length: four bytes a pixel are held at the most, not seven.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from PIL import ExifTags, Image

from realm_engine.arrays import UInt8
from realm_engine.errors import ImageError
from realm_engine.pictures.colour import Conversion, conversion_of

STRIP_PX = 1 << 18
IN_PLACE_PX = 1 << 22  # smaller pictures are decoded faster the plain way
# Modes that Pillow can decode into memory of ours, and what it calls an image that lies there.
_IN_PLACE: Mapping[str, str] = {"RGB": "RGBX", "RGBA": "RGBA", "CMYK": "CMYK"}
_TIFF_PHOTOMETRIC = 262

Strip: TypeAlias = Callable[[int, int], UInt8]
"""From a first row and the one after the last to these rows in RGB, or in grey of one channel."""


def rgb_of(image: Image.Image, name: str, own: bool) -> UInt8:
    """The pixels of an image, uint8 sRGB [H, W, 3]; alpha is composited on white, EXIF orientation applied.

    `own`: nobody else needs the image; it is closed as soon as its pixels are copied. Raises ImageError, and whatever
    Pillow's readers raise.
    """
    memory = _load(image) if own and packs_in_place(image) else None
    image.load()
    turn = TURNS.get(orientation(image))
    height, width = image.height, image.width
    size = height * width * 3
    # What is packed never overtakes what is still to be read: it is shorter.
    packed = np.empty(size, dtype=np.uint8) if memory is None else memory
    pixels = packed[:size].reshape(height, width, 3)
    conversion = conversion_of(image, name)
    strip = _strips(image, name, conversion) if memory is None else _packed_strips(image, memory, conversion)
    rows = max(1, STRIP_PX // width)
    for top in range(0, height, rows):
        below = min(height, top + rows)
        pixels[top:below] = strip(top, below)
    if own:
        image.close()
    if memory is not None:
        del packed, pixels, strip
        memory.resize(size, refcheck=False)  # nobody looks at it any more: the image is closed
        pixels = memory.reshape(height, width, 3)
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def packs_in_place(image: Image.Image) -> bool:
    """Whether an image is decoded into the very memory that its pixels are returned in."""
    large = image.width * image.height >= IN_PLACE_PX
    return large and image.mode in _IN_PLACE and "transparency" not in image.info


def _load(image: Image.Image) -> UInt8 | None:
    """Decode an image into memory of ours, uint8 [H * W * 4]; None where its reader has put it elsewhere."""
    memory = np.empty(image.height * image.width * 4, dtype=np.uint8)
    mode = _IN_PLACE[image.mode]
    core = Image.frombuffer(mode, image.size, memory, "raw", mode, 0, 1).im
    image.im = core
    image.load()
    return memory if image.im is core else None


def _packed_strips(image: Image.Image, memory: UInt8, conversion: Conversion | None) -> Strip:
    """Strips of an image that was decoded into `memory`, uint8 [H * W * 4]."""
    if image.im.mode == "CMYK":

        def inks(top: int, below: int) -> UInt8:
            strip = image.crop((0, top, image.width, below))
            return np.asarray(strip.convert("RGB")) if conversion is None else conversion.rgb(strip)

        return inks
    rows = memory.reshape(image.height, image.width, 4)

    def colours(top: int, below: int) -> UInt8:
        strip = rows[top:below, :, :3]
        return strip if conversion is None else conversion.rgb(Image.fromarray(np.ascontiguousarray(strip)))

    if image.im.mode == "RGBA":
        return lambda top, below: _on_white(colours(top, below), rows[top:below, :, 3:])
    return colours


def _strips(image: Image.Image, name: str, conversion: Conversion | None) -> Strip:
    """Strips of an image in Pillow's memory."""

    def cut(top: int, below: int) -> Image.Image:
        whole = top == 0 and below == image.height
        return image if whole else image.crop((0, top, image.width, below))

    if image.mode.startswith(("I", "F")):
        white_is_zero = getattr(image, "tag_v2", {}).get(_TIFF_PHOTOMETRIC) == 0

        def deep(top: int, below: int) -> UInt8:
            grey = _deep_grey(cut(top, below), name)
            if white_is_zero:  # Pillow inverts such TIFFs of 8 bits and leaves deeper ones as they are
                grey = 255 - grey
            return grey[:, :, None] if conversion is None else conversion.rgb(Image.fromarray(grey))

        return deep
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:

        def transparent(top: int, below: int) -> UInt8:
            strip = cut(top, below).convert("RGBA")
            rgba = np.asarray(strip)
            colours = rgba[:, :, :3] if conversion is None else conversion.rgb(strip)
            return _on_white(colours, rgba[:, :, 3:])

        return transparent

    def plain(top: int, below: int) -> UInt8:
        strip = cut(top, below)
        try:
            if conversion is not None:
                return conversion.rgb(strip)
            return np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))
        except ValueError as error:
            raise ImageError(f"{name}: colour mode {strip.mode} cannot be read; save it as RGB") from error

    return plain


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; metadata too broken to read is ignored."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


TURNS: Mapping[int, Callable[[UInt8], UInt8]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: pixels[::-1].transpose(1, 0, 2),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: pixels[:, ::-1].transpose(1, 0, 2),
}
"""What makes an array upright, by EXIF orientation."""


def _deep_grey(image: Image.Image, name: str) -> UInt8:
    """Grey of more than 8 bits as uint8: 16 bit keeps the high byte, float 0..1 spans 0..255."""
    samples = np.asarray(image)
    if image.mode.startswith("I"):
        if int(samples.min()) < 0 or int(samples.max()) > 65535:
            raise ImageError(f"{name}: 32 bit integer samples have no defined white; save it as 8 or 16 bit")
        # Pillow takes the high byte of 16 bit colour as well, so grey and colour agree.
        return (samples.astype(np.uint16) >> 8).astype(np.uint8)
    if not (np.isfinite(samples).all() and samples.min() >= 0.0 and samples.max() <= 1.0):
        raise ImageError(f"{name}: float samples outside 0..1 have no defined white; save it as 8 or 16 bit")
    return np.floor(samples.astype(np.float64) * 255.0 + 0.5).astype(np.uint8)


def _on_white(colours: UInt8, alphas: UInt8) -> UInt8:
    """Composite uint8 RGB (H, W, 3) of straight alpha (H, W, 1) on white, rounded to the nearest level."""
    # 255 * 255 + 127 fits in 16 bits, so that a large picture needs no more memory than it must.
    colour = colours.astype(np.uint16)
    alpha = alphas.astype(np.uint16)
    return ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
