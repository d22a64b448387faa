"""Overlay and panel: geometry, words, and the picture that they show."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from realm_engine.errors import UsageError
from realm_engine.maps import figure, render
from realm_engine.maps.attribution import Attributed, AttributionMap
from realm_engine.maps.figure import Caption
from realm_engine.maps.files import colour_limits
from realm_engine.maps.realness_map import DreamConfig, RealnessMap

TEXT = "the cup looks melted"


def made(height: int, width: int, stride: int = 8, quantity: str = "realness", **more) -> RealnessMap:
    """A map with one unreal square; where windows of 16 px end, it ends."""
    config = DreamConfig((16,), stride, quantity=quantity)
    values = np.full((height, width), 0.8, np.float32)
    values[height // 4 : height // 2, width // 4 : width // 2] = 0.3
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    windows = config.grids(height, width)[0].count
    found = RealnessMap(values, config, (TEXT,), "custom", windows, image=image, name="cup.png", **more)
    values[~found.covered] = np.nan
    if quantity == "similarity":
        np.subtract(1, values, out=values)
    return found


@pytest.mark.parametrize(
    "size", [(16, 16), (16, 700), (700, 16), (128, 128), (255, 200), (300, 400), (1500, 900)]
)
@pytest.mark.parametrize("kind", ["overlay", "panel"])
def test_any_size(size: tuple[int, int], kind: str) -> None:
    found = made(*size)
    picture = getattr(found, kind)(score="realness 71 (52-90)")
    factor = -(-256 // max(size)) if max(size) < 256 else 1
    limits = colour_limits(found)
    painted = render.painted(found.image, found.values, found.legend, found.covered, limits, 8)
    large = painted.repeat(factor, axis=0).repeat(factor, axis=1)
    height, width = large.shape[:2]
    assert picture.mode == "RGB" and picture.height >= max(height, 256)
    assert picture.width >= (width + 92 if kind == "overlay" else 2 * width + 92)
    pixels = np.asarray(picture)
    if kind == "panel":
        original = found.image.repeat(factor, axis=0).repeat(factor, axis=1)
        np.testing.assert_array_equal(pixels[:height, :width], original)
        gap = round(8 * figure.draw(found, found.image, limits).unit)
        pixels = pixels[:, width + gap :]
    # Only the frame and its number lie over it: above and right of them it is untouched.
    above = max(0, height // 4 - 12)
    np.testing.assert_array_equal(pixels[:above, :width], large[:above])
    np.testing.assert_array_equal(pixels[:height, width // 2 + 17 : width], large[:, width // 2 + 17 :])


def test_words_are_in_proportion_to_the_picture() -> None:
    units = [
        figure.draw(made(*size, stride=64), made(*size).image, (0.0, 1.0)).unit
        for size in ((300, 400), (1536, 2048), (200, 3000))
    ]
    assert units == [1.0, 2048 / 768, 200 / 128]


def test_what_is_written_is_what_is_different() -> None:
    """Each of title, score, text, values and notes leaves its mark below the picture, and nowhere else."""
    found = made(300, 404)
    plain = np.asarray(found.overlay(title=""))
    for other in (
        found.overlay(),
        found.overlay(title="", score="realness 3"),
        RealnessMap(found.values, found.config, ("other",), "custom", 9, image=found.image).overlay(),
    ):
        pixels = np.asarray(other)
        np.testing.assert_array_equal(pixels[:300], plain[:300])
        below, same = pixels[300:], plain[300:]
        assert below.shape != same.shape or (below != same).any()
    assert found.notes() == ["not mapped: 4 px at the right and 4 px at the bottom (no window fits there)"]


def test_values_of_regions_and_notes() -> None:
    found = made(300, 400)
    drawing = figure.draw(found, found.image, (0.3, 0.8))
    assert drawing.values == ("0.300",) and drawing.places == ("100 x 75 px at 100, 75",)
    assert made(304, 400).notes() == [] and made(300, 400).notes() == [
        "not mapped: 4 px at the bottom (no window fits there)"
    ]
    (region,) = made(304, 400, quantity="similarity").regions()
    assert made(304, 400, quantity="similarity").value_of(region) == pytest.approx(0.7)
    gaps = made(100, 100, stride=40)
    assert gaps.notes() == [f"not mapped: {1 - gaps.covered.mean():.0%} of the picture (no window there)"]
    fast = RealnessMap(found.values, DreamConfig((16,), 8, fraction=0.2), (TEXT,), "fast", 360)
    assert fast.notes()[0] == "approximation from 20% of the windows"


def test_a_small_drawing_is_the_large_one_made_small() -> None:
    found = made(600, 800)
    small = figure.draw(found, found.image, (0.3, 0.8), longest_px=200)
    assert (
        small.painted.shape == (150, 200, 3)
        and small.unit == 1.0
        and small.places == ("200 x 150 px at 200, 150",)
    )
    large = render.painted(found.image, found.values, found.legend, found.covered, (0.3, 0.8), 8)
    expected = cv2.resize(large, (200, 150), interpolation=cv2.INTER_AREA).astype(float)
    plain = render.painted(small.original, *_small(found), (0.3, 0.8), 2)
    assert np.abs(cv2.blur(plain.astype(float), (9, 9)) - cv2.blur(expected, (9, 9))).mean() < 3
    top, left = np.argwhere((small.painted != plain).any(axis=2)).min(axis=0).tolist()
    assert abs(top - 37) <= 1 and abs(left - 50) <= 1  # the frame, or what the map is smoothed by


def _small(found: RealnessMap) -> tuple:
    covered = np.ones((150, 200), bool)
    return found.values[2::4, 2::4], found.legend, covered


def test_pictures_need_a_picture_of_the_map() -> None:
    found = made(64, 64)
    bare = RealnessMap(found.values, found.config, (TEXT,), "custom", found.windows)
    with pytest.raises(UsageError, match="does not hold its picture; give it as image="):
        bare.overlay()
    assert bare._repr_png_() is None
    assert bare.overlay(image=found.image).size == found.overlay(title="").size
    for wrong in (found.image[:-1], found.image[..., 0], found.image.astype(float)):
        with pytest.raises(UsageError, match="the map needs uint8 RGB"):
            found.panel(image=wrong)
    pillow = Image.fromarray(found.image)
    assert bare.overlay(image=pillow).tobytes() == bare.overlay(image=found.image).tobytes()  # type: ignore[arg-type]
    for wrong_number in ({"longest_px": 0}, {"regions": -1}):
        with pytest.raises(UsageError, match="give at least 1, and at least 0"):
            found.overlay(**wrong_number)
    with pytest.raises(UsageError, match="lower value first"):
        found.overlay(limits=(0.8, 0.3))


def test_repr_says_what_it_is() -> None:
    assert repr(made(64, 80)) == f"<RealnessMap 'cup.png', 80 x 64 px, realness 0.3 to 0.8, text: {TEXT}>"
    values = np.linspace(-1e-4, 3e-4, 64 * 80, dtype=np.float32).reshape(64, 80)
    added = AttributionMap(
        values,
        Attributed("real-fake", "p_fake", "fake"),
        0.4,
        -0.1,
        {"p_fake": 0.6, "verdict": "fake", "x": None},
    )
    assert (
        repr(added) == "<AttributionMap 80 x 64 px, real-fake -0.0001 to 0.0003, p_fake 0.600, verdict fake>"
    )


def test_a_notebook_shows_a_bounded_overlay() -> None:
    from io import BytesIO

    found = made(900, 2000)
    shown = Image.open(BytesIO(found._repr_png_()))
    assert 768 < shown.width < 1000 and shown.height < 700


@pytest.mark.parametrize(
    ("name", "is_picture"),
    [
        ("m.png", True),
        ("m.OVERLAY.png", True),
        ("m.panel.png", True),
        ("m.heatmap.png", True),
        ("m.jpg", True),
        ("m.webp", True),
        ("m.npy", False),
        ("m.json", False),
    ],
)
def test_saved_by_the_ending(name: str, is_picture: bool, tmp_path: Path) -> None:
    found = made(72, 96)
    found.save(tmp_path / name, score="realness 71")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    if is_picture:
        shape = Image.open(tmp_path / name).size
        kind = "panel" if "panel" in name else "overlay"
        assert shape == ((96, 72) if "heatmap" in name else getattr(found, kind)(score="realness 71").size)
    elif name == "m.npy":
        np.testing.assert_array_equal(np.load(tmp_path / name), found.values)
    else:
        assert '"image": "cup.png"' in (tmp_path / name).read_text(encoding="utf-8")


def test_saving_as_something_else_is_refused(tmp_path: Path) -> None:
    found = made(64, 64)
    with pytest.raises(UsageError, match=r"m\.tif: a map is saved as .*\.heatmap\.png.*by the ending"):
        found.save(tmp_path / "m.tif")
    with pytest.raises(UsageError, match="does not hold its picture"):
        RealnessMap(found.values, found.config, (TEXT,), "custom", 9).save(tmp_path / "m.png")


def test_caption_is_cut_where_it_is_long() -> None:
    found = made(300, 400)
    limits = colour_limits(found)
    drawing = figure.draw(found, found.image, limits)
    long = figure.overlay(drawing, found, limits, Caption("n" * 500, "s" * 500))
    assert long.width == 492 and long.height < 480
    words = RealnessMap(found.values, found.config, ("word " * 500,), "custom", 9, image=found.image)
    assert words.overlay().height < 460 and words.panel().height <= 320
