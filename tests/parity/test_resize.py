"""The graph's resize and gather against Pillow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from export.resize import gather_windows, resample
from realm_engine.resample import resample_matrix


def matrix(in_size: int, out_size: int, interpolation: str) -> torch.Tensor:
    return torch.from_numpy(resample_matrix(in_size, out_size, interpolation).astype(np.float32))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("size", "target"),
    [
        *(((window, window), (224, 224)) for window in (16, 64, 100, 224, 256)),
        *((size, (96, 128)) for size in ((97, 203), (500, 333), (96, 128), (7, 300))),
    ],
)
def test_resize_is_within_one_level_of_pillow(size, target, interpolation):
    rng = np.random.default_rng(sum(size))
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)  # noise: the hardest case for rounding
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    expected = np.array(Image.fromarray(image).resize(target[::-1], filters[interpolation]))
    rows, cols = (matrix(i, o, interpolation) for i, o in zip(size, target, strict=True))
    planes = torch.from_numpy(image).permute(2, 0, 1).float().unsqueeze(0)
    ours = resample(planes, rows, cols)[0].permute(1, 2, 0).numpy()
    difference = np.abs(ours - expected)
    assert difference.max() <= 1
    # 16 -> 224 px interpolates by 28ths, where many sums are exact halves and float32 may round either way.
    assert (difference == 0).mean() > 0.97


def test_gather_cuts_the_windows_that_slicing_cuts():
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    tops, lefts = [0, 3, 18], [0, 38, 5]
    windows = gather_windows(
        torch.from_numpy(image).float(), torch.tensor(tops), torch.tensor(lefts), torch.arange(32)
    )
    for window, top, left in zip(windows.numpy(), tops, lefts, strict=True):
        np.testing.assert_array_equal(window.transpose(1, 2, 0), image[top : top + 32, left : left + 32])
