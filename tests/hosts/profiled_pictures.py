"""Colour profiles made by hand, and pictures that have them: what Pillow's ImageCms makes of these is what is right."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

Colours = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]

# XYZ of red, green and blue, adapted to D50.
DISPLAY_P3: Colours = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE_RGB: Colours = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
_WHITE = (0.96420, 1.0, 0.82491)


def _xyz(value: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(each * 65536) for each in value))


def _gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256)) + b"\0\0"


def _text(kind: bytes, text: str) -> bytes:
    ascii_text = text.encode("ascii") + b"\0"
    if kind == b"text":
        return b"text\0\0\0\0" + ascii_text
    return b"desc\0\0\0\0" + struct.pack(">I", len(ascii_text)) + ascii_text + bytes(8 + 3 + 67)


def icc_profile(name: str, gamma: float, colours: Colours | None) -> bytes:
    """An ICC profile, version 2: of a display with these colours, or of grey where there are none."""
    tags = {b"desc": _text(b"desc", name), b"cprt": _text(b"text", "CC0"), b"wtpt": _xyz(_WHITE)}
    if colours is None:
        tags[b"kTRC"] = _gamma(gamma)
    else:
        for letter, colour in zip(b"rgb", colours, strict=True):
            tags[bytes([letter]) + b"XYZ"] = _xyz(colour)
            tags[bytes([letter]) + b"TRC"] = _gamma(gamma)
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for kind, data in tags.items():
        body += bytes(-len(body) % 4)
        table += kind + struct.pack(">II", start + len(body), len(data))
        body += data
    size = start + len(body)
    header = struct.pack(
        ">I4sI4s4s4s", size, bytes(4), 0x02100000, b"mntr", b"GRAY" if colours is None else b"RGB ", b"XYZ "
    )
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", *(round(each * 65536) for each in _WHITE))
    return header.ljust(128, b"\0") + table + body


@dataclass(frozen=True)
class Profiled:
    """A file of a picture with a colour profile, and its pixels in sRGB, on white."""

    name: str
    content: bytes
    expected: np.ndarray
    changed: bool
    """Whether its profile changes colours at all."""


def _file(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _in_srgb(content: bytes) -> np.ndarray:
    """The pixels of a file by ImageCms, its alpha composited on white afterwards."""
    with Image.open(io.BytesIO(content)) as image:
        profile = io.BytesIO(image.info["icc_profile"])
        alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
        plain = image.convert("L" if image.mode in ("L", "LA") else "RGB")
    pixels = np.asarray(
        ImageCms.profileToProfile(plain, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"), np.int64
    )
    if alpha is None:
        return pixels
    share = np.asarray(alpha, np.int64)[:, :, None]
    return (pixels * share + 255 * (255 - share) + 127) // 255


def profiled_pictures(photo: np.ndarray) -> list[Profiled]:
    """Display P3, Adobe RGB, grey of another gamma, sRGB itself; as PNG and JPEG, with alpha, a palette, interlaced."""
    colour = Image.fromarray(photo)
    clear = colour.copy()
    clear.putalpha(
        Image.fromarray(np.linspace(0, 255, photo[:, :, 0].size).astype(np.uint8).reshape(photo.shape[:2]))
    )
    p3 = icc_profile("Display P3", 2.2, DISPLAY_P3)
    adobe = icc_profile("Adobe RGB (1998)", 563 / 256, ADOBE_RGB)
    grey = icc_profile("Gray Gamma 1.8", 1.8, None)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    files = {
        "p3.png": _file(colour, "PNG", icc_profile=p3),
        "p3.jpg": _file(colour, "JPEG", quality=95, subsampling=0, icc_profile=p3),
        "adobe.png": _file(colour, "PNG", icc_profile=adobe),
        "adobe.jpg": _file(colour, "JPEG", quality=95, subsampling=0, icc_profile=adobe),
        "p3-clear.png": _file(clear, "PNG", icc_profile=p3),
        "p3-palette.png": _file(colour.quantize(32), "PNG", icc_profile=p3),
        "grey.png": _file(colour.convert("L"), "PNG", icc_profile=grey),
        "grey.jpg": _file(colour.convert("L"), "JPEG", quality=95, icc_profile=grey),
        "srgb.png": _file(colour, "PNG", icc_profile=srgb),
        "srgb.jpg": _file(colour, "JPEG", quality=95, subsampling=0, icc_profile=srgb),
    }
    return [
        Profiled(name, content, _in_srgb(content), not name.startswith("srgb"))
        for name, content in files.items()
    ]
