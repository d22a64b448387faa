"""Attribution maps: what every pixel adds to the logit behind a measure's number, so that nothing is left over."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from realm_engine.arrays import Bool, Float32, UInt8
from realm_engine.maps.picture_map import Box, Legend, Mapped, MapProgress, PictureMap, patches
from realm_engine.maps.spec import RegionPolicy
from realm_engine.pictures.inputs import Entry
from realm_engine.pictures.resample import resample_matrix_float32

# What all pixels together must differ by, in the logit, to be more than noise to look at.
LEAST_SPAN = 0.02
# A region's area is compared with a square, where there are no windows: its side is this share of the shorter one.
REGION_SIDE = 1 / 8


class Contributions(Protocol):
    """What the positions of a picture add to a logit, whoever says so: logit = bias + the sum of all of `stages`."""

    @property
    def stages(self) -> Sequence[Float32]:
        """Of each stage, float32 [h, w]."""

    @property
    def logit(self) -> float:
        """The logit."""

    @property
    def bias(self) -> float:
        """What it is without the positions."""

    @property
    def columns(self) -> Mapping[str, float | str | None]:
        """The numbers and words that a table would have for the picture."""


class Source(Protocol):
    """Reads the contributions of decoded pictures."""

    def key(self, image: UInt8) -> Hashable:
        """Pictures with one key may share a call."""

    def run(self, decoded: Sequence[UInt8]) -> Sequence[Contributions]:
        """Of pictures with one `key`."""

    def per_call(self, image: UInt8) -> int:
        """How many pictures with its key share a call."""


@dataclass(frozen=True)
class Attributed:
    """The number that a map attributes to pixels: a measure, its column whose logit it is, what a high one means."""

    measure: str
    column: str
    speaks_for: str


@dataclass(frozen=True)
class Contributor(Box):
    """A connected area that adds much to the logit: `contribution` is the sum over its pixels."""

    contribution: float


@dataclass(frozen=True, repr=False)
class AttributionMap(PictureMap):
    """What each pixel adds to a logit: `bias` and the sum of `values` are `logit`, up to rounding.

    `values`: float32 (H, W) of the original picture. `attributed`: to what. `columns`: the measure's numbers
    and words for the picture, as a table has them.
    """

    values: Float32
    attributed: Attributed
    logit: float
    bias: float
    columns: Mapping[str, float | str | None]
    region_policy: RegionPolicy = field(default_factory=RegionPolicy)
    image: UInt8 | None = field(default=None, compare=False)
    name: str = ""

    @property
    def legend(self) -> Legend:
        """The covered end is that of large values, the plain one `neutral`."""
        of = self.attributed
        return Legend(
            quantity=of.measure,
            meaning=(
                f"contribution of each pixel to the logit of {of.column}; positive speaks for {of.speaks_for}; where "
                "the number comes from, not where a picture is false"
            ),
            covered=f"for {of.speaks_for}",
            plain="neutral",
            low_is_covered=False,
        )

    @property
    def wording(self) -> str:
        """The measure's numbers and words for the picture."""
        shown = (
            f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}"
            for name, value in self.columns.items()
            if value is not None
        )
        return ", ".join(shown)

    def notes(self) -> list[str]:
        """What such a map does not say."""
        return ["where the number comes from, not where the picture is false", *super().notes()]

    def value_of(self, region: Contributor) -> float:
        """What a region adds to the logit."""
        return region.contribution

    def score_of(self, region: Contributor) -> float:
        """The same."""
        return region.contribution

    @property
    def value_meaning(self) -> str:
        """A share of the logit."""
        return f"added to the logit of {self.attributed.column}"

    @property
    def neutral(self) -> float:
        """A pixel's share of what outweighs the bias: were all pixels like one above it, the logit would be above 0."""
        return -self.bias / self.values.size

    @cached_property
    def covered(self) -> Bool:
        """All pixels, bool (H, W)."""
        return np.ones(self.values.shape, dtype=bool)

    @property
    def own_limits(self) -> tuple[float, float]:
        """`neutral` and the highest value, but at least what pixels must differ by to be more than noise."""
        return self.neutral, max(float(self.values.max()), self.neutral + LEAST_SPAN / self.values.size)

    def regions(self, k: int | None = None) -> list[Contributor]:
        """Return at most k regions, those that add most to a pixel first; by default as many as the policy shows.

        A region is a connected set of pixels whose value is above the map's mean by more than one standard deviation,
        of at least a quarter of the square whose side is an eighth of the picture's shorter side (or what
        `region_policy` says), and whose own mean is above `neutral`.
        """
        return self._regions[: self.region_policy.most if k is None else k]

    @cached_property
    def _regions(self) -> list[Contributor]:
        """All of them: every picture, record and data set of a map asks for some."""
        policy = self.region_policy
        flat = LEAST_SPAN / self.values.size / 10
        found, _ = patches(-self.values, self.covered, policy.below_std, flat)
        smallest = (min(self.values.shape) * REGION_SIDE) ** 2 * policy.least_window_areas
        large = [
            each for each in found if each.area_px >= smallest and -each.total > self.neutral * each.area_px
        ]
        large.sort(key=lambda each: each.total / each.area_px)
        return [
            Contributor(each.x, each.y, each.width, each.height, each.area_px, -each.total) for each in large
        ]

    def facts(self) -> dict[str, Any]:
        """The logit, the bias, and the measure's numbers and words."""
        return {
            "logit": self.logit,
            "bias": self.bias,
            "neutral": self.neutral,
            "scores": dict(self.columns),
        }


