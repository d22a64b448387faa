"""Pictures of strangers in every format that is read: uint8 RGB, or one line, in seconds."""

from __future__ import annotations

import io
import time
import zlib

import numpy as np
import pytest
from fuzzing import broken, result_or_line
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from realm_engine.pictures.decode import MAX_PIXELS, load_image
from realm_engine.pictures.find import kind_of

MOST_S = 5.0
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's remarks on metadata


def picture(mode: str) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (12, 17, 4), np.uint8)
    return (
        Image.fromarray(pixels, "RGBA").convert(mode) if mode != "I;16" else Image.new("I;16", (17, 12), 999)
    )


def encoded(form: str, mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    picture(mode).save(stream, form, **options)
    return stream.getvalue()


def rotated() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


WHOLE = {
    "png": encoded("PNG"),
    "png alpha": encoded("PNG", "RGBA"),
    "png palette": encoded("PNG", "P", transparency=3),
    "png 16 bit": encoded("PNG", "I;16"),
    "png bits": encoded("PNG", "1"),
    "jpeg": encoded("JPEG"),
    "jpeg progressive": encoded("JPEG", progressive=True, exif=rotated()),
    "jpeg cmyk": encoded("JPEG", "CMYK"),
    "webp": encoded("WEBP", "RGBA", lossless=True),
    "webp lossy": encoded("WEBP"),
    "gif": encoded("GIF", "P"),
    "bmp": encoded("BMP"),
    "bmp palette": encoded("BMP", "P"),
    "tiff": encoded("TIFF"),
    "tiff lzw": encoded("TIFF", "RGBA", compression="tiff_lzw"),
    "tiff deflate": encoded("TIFF", "L", compression="tiff_adobe_deflate"),
    "tiff jpeg": encoded("TIFF", compression="jpeg"),
}


def decoded(content: bytes) -> np.ndarray | None:
    began = time.process_time()
    found = result_or_line(lambda: load_image(content))
    assert time.process_time() - began < MOST_S
    kind_of(content[:32])
    if found is not None:
        assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3
        assert found.flags.c_contiguous and 0 < found.shape[0] * found.shape[1] <= MAX_PIXELS
    return found


@pytest.mark.parametrize("name", list(WHOLE))
def test_what_is_changed_is_a_picture(name):
    assert decoded(WHOLE[name]) is not None


@pytest.mark.parametrize("name", list(WHOLE))
@given(data=st.data())
def test_a_changed_picture(name, data):
    decoded(data.draw(broken(WHOLE[name])))


@given(data=st.data())
def test_a_changed_header(data):
    """The first bytes alone: sizes, depths, kinds, counts, and what points elsewhere."""
    whole = WHOLE[data.draw(st.sampled_from(sorted(WHOLE)))]
    head = 64
    decoded(data.draw(broken(whole[:head], most=8)) + whole[head:])


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


@given(
    width=st.integers(0, 2**32 - 1) | st.integers(0, 40),
    height=st.integers(0, 2**32 - 1) | st.integers(0, 40),
    depth=st.sampled_from([1, 2, 4, 8, 16, 0, 3, 255]),
    colour=st.sampled_from([0, 2, 3, 4, 6, 1, 255]),
    interlaced=st.integers(0, 2),
    chunks=st.lists(
        st.tuples(
            st.sampled_from(
                [b"IDAT", b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"acTL", b"fdAT", b"zTXt", b"IHDR", b"IEND"]
            ),
            st.binary(max_size=40) | st.binary(max_size=40).map(zlib.compress),
        ),
        max_size=5,
    ),
)
@example(2**31 - 1, 2**31 - 1, 8, 2, 0, [])
@example(14_000, 14_000, 1, 0, 0, [(b"IDAT", zlib.compress(b"\0" * 1000))])
def test_a_png_whose_checksums_are_right(width, height, depth, colour, interlaced, chunks):
    """What random changes seldom reach: everything behind the checksum of a chunk."""
    sizes = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    if 4_000_000 < width * height <= MAX_PIXELS:  # allowed, and only memory and time
        return
    header = chunk(b"IHDR", sizes + bytes([depth, colour, 0, 0, interlaced]))
    decoded(b"\x89PNG\r\n\x1a\n" + header + b"".join(chunk(*each) for each in chunks) + chunk(b"IEND", b""))


@given(content=st.binary(max_size=200))
def test_what_is_no_picture_at_all(content):
    decoded(content)
