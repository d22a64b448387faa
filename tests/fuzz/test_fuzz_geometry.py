"""Windows, coverage, maps and regions against plain loops."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from realm_engine.errors import WindowError
from realm_engine.maps.realness_map import DreamConfig, RealnessMap
from realm_engine.maps.windows import WindowGrid, box_shares, covered, covered_by_any, origins, spread_scales

SIDES = st.integers(1, 24)


def loop_origins(length: int, window: int, stride: int) -> list[int]:
    return [first for first in range(length) if first % stride == 0 and first + window <= length]


def loop_map(values: list[np.ndarray], grids: list[WindowGrid], aggregate: str) -> np.ndarray:
    """Pixel by pixel: the mean of the windows of a scale that cover it, then mean or maximum of the scales."""
    height, width = grids[0].height, grids[0].width
    result = np.full((height, width), math.nan)
    for y in range(height):
        for x in range(width):
            scales = []
            for found, grid in zip(values, grids, strict=True):
                over = [
                    found[row, column]
                    for row, top in enumerate(loop_origins(height, grid.window_px, grid.stride_px))
                    for column, left in enumerate(loop_origins(width, grid.window_px, grid.stride_px))
                    if top <= y < top + grid.window_px and left <= x < left + grid.window_px
                ]
                if over:
                    scales.append(sum(over) / len(over))
            if scales:
                result[y, x] = max(scales) if aggregate == "max" else sum(scales) / len(scales)
    return result


@given(SIDES, SIDES, st.integers(-1, 26), st.integers(-1, 26))
def test_a_grid_has_the_windows_of_a_loop_or_is_refused(height, width, window, stride):
    if window < 1 or stride < 1 or window > min(height, width):
        with pytest.raises(WindowError):
            WindowGrid(height, width, window, stride)
        return
    grid = WindowGrid(height, width, window, stride)
    tops, lefts = loop_origins(height, window, stride), loop_origins(width, window, stride)
    assert (grid.rows, grid.cols, grid.count) == (len(tops), len(lefts), len(tops) * len(lefts))
    found = list(zip(*(each.tolist() for each in grid.origins()), strict=True))
    assert found == [(top, left) for top in tops for left in lefts]
    assert origins(height, window, stride).tolist() == tops
    seen = np.zeros((height, width), bool)
    for top, left in found:
        seen[top : top + window, left : left + window] = True
    np.testing.assert_array_equal(covered(grid), seen)


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=5),
    st.integers(1, 30),
    st.integers(1, 8),
    st.integers(1, 16),
)
def test_shares_of_windows_in_cells(firsts, window, cells, cell):
    assume(max(firsts) + window <= cells * cell)
    found = box_shares(np.array(firsts, np.int64), window, cells, cell)
    for row, first in zip(found, firsts, strict=True):
        counts = [
            sum(pixel // cell == index for pixel in range(first, first + window)) for index in range(cells)
        ]
        np.testing.assert_allclose(row, np.array(counts) / window, atol=1e-7)


@st.composite
def maps(draw: st.DrawFn) -> tuple[list[np.ndarray], list[WindowGrid], str]:
    height, width, stride = draw(SIDES), draw(SIDES), draw(st.integers(1, 9))
    windows = draw(st.lists(st.integers(1, min(height, width)), min_size=1, max_size=3, unique=True))
    grids = [WindowGrid(height, width, window, stride) for window in windows]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    flat = draw(st.booleans())
    values = [
        np.full((grid.rows, grid.cols), 0.5) if flat else rng.random((grid.rows, grid.cols)) for grid in grids
    ]
    return values, grids, draw(st.sampled_from(["mean", "max"]))


@given(maps())
def test_a_map_is_that_of_a_loop(given_map):
    values, grids, aggregate = given_map
    found = spread_scales(values, grids, aggregate)
    np.testing.assert_allclose(found, loop_map(values, grids, aggregate), atol=1e-12)
    np.testing.assert_array_equal(np.isnan(found), ~covered_by_any(grids))


def loop_regions(
    realness: np.ndarray, unreal: np.ndarray, least: float
) -> list[tuple[int, int, int, int, int, float]]:
    """Boxes of connected areas (diagonals count), found by walking from pixel to pixel."""
    left, found = unreal.copy(), []
    for start in zip(*np.nonzero(unreal), strict=True):
        if not left[start]:
            continue
        left[start] = False
        area, todo = [], deque([start])
        while todo:
            y, x = todo.popleft()
            area.append((int(y), int(x)))
            for near in [(y + down, x + across) for down in (-1, 0, 1) for across in (-1, 0, 1)]:
                if 0 <= near[0] < left.shape[0] and 0 <= near[1] < left.shape[1] and left[near]:
                    left[near] = False
                    todo.append(near)
        if len(area) >= least:
            ys, xs = [y for y, _ in area], [x for _, x in area]
            mean = float(np.mean([realness[place] for place in area], dtype=np.float64))
            found.append((min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1, len(area), mean))
    return found


@given(maps(), st.sampled_from(["realness", "similarity"]))
def test_regions_are_those_of_a_loop(given_map, quantity):
    values, grids, aggregate = given_map
    config = DreamConfig(tuple(grid.window_px for grid in grids), grids[0].stride_px, aggregate, quantity)
    realness = spread_scales(values, grids, aggregate).astype(np.float32)
    held = realness if quantity == "realness" else np.float32(1) - realness
    result = RealnessMap(held, config, ("t",), "custom", 1)
    realness, seen = result.realness, result.covered
    mean, std = realness[seen].mean(dtype=np.float64), realness[seen].std(dtype=np.float64)
    least = min(config.windows_px) ** 2 * 0.25
    expected = [] if std < 1e-6 else loop_regions(realness, seen & (realness < mean - std), least)
    found = [
        (each.x, each.y, each.width, each.height, each.area_px, pytest.approx(each.mean_realness, abs=1e-6))
        for each in result.regions(1000)
    ]
    assert len(found) == len(expected)
    for each in expected:
        assert each in found
    assert [each.mean_realness for each in result.regions(1000)] == sorted(
        each.mean_realness for each in result.regions(1000)
    )
    json_ready = result.statistics()
    assert all(math.isfinite(value) for value in json_ready.values())
