from __future__ import annotations

import csv
import itertools
import math

import numpy as np
import pytest
from repository import ROOT

from realm_engine import Engine
from realm_engine.errors import UsageError
from realm_engine.maps.adaptive import MIN_WINDOWS, adaptive_similarities, fast_fraction
from realm_engine.maps.windows import WindowGrid, spread_mean
from realm_engine.pictures.decode import load_image

SAMPLES = ROOT / "samples"
SMALL = list(itertools.product((1, 2, 3, 4, 5, 7, 10), repeat=2))
LONG = [(1, 40), (40, 1), (1, 200), (2, 90), (90, 2), (3, 33), (41, 57), (60, 13)]


class Windows:
    """A field given as (rows, cols, K), that notes which of its windows were asked for."""

    def __init__(self, field: np.ndarray) -> None:
        self.rows, self.cols = field.shape[:2]
        self.values = field.reshape(self.rows * self.cols, -1).astype(np.float32)
        self.calls: list[np.ndarray] = []

    def __call__(self, indices: np.ndarray) -> np.ndarray:
        assert indices.dtype == np.int64
        self.calls.append(indices)
        return self.values[indices]

    def approximate(self, fraction: float, overlap: float = 8.0) -> tuple[np.ndarray, np.ndarray]:
        return adaptive_similarities(self.rows, self.cols, fraction, self, overlap)


def rough(rows: int, cols: int, texts: int = 2, seed: int = 0) -> np.ndarray:
    """A random walk along both axes, as rough as similarities are."""
    noise = np.random.default_rng(seed).normal(0, 0.05, (rows, cols, texts))
    return noise.cumsum(axis=0).cumsum(axis=1)


def regular_bilinear(field: np.ndarray, step: int) -> tuple[np.ndarray, int]:
    """Every step-th row and column and the last ones, linear in between; and the number of windows."""
    rows, cols = field.shape
    at_rows = np.unique([*range(0, rows, step), rows - 1])
    at_cols = np.unique([*range(0, cols, step), cols - 1])
    coarse = field[np.ix_(at_rows, at_cols)]
    wide = np.stack([np.interp(np.arange(cols), at_cols, line) for line in coarse])
    full = np.stack([np.interp(np.arange(rows), at_rows, line) for line in wide.T], axis=1)
    return full, coarse.size


@pytest.mark.parametrize("shape", SMALL + LONG)
@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.99])
def test_computed_windows_are_exact_within_budget_and_asked_for_once(shape, fraction):
    windows = Windows(rough(*shape))
    values, computed = windows.approximate(fraction)

    count = shape[0] * shape[1]
    assert values.shape == (count, 2) and values.dtype == np.float32
    assert computed.shape == (count,) and computed.dtype == np.bool_
    assert computed.sum() == min(count, max(math.ceil(fraction * count), MIN_WINDOWS))
    asked = np.concatenate(windows.calls)
    assert len(windows.calls) <= 2 and all((np.diff(call) > 0).all() for call in windows.calls)
    np.testing.assert_array_equal(np.sort(asked), np.flatnonzero(computed))
    np.testing.assert_array_equal(values[computed], windows.values[computed])
    assert np.isfinite(values).all()
    assert computed.reshape(shape)[[0, 0, -1, -1], [0, -1, 0, -1]].all(), "corners are extrapolated"


@pytest.mark.parametrize("shape", [*SMALL, (41, 57)])
def test_all_windows_are_exactly_the_full_grid_in_one_call(shape):
    windows = Windows(rough(*shape))
    values, computed = windows.approximate(1.0)
    np.testing.assert_array_equal(values, windows.values)
    assert computed.all() and len(windows.calls) == 1


@pytest.mark.parametrize("shape", [(41, 57), *LONG])
@pytest.mark.parametrize("overlap", [1, 8, 32])
def test_constant_and_linear_fields_are_reproduced(shape, overlap):
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    constant = np.full(shape, 0.25)
    linear = 0.3 + 0.01 * rows - 0.004 * cols
    windows = Windows(np.stack([constant, linear], axis=2))
    values, computed = windows.approximate(0.1, overlap)
    assert not computed.all()
    np.testing.assert_allclose(values, windows.values, rtol=0, atol=1e-6)


