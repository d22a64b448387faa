"""The published loops: Pillow, torch and numpy, one crop or image per forward pass. None of the engine's code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from realm_engine.arrays import Float64, UInt8

Encoder = Callable[[Tensor], Tensor]
RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


class Preprocess:
    """CLIP's preprocessing of one crop: Pillow resize, / 255, mean and std."""

    def __init__(self, size: int, interpolation: str, mean: Sequence[float], std: Sequence[float]) -> None:
        self.size = size
        self._resampling = RESAMPLING[interpolation]
        self._mean = torch.tensor(mean).view(3, 1, 1)
        self._std = torch.tensor(std).view(3, 1, 1)

    def __call__(self, image: Image.Image, top: int, left: int, window: int) -> Tensor:
        """Float32 [3, size, size] of the window whose first pixel is (top, left)."""
        crop = image.crop((left, top, left + window, top + window))
        resized = crop.resize((self.size, self.size), self._resampling)
        pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255
        return (pixels - self._mean) / self._std

    def normalise(self, pixels: Tensor) -> Tensor:
        """Pictures as they are: uint8 [B, H, W, 3] to float32 [B, 3, H, W]."""
        mean, std = self._mean.to(pixels.device), self._std.to(pixels.device)
        return (pixels.permute(0, 3, 1, 2).float() / 255 - mean) / std


def window_origins(height: int, width: int, window: int, stride: int) -> list[tuple[int, int]]:
    """(top, left) of every window, row by row."""
    rows = range(0, height - window + 1, stride)
    return [(top, left) for top in rows for left in range(0, width - window + 1, stride)]


@torch.inference_mode()
def loop(
    encode: Encoder,
    text: Tensor,
    image: UInt8,
    origins: Sequence[tuple[int, int]],
    window: int,
    preprocess: Preprocess,
    device: str = "cpu",
) -> list[float]:
    """Cosine of each window with one L2-normalised text embedding [D]: crop, resize, encode, compare, repeat."""
    picture = Image.fromarray(image)
    result = []
    for top, left in origins:
        pixels = preprocess(picture, top, left, window).unsqueeze(0).to(device)
        features = encode(pixels)[0].float()
        result.append(float(features / features.norm() @ text))
    return result


def realness_map(
    similarity: Callable[[Sequence[tuple[int, int]], int], Sequence[float]],
    height: int,
    width: int,
    windows: Sequence[int],
    stride: int,
    aggregate: str,
) -> Float64:
    """Spread window values over pixels: 1 - the mean of the covering windows, scales by mean or max, else 0.

    Args:
        similarity: Cosines of windows at (top, left) origins of one window size.
        height: Of the image.
        width: Of the image.
        windows: Window sizes.
        stride: Pixels between windows.
        aggregate: "mean" or "max".
    """
    scales = []
    for window in windows:
        origins = window_origins(height, width, window, stride)
        total, count = np.zeros((height, width)), np.zeros((height, width))
        for (top, left), value in zip(origins, similarity(origins, window), strict=True):
            total[top : top + window, left : left + window] += value
            count[top : top + window, left : left + window] += 1
        covered = count > 0
        scales.append(np.where(covered, 1 - total / np.maximum(count, 1), np.nan))
    stack = np.stack(scales)
    covered = ~np.isnan(stack).all(axis=0)
    stack[:, ~covered] = 0.0
    return np.asarray(np.nanmax(stack, axis=0) if aggregate == "max" else np.nanmean(stack, axis=0))


class PublishedCore(nn.Module):
    """CORE as published: ResNet-50 and BERT-base under one hidden layer; its state_dict has cnn.*, bert.*, fc.*."""

    def __init__(self, bert: nn.Module, hidden: int = 529) -> None:
        super().__init__()
        from torchvision.models import resnet50

        self.cnn: nn.Module = resnet50(weights=None)
        self.cnn.fc = nn.Identity()
        self.bert = bert
        self.fc = nn.Sequential(nn.Linear(2048 + 768, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, pixels: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """MOS [B] of pixels [B, 3, H, W] in 0..1 and tokens int64 [B, T]."""
        words: Any = self.bert(input_ids=input_ids, attention_mask=attention_mask)
        fused = torch.cat([self.cnn(pixels), words.pooler_output], dim=1)
        mos: Tensor = self.fc(fused).squeeze(1)
        return mos


def core_pixels(path: Path, height: int, width: int, interpolation: str) -> Tensor:
    """CORE's preprocessing of one file: Pillow's decoding and resize, / 255; float32 [3, height, width]."""
    with Image.open(path) as file:
        resized = file.convert("RGB").resize((width, height), RESAMPLING[interpolation])
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255


def batches(length: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size` that cover `length`."""
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))
