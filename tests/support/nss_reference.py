"""NIQE and BRISQUE from their formulas, block by block, float64; nothing of the engine or the export.

`exact` contrast is free of cancellation (docs/measures.md), `published` that of the originals.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache

import numpy as np
from repository import ROOT

DATA = ROOT / "export" / "data" / "nss"
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
Contrast = Callable[[np.ndarray, str], np.ndarray]

_SHAPES = np.arange(200, 10_001) / 1000


@cache
def ratios() -> np.ndarray:
    def log_gamma(k: int) -> np.ndarray:
        return np.array([math.lgamma(k / shape) for shape in _SHAPES])

    return np.exp(2 * log_gamma(2) - log_gamma(1) - log_gamma(3))


def luma(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(pixels.astype(np.float64), -1, 0)
    return np.floor(0.298936021293775 * red + 0.587043074451121 * green + 0.114020904255103 * blue + 0.5)


def _weights() -> list[tuple[int, int, float]]:
    flat = {
        (i, j): math.exp(-((i - 3) ** 2 + (j - 3) ** 2) / (2 * (7 / 6) ** 2))
        for i in range(7)
        for j in range(7)
    }
    return [(i, j, weight / sum(flat.values())) for (i, j), weight in flat.items()]


def exact(levels: np.ndarray, mode: str) -> np.ndarray:
    padded, (height, width) = np.pad(levels, 3, mode=mode), levels.shape
    first, second = np.zeros(levels.shape), np.zeros(levels.shape)
    for i, j, weight in _weights():
        difference = padded[i : i + height, j : j + width] - levels
        first += weight * difference
        second += weight * difference * difference
    return -first / (np.sqrt(np.maximum(second - first * first, 0)) + 1)


def published(levels: np.ndarray, mode: str) -> np.ndarray:
    def mean(of: np.ndarray) -> np.ndarray:
        padded, (height, width) = np.pad(of, 3, mode=mode), of.shape
        return sum(weight * padded[i : i + height, j : j + width] for i, j, weight in _weights())

    centre = mean(levels)
    return (levels - centre) / (np.sqrt(np.abs(mean(levels * levels) - centre * centre)) + 1)


def half(levels: np.ndarray, rounded: bool) -> np.ndarray:
    """Row by row and column by column, from the kernel's formula."""

    def cubic(t: float) -> float:
        t = abs(t)
        if t <= 1:
            return 1.5 * t**3 - 2.5 * t**2 + 1
        return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0

    def matrix(length: int) -> np.ndarray:
        found = np.zeros((-(-length // 2), length))
        for row in range(len(found)):
            centre = 2 * row + 0.5
            for place in range(2 * row - 3, 2 * row + 5):
                mirrored = place if place >= 0 else -1 - place
                mirrored = mirrored if mirrored < length else 2 * length - 1 - mirrored
                found[row, mirrored] += cubic((place - centre) / 2)
        return found / found.sum(axis=1, keepdims=True)

    small = matrix(levels.shape[0]) @ levels @ matrix(levels.shape[1]).T
    return np.floor(small * 256 + 0.5) / 256 if rounded else small


def asymmetric(values: np.ndarray) -> tuple[float, float, float]:
    """alpha, l, r; NaN where no value is below 0, or none above."""
    if not (values < 0).any() or not (values > 0).any():
        return math.nan, math.nan, math.nan
    left = math.sqrt(np.mean(values[values < 0] ** 2))
    right = math.sqrt(np.mean(values[values > 0] ** 2))
    g = left / right
    ratio = np.mean(np.abs(values)) ** 2 / np.mean(values**2) * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
    return float(_SHAPES[np.argmin((ratios() - ratio) ** 2)]), left, right


def niqe_features(block: np.ndarray) -> list[float]:
    found = []
    for index, shift in enumerate((None, *SHIFTS)):
        values = block if shift is None else block * np.roll(block, shift, (0, 1))
        alpha, left, right = asymmetric(values)
        if math.isnan(alpha):
            found += [math.nan] * (4 if index else 2)
            continue
        one, two, three = (math.gamma(k / alpha) for k in (1, 2, 3))
        left, right = left * math.sqrt(one / three), right * math.sqrt(one / three)
        found += [alpha, (right - left) * two / one, left, right] if index else [alpha, (left + right) / 2]
    return found


def niqe(pixels: np.ndarray, contrast: Contrast = exact, rounded: bool = True) -> float:
    levels = luma(pixels)
    rows, columns = levels.shape[0] // 96, levels.shape[1] // 96
    levels = levels[: rows * 96, : columns * 96]
    maps = [(96, contrast(levels, "edge")), (48, contrast(half(levels, rounded), "edge"))]
    features = np.array(
        [
            [
                feature
                for side, values in maps
                for feature in niqe_features(values[i * side : (i + 1) * side, j * side : (j + 1) * side])
            ]
            for i in range(rows)
            for j in range(columns)
        ]
    )
    stored = json.loads((DATA / "niqe.json").read_text())
    lower = np.zeros((36, 36))
    lower[np.tril_indices(36)] = stored["covariance"]
    theirs = lower + np.tril(lower, -1).T
    ours = np.cov(features[~np.isnan(features).any(axis=1)], rowvar=False)
    difference = np.nanmean(features, axis=0) - stored["mean"]
    return float(np.sqrt(difference @ np.linalg.pinv((ours + theirs) / 2) @ difference))


def brisque_features(pixels: np.ndarray, contrast: Contrast = exact, rounded: bool = True) -> np.ndarray:
    levels = luma(pixels)
    found = []
    for values in (contrast(levels, "constant"), contrast(half(levels, rounded), "constant")):
        square = np.mean(values**2)
        shape = _SHAPES[np.argmin(np.abs(1 / ratios() - square / np.mean(np.abs(values)) ** 2))]
        found += [shape, square]
        for shift in (*SHIFTS[:3], (-1, 1)):
            alpha, left, right = asymmetric(values * np.roll(values, shift, (0, 1)))
            one, two, three = (math.gamma(k / alpha) for k in (1, 2, 3))
            found += [alpha, (right - left) * two / one * math.sqrt(one / three), left**2, right**2]
    return np.array(found)


def machine(features: np.ndarray) -> float:
    stored = json.loads((DATA / "brisque.json").read_text())
    low, high = np.array(stored["low"]), np.array(stored["high"])
    scaled = -1 + 2 * (features - low) / (high - low)
    return scaled_machine(scaled)


def scaled_machine(scaled: np.ndarray) -> float:
    stored = json.loads((DATA / "brisque.json").read_text())
    return stored["offset"] + sum(
        coefficient * math.exp(-stored["gamma"] * float(((scaled - vector) ** 2).sum()))
        for coefficient, vector in zip(stored["coefficients"], np.array(stored["vectors"]), strict=True)
    )


def brisque(pixels: np.ndarray, contrast: Contrast = exact, rounded: bool = True) -> float:
    return machine(brisque_features(pixels, contrast, rounded))
