"""Small files that announce much, or take long: each is an error or a picture within seconds, in little memory."""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from realm_engine.errors import ImageError
from realm_engine.pictures import jpeg
from realm_engine.pictures.decode import load_image

CPU_SECONDS = 5.0  # processor time: it does not depend on who else uses the machine


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, between: bytes = b"", data: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + between
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


SMALL_PNG = {"width": 8, "height": 8, "data": bytes(200)}


def gif(screen: tuple[int, int], frame: tuple[int, int], before: bytes = b"") -> bytes:
    head = b"GIF89a" + struct.pack("<HH", *screen) + b"\x80\x00\x00" + b"\0\0\0\xff\xff\xff" + before
    return head + b"," + struct.pack("<HHHH", 0, 0, *frame) + b"\0\x02\x02\x4c\x01\x00;"


def progressive(width: int, height: int, scans: int) -> bytes:
    """A JPEG with so many more scans than an encoder writes, the last of its own again and again."""
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, "JPEG", progressive=True)
    content = stream.getvalue()
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * scans + content[-2:]


def bmp(width: int, height: int, compression: int = 0, body: bytes = b"") -> bytes:
    depth, colours = (8, 256) if compression else (24, 0)
    header = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, depth, compression, len(body), 0, 0, colours, 0
    )
    palette = bytes(4 * colours)
    at = 54 + len(palette)
    return b"BM" + struct.pack("<IHHI", at + len(body), 0, 0, at) + header + palette + body


def looped_tiff() -> bytes:
    """The directory of the first picture is the next one."""
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "TIFF")
    content = bytearray(stream.getvalue())
    at = struct.unpack_from("<I", content, 4)[0]
    struct.pack_into("<I", content, at + 2 + 12 * struct.unpack_from("<H", content, at)[0], at)
    return bytes(content)


def webp(side: int) -> bytes:
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + 2 * struct.pack("<I", side - 1)[:3]
    return b"RIFF" + struct.pack("<I", 4 + len(extended)) + b"WEBP" + extended


REFUSED: dict[str, Callable[[], bytes]] = {
    "gif of 4 gigapixels": lambda: gif((65535, 65535), (65535, 65535)),
    "gif with a frame of 4 gigapixels": lambda: gif((1, 1), (65535, 65535)),
    "gif without data": lambda: gif((14000, 14000), (14000, 14000)),
    "png of 2^62 pixels": lambda: png(2**31 - 1, 2**31 - 1),
    "png without data": lambda: png(14000, 14000),
    "png one pixel wide": lambda: png(1, 190_000_000),
    "png of a million chunks": lambda: png(between=chunk(b"abCd", b"") * 1_000_000, **SMALL_PNG),
    "png of a million texts": lambda: png(between=chunk(b"tEXt", b"a\0b") * 1_000_000, **SMALL_PNG),
    "png of a million pieces": lambda: png(between=chunk(b"IDAT", b"") * 1_000_000, **SMALL_PNG),
    "png with a profile that unpacks to 100 MB": lambda: png(
        between=chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(100_000_000))), **SMALL_PNG
    ),
    "jpeg of 2000 scans": lambda: progressive(100, 100, 2000),
    "jpeg of many scans of a large picture": lambda: progressive(5000, 5000, 400),
    "jpeg of a million comments": lambda: b"\xff\xd8" + b"\xff\xfe\0\x02" * 1_000_000 + b"\xff\xd9",
    "jpeg of fill bytes": lambda: b"\xff\xd8" + b"\xff" * 20_000_000 + b"\xd9",
    "jpeg of zeros": lambda: b"\xff\xd8\xff\xe0\0\x02" + bytes(20_000_000),
    "bmp of 196 megapixels without data": lambda: bmp(14000, 14000),
    "bmp of 4 gigapixels": lambda: bmp(65535, 65535),
    "bmp in runs of a pixel": lambda: bmp(3000, 3000, 1, b"\1\1" * 9_000_000 + b"\0\1"),
    "webp of 268 megapixels without data": lambda: webp(16383),
}
READ: dict[str, Callable[[], bytes]] = {
    "gif with a frame of a pixel": lambda: gif((9000, 9000), (1, 1)),
    "gif of many frames": lambda: many_frames(20_000),
    "gif of a million comments": lambda: gif((1, 1), (1, 1), b"!\xfe\x01a\0" * 1_000_000),
    "png of an exif of 64 thousand tags": lambda: png(
        between=chunk(b"eXIf", b"II*\0\x08\0\0\0" + struct.pack("<H", 65535) + bytes(12 * 65535)), **SMALL_PNG
    ),
    "tiff in a loop": looped_tiff,
    "jpeg of 400 scans": lambda: progressive(100, 100, 400),
}


def many_frames(count: int) -> bytes:
    """Of a GIF with many frames the first alone is read."""
    stream = io.BytesIO()
    Image.new("P", (8, 8)).save(stream, "GIF")
    content = stream.getvalue()
    frame = content[content.index(b",") : -1]
    return content[:-1] + frame * count + b";"


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_in_seconds(name):
    content = REFUSED[name]()
    start = time.process_time()
    with pytest.raises(ImageError) as caught:
        load_image(content)
    assert time.process_time() - start < CPU_SECONDS
    assert str(caught.value).startswith("image bytes: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", READ)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_is_read_in_seconds(name):
    content = READ[name]()
    start = time.process_time()
    assert load_image(content).shape[2] == 3
    assert time.process_time() - start < CPU_SECONDS


def test_scans_are_counted_as_they_are_decoded():
    def scans(content: bytes) -> int:
        return jpeg.scans(io.BytesIO(content), "x")

    image, plain, steps = Image.new("RGB", (40, 40), (9, 80, 200)), io.BytesIO(), io.BytesIO()
    image.save(plain, "JPEG", comment=b"\xff\xda" * 700)  # what stands in a comment is no scan
    image.save(steps, "JPEG", progressive=True)
    assert scans(plain.getvalue()) == 1 and scans(steps.getvalue()) == steps.getvalue().count(b"\xff\xda") > 5
    assert scans(png(**SMALL_PNG)) == 1 and scans(b"") == 1 and scans(b"\xff\xd8") == 1
    assert scans(plain.getvalue()[:300]) == 1


def test_a_tiff_beyond_pillows_own_limit_is_read(monkeypatch):
    """196 megapixels of the 200 that are allowed were refused: Pillow asks a second time for this format."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 900)
    for options in ({}, {"compression": "tiff_lzw"}):
        stream = io.BytesIO()
        Image.new("L", (200, 100), 7).save(stream, "TIFF", **options)
        assert (load_image(stream.getvalue()) == 7).all()
    assert Image.MAX_IMAGE_PIXELS == 900
