from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from realm_engine.pictures import resample
from realm_engine.pictures.resample import Span, resample_matrix, resample_matrix_float32

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
SIZES = [
    ((64, 64), (224, 224)),
    ((32, 32), (224, 224)),
    ((128, 128), (224, 224)),
    ((384, 512), (384, 512)),
    ((301, 211), (224, 224)),
    ((600, 450), (384, 512)),
    ((37, 53), (384, 512)),
    ((1, 1), (5, 7)),
    ((2, 3), (1, 1)),
    ((384, 200), (384, 512)),
    ((1000, 9), (13, 224)),
]


def pillow(image: np.ndarray, size: tuple[int, int], name: str) -> np.ndarray:
    """Pillow's resize, horizontal pass first: one axis at a time, since Pillow 13 may swap the passes."""
    wide = Image.fromarray(image).resize((size[1], image.shape[0]), FILTERS[name])
    return np.asarray(wide.resize((size[1], size[0]), FILTERS[name]))


def two_passes(image: np.ndarray, size: tuple[int, int], name: str, dtype: type) -> np.ndarray:
    rows = resample_matrix(image.shape[0], size[0], name).astype(dtype)
    cols = resample_matrix(image.shape[1], size[1], name).astype(dtype)
    planes = image.astype(dtype).transpose(2, 0, 1)
    half = dtype(0.5)
    wide = np.clip(np.floor(planes @ cols.T + half), 0, 255)
    tall = np.clip(np.floor(rows @ wide + half), 0, 255)
    return tall.transpose(1, 2, 0)


@pytest.fixture(params=["noise", "extremes"])
def make_image(request: pytest.FixtureRequest):
    def make(height: int, width: int) -> np.ndarray:
        rng = np.random.default_rng(height * 1000 + width)
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        # 0 and 255 side by side make bicubic over- and undershoot: the clip between the passes matters
        return image if request.param == "noise" else np.where(image < 128, 0, 255).astype(np.uint8)

    return make


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize(("source", "target"), SIZES)
def test_equals_pillow_bit_for_bit_in_float64(name, source, target, make_image):
    image = make_image(*source)
    expected = pillow(image, target, name)
    np.testing.assert_array_equal(two_passes(image, target, name, np.float64), expected)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize(("source", "target"), SIZES)
def test_is_within_one_level_of_pillow_in_float32(name, source, target, make_image):
    image = make_image(*source)
    difference = np.abs(two_passes(image, target, name, np.float32) - pillow(image, target, name).astype(int))
    assert difference.max() <= 1


@pytest.mark.parametrize("window", [16, 32, 64, 96, 128, 200, 224, 256, 300])
def test_a_square_window_equals_one_call_of_pillow(window, make_image):
    image = make_image(window, window)
    expected = np.asarray(Image.fromarray(image).resize((224, 224), FILTERS["bicubic"]))
    np.testing.assert_array_equal(two_passes(image, (224, 224), "bicubic", np.float64), expected)
    assert (two_passes(image, (224, 224), "bicubic", np.float32) == expected).mean() > 0.97


@pytest.mark.parametrize("name", FILTERS)
def test_every_small_size_equals_pillow(name):
    rng = np.random.default_rng(1)
    for in_size in range(1, 24):
        row = rng.integers(0, 256, (1, in_size), dtype=np.uint8)
        for out_size in range(1, 40, 3):
            expected = np.asarray(Image.fromarray(row).resize((out_size, 1), FILTERS[name]))
            matrix = resample_matrix(in_size, out_size, name)
            np.testing.assert_array_equal(np.clip(np.floor(row @ matrix.T + 0.5), 0, 255), expected)


def test_rows_sum_to_one_up_to_the_fixed_point():
    for in_size, out_size in [(64, 224), (500, 224), (7, 3)]:
        matrix = resample_matrix(in_size, out_size, "bicubic")
        np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=in_size * 2.0**-22)
        assert np.all(matrix * 2**22 == np.round(matrix * 2**22))


def test_equal_sizes_give_the_identity():
    np.testing.assert_array_equal(resample_matrix(9, 9, "bicubic"), np.eye(9))


def test_graphs_take_it_in_float32_and_it_is_made_once():
    matrix = resample_matrix_float32(64, 48, "bicubic")
    assert matrix.dtype == np.float32 and matrix is resample_matrix_float32(64, 48, "bicubic")
    np.testing.assert_array_equal(matrix, resample_matrix(64, 48, "bicubic").astype(np.float32))


def test_what_is_kept_is_bounded_in_bytes_and_the_last_used_stays(monkeypatch):
    def same(size: int) -> bool:
        return matrices[size] is resample_matrix_float32(size, 8, "bilinear")

    monkeypatch.setattr(resample, "_kept", {})
    monkeypatch.setattr(resample, "KEPT_BYTES", 8 * 4 * (100 + 101 + 102))
    matrices = {size: resample_matrix_float32(size, 8, "bilinear") for size in (100, 101, 102)}
    assert same(100)
    matrices[99] = resample_matrix_float32(99, 8, "bilinear")  # in the place of 101, used longest ago
    assert same(100) and same(102) and same(99) and not same(101)
    for size in range(100, 400):
        resample_matrix_float32(size, 8, "bilinear")
        assert sum(matrix.nbytes for matrix in resample._kept.values()) <= resample.KEPT_BYTES


@pytest.mark.parametrize("arguments", [(0, 4, "bilinear"), (4, 0, "bilinear"), (4, 4, "lanczos")])
def test_refuses_what_makes_no_sense(arguments):
    with pytest.raises(ValueError):
        resample_matrix(*arguments)


def test_rows_of_a_matrix_are_those_of_the_whole() -> None:
    for sizes in ((37, 224), (500, 256), (64, 64)):
        whole = resample_matrix(*sizes, "bicubic")
        np.testing.assert_array_equal(resample_matrix(*sizes, "bicubic", range(5, 30)), whole[5:30])
        taken = resample_matrix_float32(sizes[0], Span(sizes[1], 5, 25), "bicubic")
        np.testing.assert_array_equal(taken, whole[5:30].astype(np.float32))
    # Only what is taken is made: the whole would have 22 million rows.
    assert resample_matrix_float32(100, Span(22_400_000, 11_000_000, 224), "bilinear").shape == (224, 100)
