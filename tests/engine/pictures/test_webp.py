"""WebP: what its header announces is admitted before libwebp takes memory for it."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from realm_engine.errors import ImageError
from realm_engine.pictures import webp
from realm_engine.pictures.decode import load_image


def encoded(mode: str, size: tuple[int, int], lossless: bool) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size, 77).save(stream, "WEBP", lossless=lossless)
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (16383, 3), (3, 16383), (77, 256)])
def test_the_size_is_pillows(mode, lossless, size):
    file = io.BytesIO(encoded(mode, size, lossless))
    assert webp.size(file) == size and file.tell() == 0


def test_an_animation_has_the_size_of_its_canvas():
    stream = io.BytesIO()
    first, second = (Image.new("RGB", (40, 30), colour) for colour in (1, 200))
    first.save(stream, "WEBP", save_all=True, append_images=[second])
    assert webp.size(stream) == (40, 30)


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", encoded("RGB", (9, 9), False)[:29], b"\x89PNG" + bytes(40)]
)
def test_what_announces_nothing(content):
    assert webp.size(io.BytesIO(content)) is None


def test_memory_is_asked_for_before_a_file_is_opened():
    """A canvas of 196 megapixels in 30 bytes: opening it would take a gigabyte and a half."""
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + 2 * struct.pack("<I", 14000 - 1)[:3]
    asked: list[int] = []

    def refuse(size_bytes: int) -> None:
        asked.append(size_bytes)
        raise ImageError("too much")

    with pytest.raises(ImageError, match="too much"):
        load_image(b"RIFF" + struct.pack("<I", 4 + len(canvas)) + b"WEBP" + canvas, refuse)
    assert len(asked) == 1 and asked[0] >= 14000 * 14000 * 8


def test_memory_is_asked_for_once():
    asked: list[int] = []
    assert load_image(encoded("RGBA", (50, 40), True), asked.append).shape == (40, 50, 3)
    assert len(asked) == 1
