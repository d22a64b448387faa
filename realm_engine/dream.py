"""DREAM: one image and a text -> a map of how real every pixel looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from realm_engine.backends import Array, Session
from realm_engine.errors import UsageError, WindowError
from realm_engine.manifest import AGGREGATES, DreamSpec, Preset
from realm_engine.resample import resample_matrix
from realm_engine.text import TextEncoder
from realm_engine.windows import WindowGrid, covered_by_any, spread_scales

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

QUANTITIES = ("realness", "similarity")


@dataclass(frozen=True)
class DreamConfig:
    """How a map is made.

    `windows_px`: sizes of the square windows. `stride_px`: pixels between windows. `aggregate`: how scales
    are combined per pixel, "mean" or "max" of their realness. `quantity`: "realness" = 1 - cosine
    (low = unreal) or "similarity" = 1 - that map (high = unreal). Raises WindowError or UsageError.
    """

    windows_px: tuple[int, ...] = (64,)
    stride_px: int = 8
    aggregate: str = "mean"
    quantity: str = "realness"

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
        if self.quantity not in QUANTITIES:
            raise UsageError(f"quantity is {self.quantity!r}; choose one of {', '.join(QUANTITIES)}")

    @classmethod
    def from_preset(cls, preset: Preset, quantity: str = "realness") -> DreamConfig:
        """The configuration a bundle's preset stands for."""
        return cls(preset.windows_px, preset.stride_px, preset.aggregate, quantity)

    def grids(self, height: int, width: int) -> tuple[WindowGrid, ...]:
        """Windows of each scale on an image. Raises WindowError for a scale that does not fit."""
        return tuple(WindowGrid(height, width, window, self.stride_px) for window in self.windows_px)


@dataclass(frozen=True)
class Phrase:
    """A phrase of the bundle's bank that the engine picked, and how far it stood out (z-score)."""

    text: str
    kind: str
    z_score: float


@dataclass(frozen=True)
class Region:
    """A connected area that looks unreal: its box in pixels, (x, y) its top left corner."""

    x: int
    y: int
    width: int
    height: int
    mean_realness: float
    area_px: int


@dataclass(frozen=True)
class RealnessMap:
    """A map and everything that made it; `values` is float32 (H, W) of the original image.

    `values` holds `config.quantity`; a pixel that no window covers is 0 in either quantity.
    `windows` is the number of windows encoded. `phrases` is empty unless the engine chose the texts.
    """

    values: Float32
    config: DreamConfig
    texts: tuple[str, ...]
    preset: str
    windows: int
    phrases: tuple[Phrase, ...] = ()

    @cached_property
    def covered(self) -> npt.NDArray[np.bool_]:
        """Pixels that at least one window covers, bool (H, W)."""
        height, width = self.values.shape
        return covered_by_any(self.config.grids(height, width))

    @property
    def realness(self) -> Float32:
        """The map as realness (1 - cosine, low = unreal), float32 (H, W), whatever quantity it holds."""
        if self.config.quantity == "realness":
            return self.values
        return np.where(self.covered, np.float32(1.0) - self.values, np.float32(0.0))

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

    def regions(self, k: int = 5) -> list[Region]:
        """Return at most k regions, the least real first.

        A region is a connected set of covered pixels whose realness is more than one standard deviation
        below the map's mean, of at least a quarter of the smallest window's area. Relative to its own
        map: a region says where an image is least real, not that it is unreal.
        """
        realness, mask = self.realness, self.covered
        mean, std = (float(f(realness[mask], dtype=np.float64)) for f in (np.mean, np.std))
        if std < 1e-6:  # a constant map, up to rounding
            return []
        unreal = (mask & (realness < mean - std)).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(unreal, connectivity=8)
        areas = stats[:, cv2.CC_STAT_AREA]
        sums = np.bincount(labels.ravel(), weights=realness.ravel(), minlength=count)
        smallest = min(self.config.windows_px) ** 2 / 4
        found = [
            Region(
                x=int(stats[label, cv2.CC_STAT_LEFT]),
                y=int(stats[label, cv2.CC_STAT_TOP]),
                width=int(stats[label, cv2.CC_STAT_WIDTH]),
                height=int(stats[label, cv2.CC_STAT_HEIGHT]),
                mean_realness=float(sums[label] / areas[label]),
                area_px=int(areas[label]),
            )
            for label in range(1, count)
            if areas[label] >= smallest
        ]
        return sorted(found, key=lambda region: region.mean_realness)[:k]


