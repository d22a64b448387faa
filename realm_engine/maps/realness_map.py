"""What a realness map is: how it is made, its values, and the regions that look unreal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from realm_engine.arrays import Array, Bool, Float32, UInt8
from realm_engine.errors import UsageError, WindowError, did_you_mean
from realm_engine.maps.adaptive import FAST_FRACTION, fast_fraction
from realm_engine.maps.photographs import HIGH_PERCENTILE, REAL_END, UNREAL_END, Photographs
from realm_engine.maps.picture_map import NOTHING, Box, Legend, PictureMap, patches
from realm_engine.maps.spec import AGGREGATES, EACH_WINDOW, ENCODERS, ONE_PASS, Preset, RegionPolicy
from realm_engine.maps.windows import WindowGrid, covered_by_any


class Quantity(StrEnum):
    """What a map holds: realness = 1 - cosine (low = unreal), similarity = cosine (high = unreal)."""

    REALNESS = "realness"
    SIMILARITY = "similarity"


LEGENDS: Mapping[str, Legend] = MappingProxyType(
    {
        Quantity.REALNESS.value: Legend(
            "realness", "1 - cosine similarity with the text; low = unreal", "unreal", "real", True
        ),
        Quantity.SIMILARITY.value: Legend(
            "similarity", "cosine similarity with the text; high = unreal", "unreal", "real", False
        ),
    }
)


@dataclass(frozen=True)
class DreamConfig:
    """How a map is made.

    `windows_px`: sizes of the square windows. `stride_px`: pixels between windows. `aggregate`: how scales
    are combined per pixel, "mean" or "max" of their realness. `quantity`: "realness" = 1 - cosine
    (low = unreal) or "similarity" = 1 - that map (high = unreal). `fraction`: share of the windows to
    encode; below 1 the others are interpolated, and the map is an approximation. `encoder`: "each-window" or
    "one-pass"; None: that of the bundle's recommended preset.
    Raises WindowError or UsageError.
    """

    windows_px: tuple[int, ...] = (64,)
    stride_px: int = 8
    aggregate: str = "mean"
    quantity: str = Quantity.REALNESS
    fraction: float = 1.0
    encoder: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "windows_px", tuple(self.windows_px))
        if not self.windows_px:
            raise WindowError("no window size given; give at least one, such as 64")
        if len(set(self.windows_px)) != len(self.windows_px):
            raise WindowError(f"window sizes {self.windows_px} repeat; give each once")
        for size in (*self.windows_px, self.stride_px):
            if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
                raise WindowError(f"window sizes and stride must be whole numbers from 1, not {size!r}")
        if self.aggregate not in AGGREGATES:
            raise UsageError(f"aggregate is {self.aggregate!r}; choose one of {', '.join(AGGREGATES)}")
        if self.quantity not in tuple(Quantity):
            raise UsageError(f"quantity is {self.quantity!r}; choose one of {', '.join(Quantity)}")
        object.__setattr__(self, "quantity", Quantity(self.quantity))
        if not 0 < self.fraction <= 1:
            raise UsageError(f"fraction is {self.fraction}; give a share of the windows, above 0, at most 1")
        if self.encoder is not None and self.encoder not in ENCODERS:
            raise UsageError(f"encoder is {self.encoder!r}; choose one of {', '.join(ENCODERS)}")

    @classmethod
    def from_preset(cls, preset: Preset, quantity: str = "realness") -> DreamConfig:
        """The configuration a bundle's preset stands for."""
        return cls(preset.windows_px, preset.stride_px, preset.aggregate, quantity)

    def faster(self) -> DreamConfig:
        """The same as an approximation from a fifth of the windows, more where they hardly overlap.

        Where a stride is over half its window, no window can be spared, and the map is exact; so it is in one pass.
        """
        if self.encoder == ONE_PASS:
            return self
        shares = [fast_fraction(window, self.stride_px) for window in self.windows_px]
        return replace(self, fraction=min(1.0, max(FAST_FRACTION, *shares)))

    def with_quantity(self, quantity: str) -> DreamConfig:
        """The same, holding another quantity."""
        return replace(self, quantity=quantity)

    def grids(self, height: int, width: int) -> tuple[WindowGrid, ...]:
        """Windows of each scale on an image. Raises WindowError for a scale that does not fit."""
        return tuple(WindowGrid(height, width, window, self.stride_px) for window in self.windows_px)


