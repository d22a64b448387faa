"""PNG files with the texts that image generators leave in them."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from realm_engine.errors import ImageError
from realm_engine.pictures.decode import load_image
from realm_engine.pictures.png import SIGNATURE, without_texts


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def picture(*before: bytes, after: bytes = b"") -> tuple[bytes, np.ndarray]:
    """A PNG with chunks of its own before and after its pixels, and these."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    plain = stream.getvalue()
    header, end = 8 + 25, len(plain) - 12
    return plain[:header] + b"".join(before) + plain[header:end] + after + plain[end:], pixels


LONG = b"x" * (3 << 20)
TEXTS = {
    "packed": chunk(b"zTXt", b"workflow\0\0" + zlib.compress(LONG)),
    "international": chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(LONG)),
    "international, plain": chunk(b"iTXt", b"workflow\0\0\0\0\0" + LONG),
    "plain": chunk(b"tEXt", b"parameters\0" + LONG),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_long_text_before_or_after_the_pixels_is_no_matter(kind):
    for content, pixels in (
        picture(TEXTS[kind]),
        picture(after=TEXTS[kind]),
        picture(TEXTS[kind], TEXTS["plain"]),
    ):
        np.testing.assert_array_equal(load_image(content), pixels)


def test_what_has_no_such_text_is_the_same_file():
    for content in (
        picture()[0],
        picture(chunk(b"tEXt", b"Title\0a short one"))[0],
        b"no PNG",
        SIGNATURE,
        b"",
    ):
        file = io.BytesIO(content)
        assert without_texts(file) is file and file.tell() == 0


def test_orientation_that_a_text_tells_is_kept():
    exif = Image.Exif()
    exif[0x0112] = 6
    body = exif.tobytes()
    profile = b"\nexif\n%8d\n" % len(body) + body.hex().encode() + b"\n"
    told = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile))
    content, pixels = picture(told, TEXTS["packed"])
    np.testing.assert_array_equal(load_image(content), np.rot90(pixels, -1))


def test_a_file_that_breaks_off_is_still_an_error():
    content, _ = picture(TEXTS["packed"])
    for length in (len(content) - 60, len(content) // 2, 40, 9):
        with pytest.raises(ImageError, match="image bytes: "):
            load_image(content[:length])
    wrong = SIGNATURE + b"\xff\xff\xff\xffzTXt"
    with pytest.raises(ImageError):
        load_image(wrong)


def test_pillow_would_refuse_it():
    """Else all of this could go."""
    with (
        pytest.raises(ValueError, match="too large"),
        Image.open(io.BytesIO(picture(TEXTS["packed"])[0])) as image,
    ):
        image.load()
    assert len(LONG) > PngImagePlugin.MAX_TEXT_CHUNK
