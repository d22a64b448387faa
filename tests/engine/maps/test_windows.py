from __future__ import annotations

import numpy as np
import pytest

from realm_engine.errors import WindowError
from realm_engine.maps.windows import (
    WindowGrid,
    coverage,
    covered,
    covered_by_any,
    origins,
    spread_mean,
    spread_scales,
)

# height, width, window, stride: exact fits, remainders, stride = window, stride > window, one window
GRIDS = [
    (48, 64, 16, 8),
    (50, 67, 16, 8),
    (33, 40, 7, 5),
    (20, 31, 4, 4),
    (20, 31, 3, 7),
    (16, 16, 16, 8),
    (9, 30, 9, 1),
]


def loop_mean(values: np.ndarray, height: int, width: int, window: int, stride: int) -> np.ndarray:
    """The published loop: add every window to its pixels, divide by how many came."""
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for row, top in enumerate(range(0, height - window + 1, stride)):
        for col, left in enumerate(range(0, width - window + 1, stride)):
            total[top : top + window, left : left + window] += values[row, col]
            count[top : top + window, left : left + window] += 1
    return np.where(count > 0, total / np.maximum(count, 1), 0.0)


def loop_covered(height: int, width: int, window: int, stride: int) -> np.ndarray:
    mask = np.zeros((height, width), dtype=bool)
    for top in range(0, height - window + 1, stride):
        for left in range(0, width - window + 1, stride):
            mask[top : top + window, left : left + window] = True
    return mask


def values_for(grid: WindowGrid, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 1.5, (grid.rows, grid.cols))


@pytest.mark.parametrize("shape", GRIDS)
def test_spread_mean_equals_the_published_loop(shape):
    grid = WindowGrid(*shape)
    values = values_for(grid)
    np.testing.assert_allclose(spread_mean(values, grid), loop_mean(values, *shape), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", GRIDS)
def test_origins_are_those_of_the_published_loop(shape):
    height, width, window, stride = shape
    expected = [
        (top, left)
        for top in range(0, height - window + 1, stride)
        for left in range(0, width - window + 1, stride)
    ]
    grid = WindowGrid(*shape)
    tops, lefts = grid.origins()
    assert list(zip(tops.tolist(), lefts.tolist(), strict=True)) == expected
    assert grid.count == len(expected)
    assert tops.dtype == lefts.dtype == np.int64


@pytest.mark.parametrize("shape", GRIDS)
def test_uncovered_pixels_are_zero_and_known(shape):
    grid = WindowGrid(*shape)
    mask = loop_covered(*shape)
    np.testing.assert_array_equal(covered(grid), mask)
    assert not spread_mean(values_for(grid), grid)[~mask].any()


def test_the_published_numbers_of_windows():
    assert WindowGrid(384, 512, 64, 32).count == 165
    assert WindowGrid(384, 512, 64, 8).count == 2337
    assert sum(WindowGrid(384, 512, window, 4).count for window in (128, 64, 32)) == 26227


def test_coverage_rows_sum_to_one_or_zero():
    sums = coverage(50, 16, 8).sum(axis=1)
    np.testing.assert_allclose(sums[:48], 1.0)
    assert not sums[48:].any()


@pytest.mark.parametrize("aggregate", ["mean", "max"])
@pytest.mark.parametrize("sign", [1, -1])
def test_scales_are_combined_over_those_that_cover_a_pixel(aggregate, sign):
    shapes = [(50, 67, 16, 8), (50, 67, 9, 8), (50, 67, 50, 8)]
    grids = [WindowGrid(*shape) for shape in shapes]
    values = [sign * values_for(grid, seed) for seed, grid in enumerate(grids)]
    maps = [loop_mean(value, *shape) for value, shape in zip(values, shapes, strict=True)]
    masks = [loop_covered(*shape) for shape in shapes]
    expected = np.full((50, 67), np.nan)
    for y in range(50):
        for x in range(67):
            here = [maps[i][y, x] for i in range(3) if masks[i][y, x]]
            if here:
                expected[y, x] = max(here) if aggregate == "max" else sum(here) / len(here)
    np.testing.assert_allclose(spread_scales(values, grids, aggregate), expected, atol=1e-12)
    np.testing.assert_array_equal(covered_by_any(grids), np.any(masks, axis=0))
    assert not np.all(masks)  # the case has uncovered pixels, or it would show nothing


def test_a_window_that_does_not_fit_names_the_largest_that_does():
    with pytest.raises(WindowError, match=r"128 px does not fit an image of 100 x 90 px.*fits is 90 px"):
        WindowGrid(90, 100, 128, 4)


@pytest.mark.parametrize(("window", "stride"), [(0, 4), (4, 0), (-1, 4)])
def test_refuses_sizes_below_one(window, stride):
    with pytest.raises(WindowError):
        WindowGrid(10, 10, window, stride)


def test_values_of_another_shape_are_a_bug():
    with pytest.raises(ValueError, match="shape"):
        spread_mean(np.zeros((2, 2)), WindowGrid(48, 64, 16, 8))


def test_origins_of_an_axis_that_is_too_short_are_empty():
    assert origins(5, 6, 2).size == 0
