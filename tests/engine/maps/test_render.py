"""Colours and layout of the pictures of a map."""

import numpy as np
import pytest

from realm_engine.maps import render


def ramp(height: int = 40, width: int = 101) -> np.ndarray:
    return np.linspace(0.2, 0.8, width, dtype=np.float32)[None, :].repeat(height, axis=0)


def test_hot_is_the_published_colour_map() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    values = np.linspace(0, 1, 256, dtype=np.float32)[None]
    coloured = render.heatmap(values, "similarity", limits=(0.0, 1.0))
    expected = matplotlib.colormaps["hot"](np.arange(256), bytes=True)[:, :3]
    assert np.abs(coloured[0].astype(int) - expected).max() <= 1


def test_hot_is_unreal_in_either_quantity() -> None:
    similarity = ramp()
    realness = 1.0 - similarity
    pictures = [render.heatmap(similarity, "similarity"), render.heatmap(realness, "realness")]
    for picture in pictures:
        assert picture.dtype == np.uint8 and picture.shape == (40, 101, 3)
        brightness = picture[0].sum(axis=1, dtype=int)
        assert brightness[-1] > 740 and brightness[0] < 30
        assert (np.diff(brightness) >= 0).all()
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 4


def test_uncovered_pixels_count_for_nothing() -> None:
    values, covered = ramp(), np.ones((40, 101), bool)
    covered[-4:], covered[:, -3:] = False, False
    values[~covered] = 0.0  # as published
    assert render.colour_limits(values, covered) == pytest.approx((0.2, 0.2 + 0.006 * 97))
    picture = render.heatmap(values, "realness", covered)
    assert (picture[~covered] == 128).all()
    full = render.heatmap(ramp()[:36, :98], "realness")
    np.testing.assert_array_equal(picture[:36, :98], full)


def test_a_flat_map_looks_flat() -> None:
    random = np.random.default_rng(0)
    values = (0.7 + 1e-4 * random.random((30, 30))).astype(np.float32)
    low, high = render.colour_limits(values)
    assert high - low == pytest.approx(render.MINIMUM_SPAN)
    assert (low + high) / 2 == pytest.approx(0.70005, abs=1e-4)
    assert np.ptp(render.heatmap(values).astype(int), axis=(0, 1)).max() <= 4
    nothing = np.zeros((30, 30), bool)
    assert render.colour_limits(values, nothing) == (0.0, render.MINIMUM_SPAN)
    assert (render.heatmap(values, covered=nothing) == 128).all()


def test_overlay_blends_half_and_half_left_of_the_bar() -> None:
    height, width = 300, 400
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    values = np.linspace(0, 1, height * width, dtype=np.float32).reshape(height, width)
    covered = np.ones((height, width), bool)
    covered[-7:] = False
    picture = render.overlay(image, values, "similarity", covered)
    heat = render.heatmap(values, "similarity", covered)
    expected = np.where(covered[:, :, None], np.floor((image.astype(int) + heat) / 2 + 0.5), image)
    assert picture.shape[0] == height and picture.shape[1] > width
    np.testing.assert_array_equal(picture[:, :width], expected.astype(np.uint8))


@pytest.mark.parametrize("quantity", ["realness", "similarity"])
def test_colour_bar_is_hot_above_and_labelled(quantity: str) -> None:
    image = np.full((384, 512, 3), 90, np.uint8)
    bar = render.overlay(image, ramp(384, 512), quantity)[:, 512:].astype(int)
    column = bar[:, 14 + 9]  # the middle of the bar
    coloured = np.flatnonzero(np.ptp(column, axis=1) > 60)
    assert coloured.size > 200
    assert column[coloured[0]].sum() > 500 and column[coloured[-1]].sum() < 150
    assert (np.diff(column[coloured].sum(axis=1)) <= 0).all()
    dark = (bar < 128).all(axis=2)
    assert dark[:28].any() and dark[-28:].any()  # "unreal" above, "real" below


def test_values_at_the_bar_follow_the_quantity() -> None:
    """The bar of a realness map and of its complement show different numbers, all else equal."""
    image = np.full((384, 512, 3), 90, np.uint8)
    one = render.overlay(image, ramp(384, 512), "similarity")
    other = render.overlay(image, 1.0 - ramp(384, 512), "realness")
    assert np.abs(one[:, :512].astype(int) - other[:, :512]).max() <= 3
    assert (one[:, 545:] != other[:, 545:]).any()


def test_boxes_are_framed() -> None:
    image = np.full((300, 400, 3), 90, np.uint8)
    values = np.full((300, 400), 0.5, np.float32)
    plain = render.overlay(image, values)
    framed = render.overlay(image, values, boxes=[(50, 60, 100, 80)])
    changed = np.argwhere((plain != framed).any(axis=2))
    assert changed.min(axis=0).tolist() == [60, 50]
    assert changed.max(axis=0).tolist() == [139, 149]
    assert (framed[61, 51:149] == 255).all() and (framed[60, 50:150] == 30).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (16, 20), (255, 255), (900, 300)])
def test_any_size(size: tuple[int, int]) -> None:
    height, width = size
    image = np.full((height, width, 3), 200, np.uint8)
    picture = render.overlay(
        image, np.full(size, 0.4, np.float32), boxes=[(0, 0, 1, 1), (0, 0, width, height)]
    )
    assert picture.dtype == np.uint8 and picture.flags["C_CONTIGUOUS"]
    assert picture.shape[0] >= max(256, height) and picture.shape[1] >= width + 92


def test_inputs_are_left_alone() -> None:
    image, values = np.full((64, 64, 3), 7, np.uint8), ramp(64, 64)
    before = values.copy()
    render.overlay(image, values, boxes=[(1, 1, 20, 20)])
    assert (image == 7).all() and (values == before).all()