def choose_config(
    presets: Mapping[str, DreamConfig],
    preset: str | None = None,
    windows_px: Sequence[int] = (),
    stride_px: int | None = None,
    aggregate: str | None = None,
    quantity: str = Quantity.REALNESS,
) -> DreamConfig:
    """A preset with the parts that were given in their place.

    Args:
        presets: Presets by name, the recommended one first.
        preset: Name of one; None: the recommended one.
        windows_px: Window sizes instead of the preset's; empty: the preset's.
        stride_px: Stride instead of the preset's.
        aggregate: "mean" or "max" instead of the preset's.
        quantity: What the map holds.

    Raises:
        UsageError: there is no such preset.
        WindowError: window or stride are not positive.
    """
    if preset is not None and preset not in presets:
        raise UsageError(
            f"--preset {preset}: this bundle has {', '.join(presets)}{did_you_mean(preset, presets)}"
        )
    config = presets[preset or next(iter(presets))].with_quantity(quantity)
    if windows_px:
        config = replace(config, windows_px=tuple(windows_px))
    if stride_px is not None:
        config = replace(config, stride_px=stride_px)
    if aggregate is not None:
        config = replace(config, aggregate=aggregate)
    # How many windows can be spared depends on the stride, which may be another one now.
    return config if config.fraction == 1 else config.faster()


@dataclass(frozen=True)
class Phrase:
    """A phrase of the bundle's bank that the engine picked, and how far it stood out (z-score)."""

    text: str
    kind: str
    z_score: float


@dataclass(frozen=True)
class Region(Box):
    """A connected area that looks unreal."""

    mean_realness: float


