"""DREAM: images and texts -> maps of how real every pixel looks, all windows in few passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from realm_engine.arrays import Array, Float32, Int64, UInt8
from realm_engine.bundle.manifest import DreamSpec
from realm_engine.errors import UsageError
from realm_engine.machine.memory import MemoryLimit
from realm_engine.maps.adaptive import adaptive_similarities, windows_to_compute
from realm_engine.maps.realness_map import DreamConfig, Phrase, RealnessMap, Region
from realm_engine.maps.windows import WindowGrid, covered_by_any, spread_scales
from realm_engine.pictures.resample import resample_matrix_float32
from realm_engine.runtimes import Backend, Session
from realm_engine.text import TextEncoder

__all__ = ["Dream", "DreamConfig", "Phrase", "Progress", "RealnessMap", "Region"]

SMALL_WINDOW_PX = 112

Progress = Callable[[int, int], None]


class Dream:
    """Maps images of any size with one pair of graphs. Does not own its sessions."""

    def __init__(
        self,
        spec: DreamSpec,
        text_encoder: TextEncoder,
        session: Callable[[], Session],
        backend: Backend,
        window_batch: int | None = None,
        memory: MemoryLimit | None = None,
    ) -> None:
        self.spec = spec
        self._text = text_encoder
        self._session = session
        self._backend = backend
        # Small windows leave a core idle between operators: twice as many took 6 % less time (realm-tiny).
        small = 2 if spec.image_size_px <= SMALL_WINDOW_PX else 1
        self._window_batch = window_batch or small * backend.window_batch
        self._memory = memory or MemoryLimit()

    def map(
        self, image: UInt8, texts: Sequence[str], config: DreamConfig, progress: Progress | None = None
    ) -> RealnessMap:
        """Map one image, uint8 RGB H x W x 3; several texts count by the mean of their similarities.

        `progress(done, total)` is called in windows that are encoded. Memory beyond the map is bounded by
        the windows of one call. Raises WindowError, DeviceError, and UsageError without a text.
        """
        return self.map_together([image], [texts], config, progress)[0]

    def map_together(
        self,
        images: Sequence[UInt8],
        texts: Sequence[Sequence[str]],
        config: DreamConfig,
        progress: Progress | None = None,
    ) -> list[RealnessMap]:
        """Map images of one size, each with its own texts, their windows sharing calls. See `map`.

        The same image may be given several times with different texts; it is encoded once.
        """
        if not all(texts):
            raise UsageError("a map needs at least one text")
        shapes = {image.shape for image in images}
        if len(shapes) != 1:
            raise ValueError(f"images of {len(shapes)} sizes cannot share calls")
        height, width = images[0].shape[:2]
        grids = config.grids(height, width)
        embeddings, columns = self._embed_all(texts)
        places, pixels = _stack(images)
        count = max(places) + 1
        canvas = _Picture(pixels, self._backend)
        # Windows are chosen image by image where not all are encoded.
        apart = (
            [canvas] if count == 1 else [_Picture(part, self._backend) for part in np.split(pixels, count)]
        )
        total = sum(windows_to_compute(grid.count, config.fraction) for grid in grids) * count
        counter = _Counter(progress, total)
        realness: list[list[npt.NDArray[np.float64]]] = [[] for _ in images]
        windows = [0] * len(images)
        for grid in grids:
            if config.fraction >= 1.0:
                encoded = self._encode_all(canvas, grid, count, embeddings, counter)
            else:
                encoded = [
                    self._encode_some(picture, grid, embeddings, config.fraction, counter)
                    for picture in apart
                ]
            for index, (place, chosen) in enumerate(zip(places, columns, strict=True)):
                similarity, used = encoded[place]
                mean = similarity[:, chosen].mean(axis=1, dtype=np.float64)
                realness[index].append(1.0 - mean.reshape(grid.rows, grid.cols))
                windows[index] += used
        return [
            self._finish(*parts, config=config, grids=grids)
            for parts in zip(realness, texts, windows, strict=True)
        ]

    def _finish(
        self,
        realness: list[npt.NDArray[np.float64]],
        texts: Sequence[str],
        windows: int,
        config: DreamConfig,
        grids: Sequence[WindowGrid],
    ) -> RealnessMap:
        values = spread_scales(realness, grids, config.aggregate)
        if config.quantity == "similarity":
            values = np.where(covered_by_any(grids), 1.0 - values, 0.0)
        return RealnessMap(
            values=values.astype(np.float32),
            config=config,
            texts=tuple(texts),
            preset=self.preset_name(config),
            windows=windows,
        )

    def similarities(
        self,
        image: UInt8,
        grid: WindowGrid,
        embeddings: Float32,
        progress: Callable[[int], None] | None = None,
    ) -> Float32:
        """Cosine of every window with every text embedding (K, D), float32 (windows, K), row by row."""
        counter = _Counter(None if progress is None else lambda done, total: progress(done), grid.count)
        return self.encode(image, grid.window_px, *grid.origins(), embeddings, counter)

    def _encode_all(
        self, canvas: _Picture, grid: WindowGrid, images: int, embeddings: Float32, counter: _Counter
    ) -> list[tuple[Float32, int]]:
        """Per image on the canvas: similarities (windows, K), and how many of them were computed."""
        tops, lefts = grid.origins()
        offsets = np.repeat(np.arange(images) * grid.height, grid.count)
        all_tops, all_lefts = np.tile(tops, images) + offsets, np.tile(lefts, images)
        values = self._encode(canvas, grid.window_px, all_tops, all_lefts, embeddings, counter)
        return [(part, grid.count) for part in np.split(values, images)]

    def _encode_some(
        self, picture: _Picture, grid: WindowGrid, embeddings: Float32, fraction: float, counter: _Counter
    ) -> tuple[Float32, int]:
        """Similarities (windows, K) of which a share is computed, and how many were."""
        tops, lefts = grid.origins()

        def encode(indices: Int64) -> Float32:
            return self._encode(picture, grid.window_px, tops[indices], lefts[indices], embeddings, counter)

        overlap = grid.window_px / grid.stride_px
        similarity, computed = adaptive_similarities(grid.rows, grid.cols, fraction, encode, overlap)
        return similarity, int(computed.sum())

    def encode(
        self,
        image: UInt8,
        window_px: int,
        tops: Int64,
        lefts: Int64,
        embeddings: Float32,
        counter: _Counter | None = None,
    ) -> Float32:
        """Cosines float32 (N, K) of windows with text embeddings (K, D), in calls that memory allows.

        `tops`, `lefts`: first row and column of every window, int64 (N,), best row by row.
        """
        picture = _Picture(image, self._backend)
        return self._encode(picture, window_px, tops, lefts, embeddings, counter or _Counter(None, len(tops)))

    def _encode(
        self,
        picture: _Picture,
        window_px: int,
        tops: Int64,
        lefts: Int64,
        embeddings: Float32,
        counter: _Counter,
    ) -> Float32:
        image = picture.pixels
        size = self.spec.image_size_px
        session, backend = self._session(), self._backend
        batch = self._fitting(image.shape[0] * image.shape[1])
        shared: dict[str, Array] = {
            "resample": resample_matrix_float32(window_px, size, self.spec.interpolation),
            "text": embeddings,
        }
        if backend.resident:
            shared = {name: backend.upload(array) for name, array in shared.items()}
            shared["image"] = picture.uploaded
        result = np.empty((len(tops), len(embeddings)), dtype=np.float32)
        for start in range(0, len(tops), batch):
            chunk = slice(start, min(start + batch, len(tops)))
            top, left = tops[chunk], lefts[chunk]
            feeds = {**shared, "top": top, "left": left}
            if not backend.resident:
                # A view of the rows these windows touch: work per call is then free of the image's height.
                first, last = int(top.min()), int(top.max()) + window_px
                feeds |= {"image": image[first:last], "top": top - first}
            result[chunk] = session.run(feeds, ["similarity"])[0]
            counter.add(chunk.stop - chunk.start)
        return result

    def check_memory(self) -> None:
        """Raise UsageError when the memory limit does not even allow one window."""
        self._fitting(0)

    def _fitting(self, pixels: int) -> int:
        """Windows per call of an image of so many pixels; on a device of its own, memory there is not bounded."""
        size = self.spec.image_size_px
        if self._backend.resident:
            return self._window_batch
        return self._memory.inputs_per_call(size, size, self._window_batch, pixels)

    def windows_per_call(self) -> int:
        """How many windows a call may hold; images with fewer of them are worth mapping together."""
        return self._window_batch

    def set_windows_per_call(self, windows: int) -> None:
        """Another number of windows per call, for those who measure; it changes no result."""
        self._window_batch = windows

    def embed(self, texts: Sequence[str]) -> Float32:
        """Embeddings of texts, float32 (texts, D), L2-normalised."""
        return self._text.features(texts)

    def preset_name(self, config: DreamConfig) -> str:
        """Name of the preset a configuration equals, "custom" where there is none."""
        for name, preset in self.presets().items():
            if preset.with_quantity(config.quantity) == config:
                return name
        return "custom"

    def presets(self) -> dict[str, DreamConfig]:
        """The bundle's presets, its recommended one first, and "fast": that one with fewer windows."""
        names = sorted(self.spec.presets, key=lambda name: name != self.spec.recommended_preset)
        presets = {name: DreamConfig.from_preset(self.spec.presets[name]) for name in names}
        return {**presets, **({} if "fast" in presets else {"fast": presets[names[0]].faster()})}

    def _embed_all(self, texts: Sequence[Sequence[str]]) -> tuple[Float32, list[list[int]]]:
        """Embeddings of all different texts (K, D), and per image the rows of its own."""
        different = list(dict.fromkeys(text for own in texts for text in own))
        row = {text: index for index, text in enumerate(different)}
        return self.embed(different), [[row[text] for text in own] for own in texts]


class _Picture:
    """An image, and the same on a device that has a memory of its own: it goes there once."""

    def __init__(self, pixels: UInt8, backend: Backend) -> None:
        self.pixels = pixels
        self._backend = backend

    @cached_property
    def uploaded(self) -> Any:
        return self._backend.upload(self.pixels)


class _Counter:
    """Counts encoded windows for a progress function."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def add(self, windows: int) -> None:
        self._done += windows
        if self._progress is not None:
            self._progress(self._done, self._total)


def _stack(images: Sequence[UInt8]) -> tuple[list[int], UInt8]:
    """Different images one below the other, and each image's place among them."""
    different: dict[int, int] = {}
    places = [different.setdefault(id(image), len(different)) for image in images]
    if len(different) == 1:
        return places, images[0]
    first = [images[places.index(place)] for place in range(len(different))]
    return places, np.concatenate(first)
