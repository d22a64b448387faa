"""The graph's resize and gather against Pillow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from repository import ROOT

from export.graph.resize import gather_windows, resample, resample_exactly
from realm_engine.pictures.resample import resample_matrix

SAMPLES = sorted((ROOT / "samples").glob("*.jpg"))


def matrix(in_size: int, out_size: int, interpolation: str) -> torch.Tensor:
    return torch.from_numpy(resample_matrix(in_size, out_size, interpolation).astype(np.float32))


SIZES = [
    *(((window, window), (224, 224)) for window in (16, 64, 97, 100, 224, 256, 500)),
    *((size, (96, 128)) for size in ((97, 203), (500, 333), (96, 128), (7, 300), (768, 1024))),
]


def noise(size: tuple[int, int]) -> np.ndarray:
    """The hardest case for rounding."""
    return np.random.default_rng(sum(size)).integers(0, 256, (*size, 3), dtype=np.uint8)


def resized(function, image: np.ndarray, target: tuple[int, int], interpolation: str) -> np.ndarray:
    rows, cols = (matrix(i, o, interpolation) for i, o in zip(image.shape, target, strict=False))
    planes = torch.from_numpy(image).permute(2, 0, 1).float().unsqueeze(0)
    return function(planes, rows, cols)[0].permute(1, 2, 0).numpy()


def pillow(image: np.ndarray, target: tuple[int, int], interpolation: str) -> np.ndarray:
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    return np.array(Image.fromarray(image).resize(target[::-1], filters[interpolation]))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("size", "target"), SIZES)
def test_resize_of_windows_equals_pillow(size, target, interpolation):
    image = noise(size)
    ours = resized(resample_exactly, image, target, interpolation)
    np.testing.assert_array_equal(ours, pillow(image, target, interpolation))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("size", "target"), SIZES)
def test_resize_of_images_is_close_to_pillow(size, target, interpolation):
    image = noise(size)
    difference = np.abs(
        resized(resample, image, target, interpolation) - pillow(image, target, interpolation)
    )
    # Ratios of sevenths make many sums exact halves, which float32 may round either way, in both passes.
    assert difference.max() <= 2
    assert (difference <= 1).mean() > 0.9999
    assert (difference == 0).mean() > 0.95


@pytest.mark.parametrize("target", [(384, 512), (96, 128)])
def test_resize_of_a_photograph_is_within_one_level_of_pillow(target):
    with Image.open(SAMPLES[0]) as photo:
        image = np.array(photo.convert("RGB"))
    difference = np.abs(resized(resample, image, target, "bilinear") - pillow(image, target, "bilinear"))
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.99


def test_gather_cuts_the_windows_that_slicing_cuts():
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    tops, lefts = [0, 3, 18], [0, 38, 5]
    windows = gather_windows(
        torch.from_numpy(image).float(), torch.tensor(tops), torch.tensor(lefts), torch.arange(32)
    )
    for window, top, left in zip(windows.numpy(), tops, lefts, strict=True):
        np.testing.assert_array_equal(window.transpose(1, 2, 0), image[top : top + 32, left : left + 32])
