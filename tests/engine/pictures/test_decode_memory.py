"""What decoding holds: by the header before anything is decoded, and at its peak."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from colour_profiles import ink_profile, matrix_profile
from PIL import Image

from realm_engine import Engine
from realm_engine.pictures.decode import load_image

SIDE = 3000
PEAK = """
import resource, sys
from realm_engine.pictures.decode import load_image
announced = []
load_image(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
load_image(sys.argv[1], announced.append)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024, *announced)
"""
# Bytes a pixel that decoding may announce. Colour is decoded into our own memory; WebP holds canvases.
MOST = {
    "rgb.png": 4,
    "rgba.png": 4,
    "grey.png": 4,
    "palette.png": 4,
    "interlaced.png": 4,
    "rgb.jpg": 4,
    "cmyk.jpg": 4,
    "p3.jpg": 4,
    "p3-alpha.png": 4,
    "inks.jpg": 4,
    "turned.jpg": 6,
    "progressive.jpg": 10,
    "rgb.bmp": 6,
    "frames.gif": 4,
    "deep.png": 5,
    "grey-alpha.png": 7,
    "rgb.tif": 4,
    "strips.tif": 4,
    "one-strip.tif": 7,
    "turned.tif": 8,
    "float.tif": 7,
    "rgb.webp": 16,
    "lossless.webp": 16,
}


def interlaced(pixels: np.ndarray) -> bytes:
    """PNG in Adam7 order, which Pillow reads and does not write."""
    data = b""
    for top, left, down, across in (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ):
        part = pixels[top::down, left::across]
        if part.size:
            rows = part.reshape(len(part), -1)
            data += np.pad(rows, ((0, 0), (1, 0))).tobytes()  # filter 0 before each row
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 2, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(data, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def save(folder: Path, pixels: np.ndarray, prefix: str) -> None:
    """A picture, uint8 RGB, in every format and mode whose decoding holds something else."""
    image, grey = Image.fromarray(pixels), pixels[:, :, 0]
    turned = Image.Exif()
    turned[0x0112] = 6

    def write(name: str, image: Image.Image = image, **options: object) -> None:
        image.save(folder / f"{prefix}{name}", **options)

    for name, options in {
        "rgb.png": {"compress_level": 1},
        "rgb.jpg": {},
        "p3.jpg": {"icc_profile": matrix_profile("p3")},
        "turned.jpg": {"exif": turned},
        "progressive.jpg": {"progressive": True, "subsampling": 0},
        "rgb.bmp": {},
        "rgb.tif": {},
        "strips.tif": {"compression": "tiff_lzw"},
        "one-strip.tif": {"compression": "tiff_lzw", "strip_size": 1 << 30},
        "turned.tif": {"exif": turned},
        "rgb.webp": {"method": 0},
        "lossless.webp": {"lossless": True, "quality": 0, "method": 0},
    }.items():
        write(name, **options)
    write("cmyk.jpg", image.convert("CMYK"))
    write("inks.jpg", image.convert("CMYK"), icc_profile=ink_profile())
    write("grey.png", Image.fromarray(grey), compress_level=1)
    palette = Image.fromarray(grey // 64)
    palette.putpalette([(19 * index) % 256 for index in range(768)])
    write("palette.png", palette, compress_level=1)
    write("frames.gif", palette, save_all=True, append_images=[palette.point(lambda index: 3 - index)])
    write("grey-alpha.png", Image.merge("LA", [Image.fromarray(grey)] * 2), compress_level=1)
    write("deep.png", Image.fromarray(grey.astype(np.uint16) * 257), compress_level=1)
    write("float.tif", Image.fromarray(grey.astype(np.float32) / 255))
    image.putalpha(Image.fromarray(grey))
    write("rgba.png", image, compress_level=1)
    write("p3-alpha.png", image, compress_level=1, icc_profile=matrix_profile("p3"))
    (folder / f"{prefix}interlaced.png").write_bytes(interlaced(pixels))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    ramp = np.add.outer(np.arange(SIDE), np.arange(SIDE)).astype(np.uint8)
    pixels = np.stack([ramp, ramp.T, 255 - ramp], axis=2)
    save(folder, pixels, "")
    save(folder, np.ascontiguousarray(pixels[:64, :64]), "small-")  # loads readers and their tables
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are told in other units elsewhere")
@pytest.mark.parametrize("name", MOST)
def test_the_peak_is_what_was_announced(folder, name):
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(folder / name), str(folder / f"small-{name}")],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    peak, announced = map(int, done.stdout.split())
    assert peak <= announced * 1.05 + (2 << 20)
    assert announced <= SIDE * SIDE * MOST[name] + (10 << 20)


@pytest.mark.parametrize(
    "name", ["rgb.png", "rgba.png", "cmyk.jpg", "rgb.tif", "turned.jpg", "interlaced.png"]
)
def test_what_is_packed_in_place_is_what_pillow_gives(folder, name, monkeypatch):
    packed = load_image(folder / name)
    assert (packed.flags["C_CONTIGUOUS"] and packed.flags["OWNDATA"] is False) or packed.base is None
    monkeypatch.setattr("realm_engine.pictures.rgb.IN_PLACE_PX", SIDE * SIDE + 1)
    np.testing.assert_array_equal(packed, load_image(folder / name))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "I;16", "CMYK", "1"])
@pytest.mark.parametrize("in_place_px", [1, 1 << 22])
def test_strips_give_what_the_whole_gives(mode, in_place_px, monkeypatch, photo):
    ground = Image.fromarray(photo(61, 47))
    ground.putalpha(Image.fromarray(photo(61, 47, 5)[:, :, 0]))
    if mode == "I;16":
        image = Image.fromarray(photo(61, 47)[:, :, 0].astype(np.uint16) * 257)
    else:
        image = (ground if mode in ("RGBA", "LA") else ground.convert("RGB")).convert(mode)
    whole = load_image(image)
    monkeypatch.setattr("realm_engine.pictures.rgb.STRIP_PX", 47 * 7)
    monkeypatch.setattr("realm_engine.pictures.rgb.IN_PLACE_PX", in_place_px)
    np.testing.assert_array_equal(load_image(image), whole)
    assert image.getpixel((0, 0)) is not None  # the caller's image is still open
    stream = io.BytesIO()
    image.save(stream, "TIFF")
    np.testing.assert_array_equal(load_image(stream.getvalue()), whole)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_pillows(orientation, photo):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(photo(9, 14)).save(stream, "PNG", exif=exif)
    with Image.open(stream) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(load_image(stream.getvalue()), expected)


def test_a_limit_that_does_not_hold_a_picture_is_an_error_of_it_alone(bundle_path, folder, photo):
    with Engine.open(bundle_path, device="cpu", threads=1) as engine:
        engine.score([photo()])
        from realm_engine.machine.memory import resident_bytes

        limit = resident_bytes() + (30 << 20)
    with Engine.open(bundle_path, device="cpu", threads=1, max_memory=limit) as engine:
        first, large, last = engine.score([photo(), folder / "rgb.png", photo()])
    assert first.error is None and last.error is None
    assert "rgb.png: decoding it takes" in large.error and "scale it down" in large.error
