"""Pictures in other colour spaces become sRGB: against float64 by hand, and against ImageCms on the whole picture."""

from __future__ import annotations

import io
import logging
import zlib

import numpy as np
import pytest
from colour_profiles import SPACES, converted, grey_profile, ink_profile, matrix_profile
from PIL import Image, ImageCms

from realm_engine.pictures import rgb
from realm_engine.pictures.colour import LARGEST_BYTES, conversion_to_srgb
from realm_engine.pictures.decode import load_image

FORMATS = {
    "PNG": {},
    "TIFF": {},
    "WEBP": {"lossless": True, "exact": True},
    "JPEG": {"quality": 95, "subsampling": 0},
}
OTHERS = [name for name in SPACES if name != "srgb"]


def saved(image: Image.Image, profile: bytes | None, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(
        stream, kind, **FORMATS[kind], **options, **({} if profile is None else {"icc_profile": profile})
    )
    return stream.getvalue()


@pytest.fixture
def picture(photo) -> Image.Image:
    return Image.fromarray(photo(61, 83, 5))


def reference(content: bytes, profile: bytes) -> np.ndarray:
    """ImageCms on the whole picture, as anybody would write it."""
    with Image.open(io.BytesIO(content)) as image:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        found = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        return np.asarray(found)


@pytest.mark.parametrize("space", OTHERS)
@pytest.mark.parametrize("kind", FORMATS)
def test_as_image_cms_does_it(picture, space, kind):
    profile = matrix_profile(space)
    content = saved(picture, profile, kind)
    assert np.array_equal(load_image(content), reference(content, profile))
    assert not np.array_equal(load_image(content), load_image(saved(picture, None, kind)))


@pytest.mark.parametrize("space", OTHERS)
def test_as_the_definitions_say(picture, space):
    """Within rounding: Little CMS computes in fixed point."""
    got = load_image(saved(picture, matrix_profile(space))).astype(int)
    difference = np.abs(got - converted(np.asarray(picture), space))
    assert difference.max() <= 2 and difference.mean() < 0.1


def test_a_picture_and_its_twin_in_another_space_are_one(photo):
    """What sRGB holds comes back from P3 to within the rounding of both."""
    pixels = photo(64, 64, 3) // 2 + 64
    there = converted(pixels, "srgb", "p3")
    assert np.abs(there.astype(int) - pixels).max() > 5
    back = load_image(saved(Image.fromarray(there), matrix_profile("p3")))
    assert np.abs(back.astype(int) - pixels).max() <= 2


def test_strips_change_nothing(picture, monkeypatch):
    content = saved(picture, matrix_profile("p3"))
    whole = load_image(content)
    monkeypatch.setattr(rgb, "STRIP_PX", 7 * picture.width)
    assert np.array_equal(load_image(content), whole)


@pytest.mark.parametrize("kind", ["RGB", "RGBA", "CMYK"])
def test_what_is_packed_in_place_is_the_same(picture, monkeypatch, kind):
    """Large pictures are decoded into memory of ours."""
    profile = ink_profile() if kind == "CMYK" else matrix_profile("p3")
    image = picture.convert(kind)
    if kind == "RGBA":
        image.putalpha(Image.fromarray(np.tile(np.arange(83, dtype=np.uint8) * 3, (61, 1))))
    content = saved(image, profile, "JPEG" if kind == "CMYK" else "PNG")
    plain = load_image(content)
    monkeypatch.setattr(rgb, "IN_PLACE_PX", 1)
    monkeypatch.setattr(rgb, "STRIP_PX", 7 * picture.width)
    assert np.array_equal(load_image(content), plain)


LITTLE_CMS_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("profile", [matrix_profile("srgb"), LITTLE_CMS_SRGB])
def test_srgb_under_any_name_is_left_alone(picture, profile):
    assert conversion_to_srgb(profile, "RGB") is None
    assert np.array_equal(load_image(saved(picture, profile)), np.asarray(picture))


def test_grey(picture):
    grey = picture.convert("L")
    content = saved(grey, grey_profile(1.0))
    assert np.array_equal(load_image(content), reference(content, grey_profile(1.0)))
    light = np.asarray(grey) / 255.0
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    assert np.abs(load_image(content)[:, :, 1] - expected).max() <= 1.01
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) << 8)
    assert np.array_equal(load_image(saved(deep, grey_profile(1.0))), load_image(content))


