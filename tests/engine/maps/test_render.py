"""Colours and layout of the pictures of a map."""

import runpy

import cv2
import numpy as np
import pytest
from repository import ROOT

from realm_engine.maps import render
from realm_engine.maps.colour_bar import colour_bar
from realm_engine.maps.realness_map import LEGENDS

REALNESS, SIMILARITY = LEGENDS["realness"], LEGENDS["similarity"]


def ramp(height: int = 40, width: int = 101) -> np.ndarray:
    return np.linspace(0.2, 0.8, width, dtype=np.float32)[None, :].repeat(height, axis=0)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of uint8 colours (H, W, 3), by OpenCV."""
    return cv2.cvtColor((rgb / 255.0).astype(np.float32), cv2.COLOR_RGB2LAB).astype(np.float64)


# What a dichromat sees of linear sRGB: Machado, Oliveira and Fernandes 2009, severity 1.
EYES = {
    "all cones": np.eye(3),
    "protanope": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranope": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanope": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}  # fmt: skip


def seen(rgb: np.ndarray, eye: str) -> np.ndarray:
    share = rgb / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(EYES[eye]).T, 0.0, 1.0)
    return 255.0 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


GROUNDS = {"black": (0, 0, 0), "white": (255, 255, 255), "grey": (128, 128, 128), "red": (255, 0, 0)}


def distances(ground: tuple[int, int, int], eye: str = "all cones") -> np.ndarray:
    """CIELAB distance of the 256 levels of unrealness, laid over a ground, from that ground."""
    plain = np.full((1, 256, 3), ground, np.uint8)
    laid = render.lay_over(plain, np.linspace(0, 1, 256, dtype=np.float32)[None])
    return np.linalg.norm(lab(seen(laid, eye)) - lab(seen(plain, eye)), axis=2)[0]


@pytest.mark.parametrize("ground", GROUNDS.values(), ids=GROUNDS)
def test_the_worst_place_is_the_most_salient(ground: tuple[int, int, int]) -> None:
    distance = distances(ground)
    assert distance[0] == 0 and distance[-1] > 100
    assert (distance[:-1] < distance[-1]).all()
    assert (np.diff(distance[::15]) > 0).all()
    # Between neighbours of the 256 levels only rounding to 8 bits shows; 2.3 is a just noticeable difference.
    assert (np.maximum.accumulate(distance) - distance).max() < 0.6


@pytest.mark.parametrize("eye", list(EYES)[1:])
@pytest.mark.parametrize("ground", GROUNDS.values(), ids=GROUNDS)
def test_and_for_colour_blind_viewers(ground: tuple[int, int, int], eye: str) -> None:
    distance = distances(ground, eye)
    assert distance[-1] > 30 and (distance[:-1] < distance[-1]).all()
    assert (np.maximum.accumulate(distance) - distance).max() < 2.3  # a just noticeable difference


def test_colours_are_ordered_by_lightness_and_alpha() -> None:
    table = render.colours()
    assert table.shape == (256, 4) and table[0, 3] == 0 and table[-1].tolist() == [255, 0, 255, 217]
    assert (np.diff(table[:, 3].astype(int)) >= 0).all()
    assert (np.diff(lab(table[None, :, :3])[0, ::15, 0]) < -1).all()
    heat = render.heatmap(np.linspace(0, 1, 256, dtype=np.float32)[None], SIMILARITY, limits=(0.0, 1.0))
    assert (np.diff(lab(heat)[0, ::15, 0]) < 0).all()


def test_the_table_is_what_the_recipe_writes() -> None:
    namespace = runpy.run_path(str(ROOT / "recipes" / "colours.py"))
    np.testing.assert_array_equal(namespace["table"](), render.colours())


def test_magenta_is_unreal_in_either_quantity() -> None:
    similarity = ramp()
    realness = 1.0 - similarity
    pictures = [render.heatmap(similarity, SIMILARITY), render.heatmap(realness, REALNESS)]
    for picture in pictures:
        assert picture.dtype == np.uint8 and picture.shape == (40, 101, 3)
        assert picture[0, 0].tolist() == [255, 255, 255] and picture[0, -1].tolist() == [255, 38, 255]
        assert (np.diff(picture[0, :, 1].astype(int)) <= 0).all()
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 4


def test_uncovered_pixels_count_for_nothing() -> None:
    values, covered = ramp(), np.ones((40, 101), bool)
    covered[-4:], covered[:, -3:] = False, False
    values[~covered] = 0.0  # as published
    assert render.colour_limits(values, covered) == pytest.approx((0.2, 0.2 + 0.006 * 97))
    picture = render.heatmap(values, REALNESS, covered)
    assert (picture[~covered] == 128).all()
    full = render.heatmap(ramp()[:36, :98], REALNESS)
    np.testing.assert_array_equal(picture[:36, :98], full)


def test_a_flat_map_looks_flat() -> None:
    random = np.random.default_rng(0)
    values = (0.7 + 1e-4 * random.random((30, 30))).astype(np.float32)
    low, high = render.colour_limits(values)
    assert high - low == pytest.approx(render.MINIMUM_SPAN)
    assert (low + high) / 2 == pytest.approx(0.70005, abs=1e-4)
    assert np.ptp(render.heatmap(values, REALNESS).astype(int), axis=(0, 1)).max() <= 4
    nothing = np.zeros((30, 30), bool)
    assert render.colour_limits(values, nothing) == (0.0, render.MINIMUM_SPAN)
    assert (render.heatmap(values, REALNESS, covered=nothing) == 128).all()


def test_a_picture_is_denser_covered_where_less_real() -> None:
    height, width = 300, 400
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    values = np.linspace(0, 1, height * width, dtype=np.float32).reshape(height, width)
    covered = np.ones((height, width), bool)
    covered[-7:] = False
    picture = render.painted(image, values, SIMILARITY, covered)
    table = render.colours().astype(np.float64)
    share = np.clip(values / values[covered].max(), 0, 1)
    row = table[np.floor(255 * share + 0.5).astype(int)]
    expected = image + row[:, :, 3:] / 255 * (row[:, :, :3] - image)
    assert np.abs(picture - np.where(covered[:, :, None], expected, image)).max() <= 0.5
    np.testing.assert_array_equal(picture[0, :100], image[0, :100])  # what looks real is untouched
    np.testing.assert_array_equal(picture[-7:], image[-7:])


def blocks(step: int, rows: int, columns: int, seed: int = 3) -> np.ndarray:
    """Random values in blocks, as windows of a whole number of strides give them."""
    values = np.random.default_rng(seed).random((rows, columns)).astype(np.float32)
    return values.repeat(step, axis=0).repeat(step, axis=1)


@pytest.mark.parametrize("step", [2, 3, 4, 7, 8])
def test_blocks_are_joined_by_straight_lines(step: int) -> None:
    """NumPy's interpolation between the blocks' middles, along one axis and then the other."""
    values = blocks(step, 5, 6)
    middles = [np.arange(count) * step + (step - 1) / 2 for count in (5, 6)]
    rows = values[::step, ::step].astype(np.float64)
    wide = np.stack([np.interp(np.arange(6 * step), middles[1], row) for row in rows])
    expected = np.stack([np.interp(np.arange(5 * step), middles[0], column) for column in wide.T], axis=1)
    np.testing.assert_allclose(render.interpolated(values, step), expected, rtol=0, atol=2e-6)


def test_what_no_window_covers_gives_nothing_to_its_neighbours() -> None:
    values, covered = blocks(4, 5, 6), np.ones((20, 24), bool)
    covered[17:], covered[:, 21:] = False, False
    lost = np.where(covered, values, np.nan)
    found = render.interpolated(lost, 4, covered)
    assert np.isnan(found[~covered]).all() and np.isfinite(found[covered]).all()
    for y, x in ((16, 3), (16, 20), (5, 20), (0, 0)):  # a plain mean over the box, half a weight at its ends
        weights = np.array([0.5, 1, 1, 1, 0.5])
        total = weight = 0.0
        for down in range(-2, 3):
            for right in range(-2, 3):
                inside = 0 <= y + down < 20 and 0 <= x + right < 24
                if inside and covered[y + down, x + right]:
                    share = weights[down + 2] * weights[right + 2]
                    total, weight = total + share * values[y + down, x + right], weight + share
        assert found[y, x] == pytest.approx(total / weight, abs=1e-6)
    assert render.interpolated(values, 1) is values


def test_pictures_are_the_same_whatever_is_coloured_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values, covered = blocks(8, 9, 7), np.ones((72, 56), bool)
    covered[-5:] = False
    image = np.random.default_rng(1).integers(0, 256, (72, 56, 3), dtype=np.uint8)
    whole = render.painted(image, values, REALNESS, covered, step_px=8)
    monkeypatch.setattr(render, "_STRIP_PX", 56 * 11)
    np.testing.assert_array_equal(render.painted(image, values, REALNESS, covered, step_px=8), whole)
    assert (whole != render.painted(image, values, REALNESS, covered)).any()
    assert (
        np.abs(np.diff(render.heatmap(values, REALNESS, covered, None, 8)[:60].astype(int), axis=1)) < 60
    ).all()


@pytest.mark.parametrize("quantity", ["realness", "similarity"])
def test_colour_bar_is_magenta_above_and_labelled(quantity: str) -> None:
    bar = colour_bar(384, 1.0, LEGENDS[quantity], (0.2, 0.8)).astype(int)
    assert bar.shape == (384, 92, 3)
    column = bar[31:353, 14 + 9]  # the middle of the bar
    assert column[0].max() == 255 and column[0, 1] < 40
    assert {tuple(pixel) for pixel in column[-8:].tolist()} == {(255, 255, 255), (205, 205, 205)}  # checks
    on_white = column[column[:, 0] == 255][:, 1]
    assert on_white.size > 100 and (np.diff(on_white) >= 0).all()
    dark = (bar < 128).all(axis=2)
    assert dark[:28].any() and dark[-28:].any()  # "unreal" above, "real" below


def test_values_at_the_bar_follow_the_quantity() -> None:
    """A realness map and its complement look alike, and their bars show different numbers."""
    image = np.full((384, 512, 3), 90, np.uint8)
    one = render.painted(image, ramp(384, 512), SIMILARITY)
    other = render.painted(image, 1.0 - ramp(384, 512), REALNESS)
    assert np.abs(one.astype(int) - other).max() <= 3
    bars = [colour_bar(384, 1.0, legend, (0.1, 0.8)) for legend in (SIMILARITY, REALNESS)]
    assert (bars[0][:, 33:] != bars[1][:, 33:]).any()


def test_boxes_are_framed() -> None:
    plain = np.full((300, 400, 3), 90, np.uint8)
    framed = render.framed(plain, [(50, 60, 100, 80)], 1.0)
    changed = np.argwhere((plain != framed).any(axis=2))
    assert changed.min(axis=0).tolist() == [60, 50]
    assert changed.max(axis=0).tolist() == [139, 149]
    assert (framed[61, 70:149] == 255).all() and (framed[60, 70:150] == 30).all()  # right of the number


def test_inputs_are_left_alone() -> None:
    image, values = np.full((64, 64, 3), 7, np.uint8), ramp(64, 64)
    before = values.copy()
    render.framed(render.painted(image, values, REALNESS, step_px=8), [(1, 1, 20, 20)], 1.0)
    assert (image == 7).all() and (values == before).all()
