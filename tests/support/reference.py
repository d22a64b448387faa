"""The published loops, written without any of this project's arithmetic: Pillow, torch and plain Python.

Slow on purpose: one crop per forward pass, one window after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

ClipEncoder = Callable[[torch.Tensor], torch.Tensor]
FloatMap = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]


def crop_tensor(
    image: Pixels, top: int, left: int, window: int, size: int, mean: Sequence[float], std: Sequence[float]
) -> torch.Tensor:
    """CLIP's preprocessing of one crop: Pillow bicubic, /255, mean and std; float32 [1, 3, size, size]."""
    crop = Image.fromarray(image).crop((left, top, left + window, top + window))
    resized = np.array(crop.resize((size, size), Image.Resampling.BICUBIC))
    pixels = torch.from_numpy(resized).permute(2, 0, 1).float() / 255
    pixels = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    return pixels.unsqueeze(0)


@torch.no_grad()
def window_similarities(
    encode_image: ClipEncoder,
    text: torch.Tensor,
    image: Pixels,
    window: int,
    stride: int,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
) -> dict[tuple[int, int], float]:
    """Cosine of every window with one L2-normalised text embedding [D], by (top, left)."""
    height, width = image.shape[:2]
    result = {}
    for top in range(0, height - window + 1, stride):
        for left in range(0, width - window + 1, stride):
            features = encode_image(crop_tensor(image, top, left, window, size, mean, std))[0]
            features = features / features.norm()
            result[top, left] = float(features @ text)
    return result


def mean_over_windows(values: dict[tuple[int, int], float], window: int, height: int, width: int) -> FloatMap:
    """Each pixel's mean over the windows that cover it; 0 where there is none."""
    total = np.zeros((height, width))
    count = np.zeros((height, width))
    for (top, left), value in values.items():
        for y in range(top, top + window):
            for x in range(left, left + window):
                total[y, x] += value
                count[y, x] += 1
    result = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            if count[y, x] > 0:
                result[y, x] = total[y, x] / count[y, x]
    return result


def released_map(
    encode_image: ClipEncoder,
    text: torch.Tensor,
    image: Pixels,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    window: int = 64,
    stride: int = 8,
) -> FloatMap:
    """The published code's map: similarity, high = unreal, 0 where no window reaches."""
    height, width = image.shape[:2]
    values = window_similarities(encode_image, text, image, window, stride, size, mean, std)
    return mean_over_windows(values, window, height, width)


def paper_map(
    encode_image: ClipEncoder,
    text: torch.Tensor,
    image: Pixels,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    windows: Sequence[int] = (128, 64, 32),
    stride: int = 4,
) -> FloatMap:
    """The published figure's map: per-pixel maximum over scales of the mean of 1 - cosine, low = unreal."""
    height, width = image.shape[:2]
    best = np.full((height, width), -np.inf)
    for window in windows:
        values = window_similarities(encode_image, text, image, window, stride, size, mean, std)
        realness = mean_over_windows({key: 1 - value for key, value in values.items()}, window, height, width)
        best = np.maximum(best, realness)
    return best


def core_pixels(image: Pixels, height: int, width: int) -> torch.Tensor:
    """CORE's preprocessing: Pillow bilinear to width x height, 0..255; float32 [1, 3, height, width]."""
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1).float().unsqueeze(0)