@lru_cache(maxsize=64)
def _matrix(in_size: int, out_size: int, interpolation: str) -> Float32:
    return resample_matrix(in_size, out_size, interpolation).astype(np.float32)


class Dream:
    """Maps images of any size with one pair of graphs. Does not own its sessions."""

    def __init__(
        self,
        spec: DreamSpec,
        text_encoder: TextEncoder,
        session: Callable[[], Session],
        window_batch: int = 32,
    ) -> None:
        self.spec = spec
        self._text = text_encoder
        self._session = session
        self._window_batch = window_batch

    def map(
        self, image: UInt8, texts: Sequence[str], config: DreamConfig, progress: Progress | None = None
    ) -> RealnessMap:
        """Map one image, uint8 RGB H x W x 3; several texts count by the mean of their similarities.

        `progress(done, total)` is called in windows. Memory beyond the map is bounded by the windows of
        one call. Raises WindowError, DeviceError, and UsageError without a text.
        """
        if not texts:
            raise UsageError("a map needs at least one text")
        height, width = image.shape[:2]
        grids = config.grids(height, width)
        total, done = sum(grid.count for grid in grids), 0
        embeddings = self._text.features(list(texts))
        realness = []
        for grid in grids:

            def advance(windows: int, before: int = done) -> None:
                if progress is not None:
                    progress(before + windows, total)

            similarity = self.similarities(image, grid, embeddings, advance).mean(axis=1, dtype=np.float64)
            realness.append(1.0 - similarity.reshape(grid.rows, grid.cols))
            done += grid.count
        values = spread_scales(realness, grids, config.aggregate)
        if config.quantity == "similarity":
            values = np.where(covered_by_any(grids), 1.0 - values, 0.0)
        return RealnessMap(
            values=values.astype(np.float32),
            config=config,
            texts=tuple(texts),
            preset=self.preset_name(config),
            windows=total,
        )

    def similarities(
        self,
        image: UInt8,
        grid: WindowGrid,
        embeddings: Float32,
        progress: Callable[[int], None] | None = None,
    ) -> Float32:
        """Cosine of every window with every text embedding (K, D), float32 (windows, K), row by row."""
        tops, lefts = grid.origins()
        resample = _matrix(grid.window_px, self.spec.image_size_px, self.spec.interpolation)
        result = np.empty((grid.count, len(embeddings)), dtype=np.float32)
        session = self._session()
        for start in range(0, grid.count, self._window_batch):
            chunk = slice(start, min(start + self._window_batch, grid.count))
            # Only the rows these windows touch: the graph's work per call is then free of the image's height.
            first, last = int(tops[chunk][0]), int(tops[chunk][-1]) + grid.window_px
            feeds: dict[str, Array] = {
                "image": image[first:last],
                "top": tops[chunk] - first,
                "left": lefts[chunk],
                "resample": resample,
                "text": embeddings,
            }
            result[chunk] = session.run(feeds, ["similarity"])[0]
            if progress is not None:
                progress(chunk.stop)
        return result

    def embed(self, texts: Sequence[str]) -> Float32:
        """Embeddings of texts, float32 (texts, D), L2-normalised."""
        return self._text.features(texts)

    def preset_name(self, config: DreamConfig) -> str:
        """Name of the preset a configuration equals, "custom" where there is none."""
        for preset in self.spec.presets.values():
            if DreamConfig.from_preset(preset, config.quantity) == config:
                return preset.name
        return "custom"
