"""Image files for the decoding cases, with the RGB that a host must make of them.

PNG files are written here, bit by bit: Pillow writes neither 16 bit colour nor interlaced ones. So the expected RGB
comes from the samples that went in, not from a decoder.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

UInt8 = npt.NDArray[np.uint8]
UInt16 = npt.NDArray[np.uint16]

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # PNG colour types
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
# Decoders of JPEG may round differently: libjpeg-turbo, stb and browsers have their own inverse transforms, and
# smooth the enlarged colours of 4:2:0 in their own order.
JPEG_LEVELS, SUBSAMPLED_LEVELS = 2, 4


@dataclass(frozen=True)
class Decoding:
    """A file and the uint8 RGB (H, W, 3) that it holds; `max_levels`: by how much a decoder may differ."""

    name: str
    content: bytes
    rgb: UInt8
    max_levels: int = 0


@dataclass(frozen=True)
class Png:
    """Samples (H, W, channels), uint8 or uint16, with the colour type that tells what the channels are."""

    samples: npt.NDArray[np.unsignedinteger]
    colour_type: int
    interlaced: bool = False
    chunks: Sequence[tuple[bytes, bytes]] = field(default=())  # between header and data: PLTE, tRNS, gAMA

    def encode(self) -> bytes:
        """The file, rows unfiltered."""
        height, width = self.samples.shape[:2]
        bits = 8 * self.samples.dtype.itemsize
        header = struct.pack(">IIBBBBB", width, height, bits, self.colour_type, 0, 0, int(self.interlaced))
        passes = ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        rows = (
            b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes()
            for top, left, down, across in passes
            for row in self.samples[top::down, left::across]
            if row.size
        )
        data = zlib.compress(b"".join(rows), 9)
        chunks = [(b"IHDR", header), *self.chunks, (b"IDAT", data), (b"IEND", b"")]
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def on_white(rgb: UInt8, alpha: UInt8) -> UInt8:
    """Straight alpha over white: (c * a + 255 * (255 - a)) / 255, rounded to the nearest level."""
    weight = alpha.astype(np.int64)[..., None]
    return ((rgb.astype(np.int64) * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)


def _grey_rgb(grey: UInt8) -> UInt8:
    return np.repeat(grey[..., None], 3, axis=2)


def decoding_cases(photo: UInt8) -> list[Decoding]:
    """Every kind of file that decoders disagree on; `photo` is uint8 RGB, 40 x 56 or so, not square."""
    return [*_png_cases(photo), *_jpeg_cases(photo)]


def _png_cases(photo: UInt8) -> list[Decoding]:
    height, width = photo.shape[:2]
    y, x = np.indices((height, width))
    grey = photo[..., 1]
    alpha = ((x * 255 // (width - 1) + 40 * (y % 3)) % 256).astype(np.uint8)
    alpha[:4] = 0  # colours that nobody sees must not shine through
    alpha[4:8] = 255
    # 16 bit samples keep their high byte: rounding to 8 bits would differ in half of the pixels.
    low = ((x * 37 + y * 91) % 256).astype(np.uint16)
    deep = (photo.astype(np.uint16) * 256 + low[..., None]).astype(np.uint16)
    entry = np.arange(64)
    colours = np.stack(
        [entry * 4, 255 - entry * 3, entry**2 % 256], axis=-1, dtype=np.uint8, casting="unsafe"
    )
    index = (grey // 4).astype(np.uint8)
    opacity = (np.arange(32) * 8).astype(np.uint8)  # entries 32..63 are opaque
    full = np.concatenate([opacity, np.full(32, 255, dtype=np.uint8)])
    rgba = np.dstack([photo, alpha])
    palette = (b"PLTE", colours.tobytes())
    gamma = (
        b"gAMA",
        struct.pack(">I", 100_000),
    )  # "linear light": a viewer would brighten, the engine does not
    key = (b"tRNS", struct.pack(">H", int(grey[0, 0])))  # this grey is transparent
    keyed = np.where(grey == grey[0, 0], 255, grey).astype(np.uint8)

    def case(name: str, png: Png, rgb: UInt8) -> Decoding:
        return Decoding(f"{name}.png", png.encode(), rgb)

    return [
        case("grey", Png(grey[..., None], GREY), _grey_rgb(grey)),
        case("grey-key", Png(grey[..., None], GREY, chunks=[key]), _grey_rgb(keyed)),
        case("grey-alpha", Png(np.dstack([grey, alpha]), GREY_ALPHA), on_white(_grey_rgb(grey), alpha)),
        case("rgba", Png(rgba, RGBA), on_white(photo, alpha)),
        case("palette", Png(index[..., None], PALETTE, chunks=[palette]), colours[index]),
        case(
            "palette-transparent",
            Png(index[..., None], PALETTE, chunks=[palette, (b"tRNS", opacity.tobytes())]),
            on_white(colours[index], full[index]),
        ),
        case("grey16", Png(deep[..., 1:2], GREY), _grey_rgb(grey)),
        case("rgb16", Png(deep, RGB), photo),
        case("interlaced", Png(photo, RGB, interlaced=True), photo),
        case("gamma", Png(photo, RGB, chunks=[gamma]), photo),
    ]


def _jpeg_cases(photo: UInt8) -> list[Decoding]:
    image = Image.fromarray(photo)
    rotated = Image.Exif()
    rotated[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    kinds: list[tuple[str, Image.Image, dict[str, object], int]] = [
        ("baseline", image, {"subsampling": "4:4:4"}, JPEG_LEVELS),
        ("progressive", image, {"subsampling": "4:4:4", "progressive": True}, JPEG_LEVELS),
        ("rotated", image, {"subsampling": "4:2:0", "exif": rotated}, SUBSAMPLED_LEVELS),
        ("cmyk", _cmyk(photo), {}, SUBSAMPLED_LEVELS),
        ("grey-photo", image.convert("L"), {}, JPEG_LEVELS),
    ]
    cases = []
    for name, picture, options, levels in kinds:
        stream = BytesIO()
        picture.save(stream, "JPEG", quality=92, **options)  # type: ignore[arg-type]
        with Image.open(BytesIO(stream.getvalue())) as decoded:
            rgb = np.array(decoded.convert("RGB"))
        if "exif" in options:
            rgb = np.rot90(rgb, -1)
        cases.append(Decoding(f"{name}.jpg", stream.getvalue(), np.ascontiguousarray(rgb), levels))
    return cases


def _cmyk(photo: UInt8) -> Image.Image:
    """The photograph in four inks, half of the darkness in black."""
    ink = 255 - photo
    black = ink.min(axis=2) // 2
    light = np.maximum(255 - black.astype(np.int64), 1)[..., None]
    colour = np.clip((ink.astype(np.int64) - black[..., None]) * 255 // light, 0, 255)
    return Image.fromarray(np.dstack([colour, black]).astype(np.uint8), "CMYK")
