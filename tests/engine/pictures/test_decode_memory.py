"""What decoding holds: by the header before anything is decoded, and at its peak."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realm_engine import Engine
from realm_engine.pictures.decode import DECODING_BYTES_PER_PX, STRIP_PX, decoding_bytes, load_image

SIDE = 4000
PEAK = """
import resource, sys
from realm_engine.pictures.decode import load_image
load_image(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
load_image(sys.argv[1])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    ramp = np.add.outer(np.arange(SIDE), np.arange(SIDE)).astype(np.uint8)
    image = Image.fromarray(np.stack([ramp, ramp.T, 255 - ramp], axis=2))
    image.save(folder / "rgb.png", compress_level=1)
    image.save(folder / "rgb.jpg")
    turned = Image.Exif()
    turned[0x0112] = 6
    image.save(folder / "turned.jpg", exif=turned)
    image.putalpha(Image.fromarray(ramp))
    image.save(folder / "rgba.png", compress_level=1)
    Image.fromarray(ramp.astype(np.uint16) * 257).save(folder / "deep.png", compress_level=1)
    for path in list(folder.iterdir()):  # readers and their tables are loaded by a small one first
        with Image.open(path) as large:
            large.crop((0, 0, 64, 64)).save(folder / f"small-{path.name}")
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are told in other units elsewhere")
@pytest.mark.parametrize("name", ["rgb.png", "rgb.jpg", "turned.jpg", "rgba.png", "deep.png"])
def test_the_peak_is_what_was_announced(folder, name):
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(folder / name), str(folder / f"small-{name}")],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    announced = decoding_bytes(folder / name)
    assert announced == SIDE * SIDE * DECODING_BYTES_PER_PX
    assert int(done.stdout) <= announced + 24 * STRIP_PX  # and a strip of what is between


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "I;16", "CMYK", "1"])
def test_strips_give_what_the_whole_gives(mode, monkeypatch, photo):
    ground = Image.fromarray(photo(61, 47))
    ground.putalpha(Image.fromarray(photo(61, 47, 5)[:, :, 0]))
    if mode == "I;16":
        image = Image.fromarray(photo(61, 47)[:, :, 0].astype(np.uint16) * 257)
    else:
        image = (ground if mode in ("RGBA", "LA") else ground.convert("RGB")).convert(mode)
    whole = load_image(image)
    monkeypatch.setattr("realm_engine.pictures.decode.STRIP_PX", 47 * 7)
    np.testing.assert_array_equal(load_image(image), whole)
    assert image.getpixel((0, 0)) is not None  # the caller's image is still open


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


def test_what_has_no_header_is_not_weighed(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for source in (
        tmp_path / "broken.png",
        tmp_path / "absent.png",
        b"",
        np.zeros((4, 4, 3), np.uint8),
        io.BytesIO(),
    ):
        assert decoding_bytes(source) == 0


def test_a_limit_that_does_not_hold_a_picture_is_an_error_of_it_alone(bundle_path, folder, photo):
    with Engine.open(bundle_path, device="cpu", threads=1) as engine:
        engine.score([photo()])
        from realm_engine.machine.memory import resident_bytes

        limit = resident_bytes() + (100 << 20)
    with Engine.open(bundle_path, device="cpu", threads=1, max_memory=limit) as engine:
        first, large, last = engine.score([photo(), folder / "rgb.png", photo()])
    assert first.error is None and last.error is None
    assert "rgb.png: decoding it takes 115M beside the" in large.error and "scale it down" in large.error