def test_grey_with_a_profile_of_colours(picture):
    """Its grey is theirs."""
    grey = picture.convert("L")
    content = saved(grey, matrix_profile("prophoto"))
    assert np.array_equal(
        load_image(content), load_image(saved(grey.convert("RGB"), matrix_profile("prophoto")))
    )


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_inks(picture, kind):
    profile = ink_profile()
    content = saved(picture.convert("CMYK"), profile, kind)
    assert np.array_equal(load_image(content), reference(content, profile))


def test_inks_are_as_dark_as_their_profile_says():
    """Cyan on paper that reflects a tenth."""
    cyan = Image.new("CMYK", (4, 4), (255, 0, 0, 0))
    light = 0.1 * np.array([0, 1, 1])
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    got = load_image(saved(cyan, ink_profile(0.1), "TIFF"))
    assert np.abs(got - expected).max() < 6  # the table has 8 bits of Lab
    assert (load_image(saved(cyan, None, "TIFF")) == (0, 255, 255)).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_colours_behind_alpha_are_converted_before_they_lie_on_white(picture, kind):
    rgba = picture.copy()
    rgba.putalpha(Image.fromarray(np.tile(np.arange(83, dtype=np.uint8) * 3, (61, 1))))
    profile = matrix_profile("p3")
    colours = reference(saved(picture, profile), profile).astype(float)
    alpha = np.asarray(rgba)[:, :, 3:] / 255.0
    got = load_image(saved(rgba, profile, kind))
    assert np.abs(got - (colours * alpha + 255 * (1 - alpha))).max() <= 0.51


def test_grey_with_alpha_and_palettes(picture):
    grey = picture.convert("LA")
    assert np.array_equal(
        load_image(saved(grey, grey_profile(1.0))), load_image(saved(picture.convert("L"), grey_profile(1.0)))
    )
    few = picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=32)
    assert np.array_equal(
        load_image(saved(few, matrix_profile("p3"))),
        load_image(saved(few.convert("RGB"), matrix_profile("p3"))),
    )


def test_a_picture_of_pillow_has_its_profile(picture):
    content = saved(picture, matrix_profile("p3"))
    with Image.open(io.BytesIO(content)) as image:
        assert np.array_equal(load_image(image), load_image(content))


@pytest.mark.parametrize(
    ("profile", "mode", "cause"),
    [
        (b"no profile", "RGB", "cannot open profile"),
        (matrix_profile("p3")[:200], "RGB", "cannot"),
        (grey_profile(2.2), "RGB", "it describes L and the picture is RGB"),
        (ink_profile(), "RGB", "it describes CMYK and the picture is RGB"),
        (bytes(LARGEST_BYTES + 1), "RGB", "the largest that is used"),
    ],
)
def test_a_profile_that_cannot_be_used_is_a_warning(picture, profile, mode, cause, caplog):
    with caplog.at_level(logging.WARNING, "realm_engine"):
        pixels = load_image(saved(picture, profile, "TIFF"))
    assert np.array_equal(pixels, np.asarray(picture))
    (record,) = caplog.records
    assert "its colour profile cannot be used (" in record.getMessage() and cause in record.getMessage()


def test_a_profile_that_cannot_be_unpacked_is_a_warning(picture, caplog):
    content = saved(picture, matrix_profile("p3"))
    place = content.index(b"iCCP") + 4
    name = content.index(b"\0", place) + 2
    broken = bytearray(content)
    broken[name : name + 8] = bytes(8)
    length = int.from_bytes(content[place - 8 : place - 4], "big")
    broken[place + length : place + length + 4] = zlib.crc32(broken[place - 4 : place + length]).to_bytes(
        4, "big"
    )
    with caplog.at_level(logging.WARNING, "realm_engine"):
        assert np.array_equal(load_image(bytes(broken)), np.asarray(picture))
    assert "its colour profile cannot be used" in caplog.text
