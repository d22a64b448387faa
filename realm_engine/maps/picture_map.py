"""What every map of a picture is: a number for each pixel, what the numbers mean, and the regions that stand out."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import cv2
import numpy as np

from realm_engine.arrays import Array, Bool, Float32, UInt8
from realm_engine.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

    from realm_engine.maps.figure import Drawing

NOTHING = "nothing stands out"
"""Written beside a map of which that is known."""
NOTEBOOK_PX = 768
"""The longer side of the picture that a notebook shows."""
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
    """A connected area: the rectangle round it, (x, y) its top left corner, and how many pixels it has itself.

    All in pixels of the picture; kinds of maps add what is in it.
    """

    x: int
    y: int
    width: int
    height: int
    area_px: int


class PictureMap(ABC):
    """A map of one picture, whatever makes it; its files and colours need no more than this."""

    values: Float32
    """float32 (H, W) of the original picture; NaN where the map says nothing."""
    image: UInt8 | None
    """The picture that was mapped, uint8 RGB (H, W, 3), as it was given where that was an array: what draws the map
    looks at it. None where a map was made without."""
    name: str
    """What the picture is called, "" where nobody said so."""

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
    def value_of(self, region: Any) -> float:
        """The number that is shown of one of `regions`; `value_meaning` says what it is."""

    @abstractmethod
    def score_of(self, region: Any) -> float:
        """How much one of `regions` stands out: higher = more."""

    @property
    @abstractmethod
    def value_meaning(self) -> str:
        """What `value_of` gives, in two or three words."""

    @property
    @abstractmethod
    def wording(self) -> str:
        """What the map was made for, in words beside its picture; "" where there are none."""

    @property
    def stands_out(self) -> bool | None:
        """Whether anything does, compared with what pictures without a flaw give; None where that is not known."""
        return None

    @property
    def step_px(self) -> int:
        """How wide the blocks are that values come in; pictures join them by straight lines."""
        return 1

    def notes(self) -> list[str]:
        """What a viewer of the map must know, a line each."""
        unmapped = self._unmapped()
        return [unmapped] if unmapped else []

    def _unmapped(self) -> str:
        """Where the map says nothing, in words."""
        covered = self.covered
        if covered.all():
            return ""
        bottom, right = (int(np.argmax(np.any(covered, axis=axis)[::-1])) for axis in (1, 0))
        height, width = covered.shape
        if not covered.any() or not covered[: height - bottom, : width - right].all():
            return f"not mapped: {1 - covered.mean():.0%} of the picture (no window there)"
        strips = [f"{right} px at the right"] * (right > 0) + [f"{bottom} px at the bottom"] * (bottom > 0)
        return f"not mapped: {' and '.join(strips)} (no window fits there)"

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

    # ------------------------------------------------------------ pictures

    def overlay(
        self,
        title: str | None = None,
        score: str = "",
        *,
        image: UInt8 | None = None,
        limits: tuple[float, float] | None = None,
        regions: int | None = None,
        longest_px: int | None = None,
    ) -> Image.Image:
        """The picture with the map laid over it, numbered regions, a colour bar, and what they mean in words.

        A `PIL.Image.Image`, which notebooks show and which saves itself; `numpy.asarray` of it is uint8 RGB. Values
        are interpolated for it; those of the map stay what they are.

        Args:
            title: Stands above the words; None: the map's `name`.
            score: Stands beside it, such as "realness 71 (52-90)".
            image: uint8 RGB (H, W, 3), the picture; None: the one that was mapped.
            limits: The values at the ends of the colours, lower first; None: the map's own.
            regions: How many of the most unreal regions to frame; None: as many as the bundle says.
            longest_px: The longer side of the picture at most; None: its own.

        Raises:
            UsageError: there is no picture, or one of another size, the limits are not two increasing numbers, or
                another number is too small.
        """
        return self._figure("overlay", title, score, image, limits, regions, longest_px)

    def panel(
        self,
        title: str | None = None,
        score: str = "",
        *,
        image: UInt8 | None = None,
        limits: tuple[float, float] | None = None,
        regions: int | None = None,
        longest_px: int | None = None,
    ) -> Image.Image:
        """The picture, the same with the map, and the legend with all words, side by side. See `overlay`."""
        return self._figure("panel", title, score, image, limits, regions, longest_px)

    def save(self, path: str | os.PathLike[str], title: str | None = None, score: str = "") -> None:
        """Write the map as what the ending of `path` says, as `realm-engine map` does.

        `.png`, `.jpg`, `.webp`: the overlay; `.panel.png` and `.heatmap.png` those; `.npy`: the values; `.json`: the
        record. `title` and `score`: see `overlay`. Raises UsageError for other endings, and OutputError.
        """
        from realm_engine.maps.files import save

        save(self, path, title, score)

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows: the overlay of the picture, made small; None where there is no picture."""
        if self.image is None:
            return None
        from realm_engine.maps.files import png_bytes

        return png_bytes(self.overlay(longest_px=NOTEBOOK_PX))

    def __repr__(self) -> str:
        height, width = self.values.shape
        known = self.values[self.covered]
        span = f"{known.min():.3g} to {known.max():.3g}" if known.size else "nowhere known"
        named = f"{self.name!r}, " if self.name else ""
        about = f", {self.wording}" if self.wording else ""
        return f"<{type(self).__name__} {named}{width} x {height} px, {self.legend.quantity} {span}{about}>"

    def _figure(
        self,
        kind: str,
        title: str | None,
        score: str,
        image: UInt8 | None,
        limits: tuple[float, float] | None,
        regions: int | None,
        longest_px: int | None,
    ) -> Image.Image:
        from realm_engine.maps import figure
        from realm_engine.maps.files import colour_limits

        image = self.image if image is None else image
        if image is None:
            raise UsageError("this map does not hold its picture; give it as image=")
        image = np.asarray(image)  # a Pillow image is as good
        if image.shape != (*self.values.shape, 3) or image.dtype != np.uint8:
            height, width = self.values.shape
            raise UsageError(
                f"image is {image.dtype} {image.shape}; the map needs uint8 RGB ({height}, {width}, 3), its picture"
            )
        if (longest_px is not None and longest_px < 1) or (regions is not None and regions < 0):
            raise UsageError(
                f"longest_px is {longest_px}, regions {regions}; give at least 1, and at least 0"
            )
        if limits is not None and not limits[0] < limits[1]:
            raise UsageError(f"limits are {limits}; give the lower value first, then the higher")
        shown = limits or colour_limits(self)
        drawing: Drawing = figure.draw(self, image, shown, regions, longest_px)
        make = figure.panel if kind == "panel" else figure.overlay
        return make(drawing, self, shown, figure.Caption(self.name if title is None else title, score))


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
    """A connected set of pixels: the sum of their values, and its label."""

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