def test_the_same_windows_every_time_and_texts_do_not_mix():
    field = rough(41, 57, texts=3)
    first, second = (Windows(field).approximate(0.2) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    swapped, _ = Windows(field[:, :, ::-1]).approximate(0.2)
    np.testing.assert_allclose(swapped[:, ::-1], first[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("width", [1.5, 2.5, 4.0])
def test_refinement_finds_a_bump_and_beats_a_regular_grid_of_more_windows(width):
    rows, cols = np.mgrid[:41, :57]
    for row, col in [(14, 37), (20, 28.5), (29.3, 11.6)]:
        distance = np.hypot(rows - row, cols - col)
        bump = np.exp(-(distance**2) / (2 * width**2))
        values, computed = Windows(bump).approximate(0.2)
        inside = (rows > 5) & (rows < 35) & (cols > 5) & (cols < 51)
        computed, near = computed.reshape(bump.shape), distance < 2 * width
        assert computed[near].mean() > 2 * computed[inside & ~near].mean()

        regular, used = regular_bilinear(bump, 2)
        assert used > computed.sum()
        assert ((values[:, 0] - bump.ravel()) ** 2).mean() < ((regular - bump) ** 2).mean()


def test_a_step_is_followed_better_than_by_a_regular_grid():
    field = np.where(np.add.outer(np.arange(41), np.arange(57)) > 50, 0.6, 0.4)
    values, computed = Windows(field).approximate(0.2)
    regular, used = regular_bilinear(field, 2)
    assert used >= computed.sum()
    values = values.reshape(field.shape)
    grid = WindowGrid(384, 512, 64, 8)
    error = np.abs(spread_mean(values, grid) - spread_mean(field, grid)).mean()
    assert error < np.abs(spread_mean(regular, grid) - spread_mean(field, grid)).mean()


def test_borders_are_denser_the_more_windows_overlap():
    flat = np.zeros((41, 57))

    def border_share(overlap: float) -> float:
        computed = Windows(flat).approximate(0.2, overlap)[1].reshape(flat.shape)
        return float(np.concatenate([computed[0], computed[-1], computed[:, 0], computed[:, -1]]).mean())

    shares = [border_share(overlap) for overlap in (1, 8, 32)]
    assert shares == sorted(shares) and shares[0] < 0.35 < 0.45 < shares[1]


def test_more_windows_are_nearer_to_the_full_grid():
    grid, field = WindowGrid(384, 512, 64, 8), rough(41, 57, texts=1)[:, :, 0]
    errors = []
    for fraction in (0.05, 0.1, 0.2, 0.4, 0.8):
        values, _ = Windows(field).approximate(fraction)
        error = spread_mean(values.reshape(field.shape), grid) - spread_mean(field, grid)
        errors.append(float(np.sqrt((error**2).mean())))
    assert errors == sorted(errors, reverse=True)


def test_values_that_are_not_numbers_stay_visible():
    field = rough(20, 20, texts=1)
    field[10] = np.nan
    values, computed = Windows(field).approximate(0.3)
    assert computed.sum() == 120 and np.isnan(values).any()


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, float("nan"), float("inf")])
def test_a_fraction_out_of_range_names_the_range(fraction):
    with pytest.raises(UsageError, match="over 0, up to 1"):
        adaptive_similarities(4, 4, fraction, lambda indices: np.zeros((len(indices), 1), np.float32))


def test_an_answer_of_another_length_is_a_bug_and_says_so():
    with pytest.raises(ValueError, match="for 2337 windows"):
        adaptive_similarities(41, 57, 1.0, lambda indices: np.zeros((3, 1), np.float32))


def test_fast_fraction_falls_with_overlap():
    assert fast_fraction(64, 8) == pytest.approx(0.2)
    assert fast_fraction(128, 4) == pytest.approx(0.05)
    assert fast_fraction(64, 16) == pytest.approx(0.566, abs=1e-3)
    assert fast_fraction(64, 32) == fast_fraction(64, 64) == fast_fraction(16, 100) == 1.0


@pytest.mark.parametrize("name", ["coffee-melted.png", "temple.jpg"])
def test_five_times_fewer_windows_draw_nearly_the_same_map(name):
    """The embedded default on a real image with its own description: Pearson and Spearman over 0.99."""
    with (SAMPLES / "image_descriptions.csv").open(encoding="utf-8", newline="") as file:
        texts = {row["filename"]: row["description"] for row in csv.DictReader(file)}
    image = load_image(SAMPLES / name)
    grid = WindowGrid(*image.shape[:2], 64, 8)
    with Engine.open(device="cpu", precision="fp32") as engine:
        dream = engine.maps.dream
        full = dream.similarities(image, grid, dream.embed([texts[name]]))
    windows = Windows(full.reshape(grid.rows, grid.cols, 1))
    values, computed = windows.approximate(fast_fraction(64, 8))

    assert computed.sum() == math.ceil(grid.count / 5)
    exact, fast = (spread_mean(s.reshape(grid.rows, grid.cols), grid).ravel() for s in (full, values))
    covered = exact != 0
    exact, fast = exact[covered], fast[covered]
    ranks = [np.argsort(np.argsort(s)) for s in (exact, fast)]
    assert np.corrcoef(exact, fast)[0, 1] >= 0.99
    assert np.corrcoef(*ranks)[0, 1] >= 0.99
    assert np.abs(exact - fast).max() < 0.1 * np.ptp(exact)