def spread(stages: Sequence[Float32], height: int, width: int) -> Float32:
    """The sum of small maps [h, w], each enlarged bilinearly to (height, width) so that its own sum stays."""
    down = np.concatenate([_shares(len(each), height) @ each for each in stages], axis=1)  # (H, sum of w)
    across = np.concatenate([_shares(each.shape[1], width) for each in stages], axis=1)  # (W, sum of w)
    return np.asarray(down @ across.T, dtype=np.float32)


def _shares(cells: int, pixels: int) -> Float32:
    """How much of each cell goes to each pixel along an axis, float32 (pixels, cells); columns sum to 1."""
    matrix = resample_matrix_float32(cells, pixels, "bilinear")
    return np.asarray(matrix / matrix.sum(axis=0, dtype=np.float64), dtype=np.float32)


class AttributionStream:
    """What a `Pipeline` asks of a stream of attribution maps.

    `progress(images, windows)` is called with how many images are done; there are no windows.
    """

    def __init__(
        self, source: Source, attributed: Attributed, policy: RegionPolicy, progress: MapProgress | None
    ) -> None:
        self._source, self._attributed, self._policy = source, attributed, policy
        self._progress = progress or (lambda images, windows: None)
        self._images = 0
        self.key, self.per_call = source.key, source.per_call

    def run(self, decoded: list[UInt8], entries: list[Entry]) -> list[Mapped[AttributionMap]]:
        """Answer images with one `key`. Raises what the source raises."""
        found = [
            Mapped(entry.name, image, self._map(image, entry.name, parts))
            for entry, image, parts in zip(entries, decoded, self._source.run(decoded), strict=True)
        ]
        self._done(len(found))
        return found

    def fail(self, entry: Entry, message: str) -> Mapped[AttributionMap]:
        """Answer an image that cannot be mapped."""
        self._done(1)
        return Mapped(entry.name, None, None, message)

    def _map(self, image: UInt8, name: str, parts: Contributions) -> AttributionMap:
        values = spread(parts.stages, *image.shape[:2])
        columns = dict(parts.columns)
        return AttributionMap(
            values, self._attributed, parts.logit, parts.bias, columns, self._policy, image, name
        )

    def _done(self, images: int) -> None:
        self._images += images
        self._progress(self._images, 0)