@dataclass(frozen=True, repr=False)
class RealnessMap(PictureMap):
    """A map and everything that made it; `values` is float32 (H, W) of the original image.

    `values` holds `config.quantity`; a pixel that no window covers is NaN (`covered` says which, and `np.nanargmin`
    finds the least real one).
    `windows` is the number of windows encoded; where that is less than `windows_of_grid` the map is an
    approximation. `phrases` is empty unless the engine chose the texts. `encoder`: what encoded the windows.
    `photographs`: what untouched photographs give for these texts; None where the bundle does not know, or not for
    windows of these sizes and this encoder.
    """

    values: Float32
    config: DreamConfig
    texts: tuple[str, ...]
    preset: str
    windows: int
    phrases: tuple[Phrase, ...] = ()
    region_policy: RegionPolicy = field(default_factory=RegionPolicy)
    encoder: str = EACH_WINDOW
    photographs: Photographs | None = None
    image: UInt8 | None = field(default=None, compare=False)
    name: str = ""

    @property
    def legend(self) -> Legend:
        """That of the quantity that it holds."""
        return LEGENDS[self.config.quantity]

    @property
    def step_px(self) -> int:
        """The stride."""
        return self.config.stride_px

    @property
    def wording(self) -> str:
        """The texts, or the phrases that were chosen."""
        told = "phrases that fit best" if self.phrases else "text"
        return f"{told}: {'; '.join(self.texts)}"

    def notes(self) -> list[str]:
        """That nothing stands out, that the map is an approximation, and where there is none."""
        found = [f"{NOTHING}: photographs give as much"] if self.stands_out is False else []
        if self.windows < self.windows_of_grid:
            found.append(f"approximation from {self.windows / self.windows_of_grid:.0%} of the windows")
        return found + super().notes()

    def value_of(self, region: Region) -> float:
        """The mean of what the map holds over a region."""
        mean = region.mean_realness
        return mean if self.config.quantity == Quantity.REALNESS else 1.0 - mean

    def score_of(self, region: Region) -> float:
        """The mean cosine with the texts over a region: 1 - its mean realness."""
        return 1.0 - region.mean_realness

    @property
    def value_meaning(self) -> str:
        """The mean of the quantity."""
        return f"mean {self.legend.quantity}"

    @property
    def windows_of_grid(self) -> int:
        """Number of windows of all scales."""
        height, width = self.values.shape
        return sum(grid.count for grid in self.config.grids(height, width))

    @cached_property
    def covered(self) -> Bool:
        """Pixels that at least one window covers, bool (H, W)."""
        height, width = self.values.shape
        return covered_by_any(self.config.grids(height, width))

    @property
    def realness(self) -> Float32:
        """The map as realness (1 - cosine, low = unreal), float32 (H, W), whatever quantity it holds."""
        if self.config.quantity == Quantity.REALNESS:
            return self.values
        return np.float32(1.0) - self.values

    @cached_property
    def z(self) -> Float32 | None:
        """How many standard deviations less real than windows of photographs, float32 (H, W); NaN where uncovered.

        None where `photographs` is.
        """
        if self.photographs is None:
            return None
        return self.photographs.z(self.realness)

    @property
    def z_max(self) -> float | None:
        """The largest `z`: of the pixel that is least like photographs. None where `photographs` is."""
        return None if self.z is None else float(self.z[self.covered].max())

    @cached_property
    def z_high(self) -> float | None:
        """The `z` that a twentieth of the covered pixels exceed. None where `photographs` is."""
        return None if self.z is None else float(np.percentile(self.z[self.covered], HIGH_PERCENTILE))

    @property
    def stands_out(self) -> bool | None:
        """Whether `z_high` is above what few untouched photographs reach; None where that is not known."""
        if self.photographs is None or self.photographs.threshold is None or self.z_high is None:
            return None
        return self.z_high > self.photographs.threshold

    @property
    def own_limits(self) -> tuple[float, float] | None:
        """Lower and higher value at the ends of the colours, in what the map holds; None: the map's own range.

        The real end is half the threshold; the unreal end is the largest z, at least 1.25 thresholds. Where nothing
        stands out the picture shows untouched: all of the map lies at the real end or below.
        """
        known = self.photographs
        if known is None or known.threshold is None or self.z_max is None:
            return None
        if self.stands_out:
            ends = (REAL_END * known.threshold, max(self.z_max, UNREAL_END * known.threshold))
        else:
            begin = max(self.z_max, known.threshold)
            ends = (begin, UNREAL_END * begin)
        real, unreal = (known.similarity(z) for z in ends)
        return (real, unreal) if self.config.quantity == Quantity.SIMILARITY else (1.0 - unreal, 1.0 - real)

    def facts(self) -> dict[str, Any]:
        """How it was made, of which texts, and where it lies among untouched photographs."""
        config = self.config
        return {
            "preset": self.preset,
            "windows_px": list(config.windows_px),
            "stride_px": config.stride_px,
            "aggregate": config.aggregate,
            "encoder": self.encoder,
            "window_count": self.windows,
            "windows_of_grid": self.windows_of_grid,
            "uncovered_pixels": int((~self.covered).sum()),
            "texts": list(self.texts),
            "phrases": [
                {"text": phrase.text, "kind": phrase.kind, "z_score": phrase.z_score}
                for phrase in self.phrases
            ],
            "photographs": self._photograph_facts(),
        }

    def _photograph_facts(self) -> dict[str, Any] | None:
        known = self.photographs
        if known is None:
            return None
        return {
            "mean": known.mean,
            "std": known.std,
            "z_max": self.z_max,
            "z_high": self.z_high,
            "threshold": known.threshold,
            "stands_out": self.stands_out,
        }

    def regions(self, k: int | None = None) -> list[Region]:
        """Return at most k regions, the least real first; by default as many as the bundle's policy shows.

        A region is a connected set of covered pixels whose realness is below the map's mean by more than one
        standard deviation, of at least a quarter of the smallest window's area (or what `region_policy` says).
        Relative to the map: a region says where an image is least real. That it is unreal is known where `stands_out`
        is: then only regions count of which a pixel has a `z` above the threshold, else there is none.
        """
        return self._regions[: self.region_policy.most if k is None else k]

    @cached_property
    def _regions(self) -> list[Region]:
        """All of them: every picture, record and data set of a map asks for some."""
        policy = self.region_policy
        if self.stands_out is False:
            return []
        found, labels = patches(self.realness, self.covered, policy.below_std)
        outstanding = self._outstanding(labels)
        smallest = min(self.config.windows_px) ** 2 * policy.least_window_areas
        regions = [
            Region(each.x, each.y, each.width, each.height, each.area_px, each.total / each.area_px)
            for each in found
            if each.area_px >= smallest and (outstanding is None or each.label in outstanding)
        ]
        return sorted(regions, key=lambda region: region.mean_realness)

    def _outstanding(self, labels: Array) -> set[int] | None:
        """The labels of which a pixel stands out; None where that is not known."""
        if self.z is None or self.photographs is None or self.photographs.threshold is None:
            return None
        return set(np.unique(labels[self.z > np.float64(self.photographs.threshold)]).tolist())
