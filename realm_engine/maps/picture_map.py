"""What every map of a picture is: a number for each pixel, what the numbers mean, and the regions that stand out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import cv2
import numpy as np

from realm_engine.arrays import Array, Bool, Float32, UInt8

FLAT_STD = 1e-6  # of a map whose values are about 1: what varies less is constant up to rounding


@dataclass(frozen=True)
class Legend:
    """What the numbers of a map mean, and its colours.

    `quantity`: what it is called; `meaning`: one line. Colours cover one end of the values and leave the picture
    untouched at the other: `covered` and `plain` are words for them, of about eight letters. `low_is_covered`: the
    covered end is that of the low values.
    """

    quantity: str
    meaning: str
    covered: str
    plain: str
    low_is_covered: bool


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the picture, (x, y) its top left corner; kinds of maps add what is in it."""

    x: int
    y: int
    width: int
    height: int


class PictureMap(ABC):
    """A map of one picture, whatever makes it; its files and colours need no more than this."""

    values: Float32
    """float32 (H, W) of the original picture; NaN where the map says nothing."""

    @property
    @abstractmethod
    def legend(self) -> Legend:
        """What `values` mean."""

    @property
    @abstractmethod
    def covered(self) -> Bool:
        """Pixels that the map says something about, bool (H, W)."""

    @property
    @abstractmethod
    def own_limits(self) -> tuple[float, float] | None:
        """Lower and higher value at the ends of the colours; None: the range of the values."""

    @abstractmethod
    def regions(self, k: int | None = None) -> Sequence[Box]:
        """At most k regions that stand out, the most so first; None: as many as the bundle says."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What this kind of map knows of itself beside its values, ready for JSON."""

    def statistics(self) -> dict[str, float]:
        """Minimum, maximum, mean, standard deviation and percentiles of the covered pixels' values."""
        values = self.values[self.covered]
        p5, median, p95 = np.percentile(values, [5, 50, 95])
        return {
            "min": float(values.min()),
            "max": float(values.max()),
            "mean": float(values.mean(dtype=np.float64)),
            "std": float(values.std(dtype=np.float64)),
            "p5": float(p5),
            "median": float(median),
            "p95": float(p95),
            "covered_fraction": float(self.covered.mean()),
        }


M_co = TypeVar("M_co", bound=PictureMap, covariant=True)


@dataclass(frozen=True)
class Mapped(Generic[M_co]):
    """The answer for one image of many: the decoded image (uint8 RGB H x W x 3) and its map, or `error`."""

    name: str
    image: UInt8 | None
    map: M_co | None
    error: str | None = None


MapProgress = Callable[[float, int], None]
"""Told how many images, fractions included, are done, and how many windows were encoded."""


@dataclass(frozen=True)
class Patch(Box):
    """A connected set of pixels: how many they are, the sum of their values, and its label."""

    area_px: int
    total: float
    label: int


def patches(
    values: Float32, covered: Bool, below_std: float, flat_std: float = FLAT_STD
) -> tuple[list[Patch], Array]:
    """The connected sets of covered pixels whose value is below the mean by more than `below_std` standard deviations.

    Args:
        values: float (H, W).
        covered: bool (H, W): the pixels that count, for mean and standard deviation as well.
        below_std: How many standard deviations.
        flat_std: A map whose standard deviation is less has none.

    Returns:
        The patches in the order of their labels, and the labels, int32 (H, W), 0 outside of them.
    """
    mean, std = (float(f(values[covered], dtype=np.float64)) for f in (np.mean, np.std))
    if std < flat_std:
        return [], np.zeros(values.shape, dtype=np.int32)
    low = (covered & (values < mean - below_std * std)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(low, connectivity=8)
    sums = np.bincount(labels.ravel(), weights=values.ravel(), minlength=count)
    found = []
    for label in range(1, count):
        x, y, width, height, area_px = map(int, stats[label])
        found.append(Patch(x, y, width, height, area_px, float(sums[label]), label))
    return found, labels
