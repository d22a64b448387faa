"""DREAM: pictures and texts -> maps of how real every pixel looks, all windows in few passes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from realm_engine.arrays import Float32, Float64, Int64, UInt8
from realm_engine.errors import UsageError
from realm_engine.maps.adaptive import FAST, adaptive_similarities, windows_to_compute
from realm_engine.maps.encoders import Canvas, WindowEncoder, Windows
from realm_engine.maps.photographs import PhotographGraph, Photographs
from realm_engine.maps.realness_map import DreamConfig, Quantity, RealnessMap
from realm_engine.maps.spec import MapSpec, StandsOut
from realm_engine.maps.windows import WindowGrid, spread_scales
from realm_engine.text import TextEncoder

Progress = Callable[[int, int], None]
"""Told how many windows are encoded, and how many there are to be."""


class Dream:
    """Maps pictures of any size with window encoders and a text tower. Does not own their sessions."""

    def __init__(
        self,
        spec: MapSpec,
        text_encoder: TextEncoder,
        encoders: Mapping[str, WindowEncoder],
        asked: str | None = None,
        photographs: PhotographGraph | None = None,
    ) -> None:
        """`encoders`: by name, as `MapSpec.encoders`. `asked`: the one for every map, whatever a preset says.

        `photographs`: what knows untouched photographs, where the bundle has it.
        """
        self.spec = spec
        self._encoders = dict(encoders)
        self._asked = asked
        self._text = text_encoder
        self.photographs = photographs
        self._seen = _Seen()

    @property
    def encoder_name(self) -> str:
        """What encodes windows where nothing else is said."""
        return self._asked or self.spec.encoders[0]

    @property
    def encoder(self) -> WindowEncoder:
        """The encoder of that name."""
        return self._encoders[self.encoder_name]

    @encoder.setter
    def encoder(self, encoder: WindowEncoder) -> None:
        self._encoders[self.encoder_name] = encoder

    def settled(self, config: DreamConfig) -> DreamConfig:
        """The configuration with an encoder that is there. Raises UsageError where it is not."""
        name = self._asked or config.encoder or self.spec.encoders[0]
        if name not in self._encoders:
            raise UsageError(f"encoder {name}: this bundle has {', '.join(self._encoders)} alone")
        whole = self._encoders[name].whole
        return replace(config, encoder=name, fraction=1.0 if whole else config.fraction)

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
        settled = self.settled(config)
        config = replace(config, fraction=settled.fraction)
        encoder = self._encoders[str(settled.encoder)]
        shapes = {image.shape for image in images}
        if len(shapes) != 1:
            raise ValueError(f"images of {len(shapes)} sizes cannot share calls")
        height, width = images[0].shape[:2]
        grids = config.grids(height, width)
        embeddings, columns = self._embed_all(texts)
        scales = self._scales(embeddings, columns, config)
        places, different = _different(images)
        count = len(different)
        # Windows are chosen image by image where not all are encoded.
        if not (encoder.whole or config.fraction < 1.0) and count > 1:
            different = [np.concatenate(different)]
        canvases = [self._canvas(encoder, pixels) for pixels in different]
        self.forget()
        total = sum(windows_to_compute(grid.count, config.fraction) for grid in grids) * count
        counter = _Counter(progress, total)
        realness: list[list[Float64]] = [[] for _ in images]
        windows = [0] * len(images)
        for grid in grids:
            encoded: list[tuple[Float32, int]] = []
            for canvas in canvases:
                if config.fraction < 1.0:
                    encoded.append(_some(encoder, canvas, grid, embeddings, config.fraction, counter))
                else:
                    encoded += _all(encoder, canvas, grid, count // len(canvases), embeddings, counter)
            for index, (place, chosen) in enumerate(zip(places, columns, strict=True)):
                similarity, used = encoded[place]
                mean = similarity[:, chosen].mean(axis=1, dtype=np.float64)
                realness[index].append(1.0 - mean.reshape(grid.rows, grid.cols))
                windows[index] += used
        return [
            self._finish(*parts, config=config, grids=grids)
            for parts in zip(realness, texts, windows, scales, strict=True)
        ]

    def similarities(
        self,
        image: UInt8,
        grid: WindowGrid,
        embeddings: Float32,
        progress: Callable[[int], None] | None = None,
    ) -> Float32:
        """Cosine of every window with every text embedding (K, D), float32 (windows, K), row by row."""
        counter = _Counter(None if progress is None else lambda done, total: progress(done), grid.count)
        windows = Windows(grid.window_px, *grid.origins())
        return self.encoder.similarities(self._canvas(self.encoder, image), windows, embeddings, counter.add)

    def embeddings(self, image: UInt8, grid: WindowGrid) -> Float32:
        """L2-normalised embedding of every window, float32 (windows, D), row by row."""
        return self.encoder.embeddings(self.encoder.canvas(image), Windows(grid.window_px, *grid.origins()))

    def embed(self, texts: Sequence[str]) -> Float32:
        """Embeddings of texts, float32 (texts, D), L2-normalised."""
        return self._text.features(texts)

    def forget(self) -> None:
        """Let go of pictures that were looked at and never mapped."""
        self._seen.canvases.clear()

    def _canvas(self, encoder: WindowEncoder, pixels: UInt8) -> Canvas:
        """The picture for an encoder; of one that works on it whole the same as before, until a map is made."""
        found, canvas = self._seen.canvases.get(id(pixels), (None, None))
        if canvas is None or found is not encoder or canvas.pixels is not pixels:
            canvas = encoder.canvas(pixels)
            if encoder.whole:
                self._seen.canvases[id(pixels)] = (encoder, canvas)
        return canvas

    def preset_name(self, config: DreamConfig) -> str:
        """Name of the preset a configuration equals, "custom" if there is no such preset."""
        config = self.settled(config)
        for name, preset in self.presets().items():
            if self.settled(preset.with_quantity(config.quantity)) == config:
                return name
        return "custom"

    def stands_out(self, config: DreamConfig) -> StandsOut:
        """From which z on a map stands out that is made exactly as a preset says; nothing is known of others."""
        settled = self.settled(config)
        made = (settled.windows_px, settled.stride_px, settled.aggregate, settled.encoder)
        for preset in self.spec.presets.values() if settled.fraction == 1.0 else ():
            if (preset.windows_px, preset.stride_px, preset.aggregate, preset.encoder) == made:
                return preset.stands_out
        return StandsOut()

    def presets(self) -> dict[str, DreamConfig]:
        """The bundle's presets, its recommended one first, and "fast": that one with fewer windows."""
        names = sorted(self.spec.presets, key=lambda name: name != self.spec.recommended_preset)
        presets = {}
        for name in names:
            preset = self.spec.presets[name]
            own = None if preset.encoder == self.encoder_name or self._asked else preset.encoder
            presets[name] = replace(DreamConfig.from_preset(preset), encoder=own)
        return {**presets, **({} if FAST in presets else {FAST: presets[names[0]].faster()})}

    def _finish(
        self,
        realness: list[Float64],
        texts: Sequence[str],
        windows: int,
        photographs: Photographs | None,
        config: DreamConfig,
        grids: Sequence[WindowGrid],
    ) -> RealnessMap:
        values = spread_scales(realness, grids, config.aggregate)
        if config.quantity == Quantity.SIMILARITY:
            values = 1.0 - values
        return RealnessMap(
            values=values.astype(np.float32),
            config=config,
            texts=tuple(texts),
            preset=self.preset_name(config),
            windows=windows,
            encoder=str(self.settled(config).encoder),
            region_policy=self.spec.region_policy,
            photographs=photographs,
        )

    def _scales(
        self, embeddings: Float32, columns: Sequence[Sequence[int]], config: DreamConfig
    ) -> list[Photographs | None]:
        """What untouched photographs give for the texts of each map, with the threshold of texts that are given."""
        graph, encoder = self.photographs, str(self.settled(config).encoder)
        if graph is None or not graph.knows(encoder, config.windows_px):
            return [None] * len(columns)
        means, stds = graph.scale(embeddings, config.windows_px)
        threshold = self.stands_out(config).text
        return [
            Photographs(float(means[chosen].mean()), float(stds[chosen].mean()), threshold)
            for chosen in map(list, columns)
        ]

    def _embed_all(self, texts: Sequence[Sequence[str]]) -> tuple[Float32, list[list[int]]]:
        """Embeddings of all different texts (K, D), and per image the rows of its texts.

        At least two: a product with one column is added up in another order than with any other number of them, and a
        map must not differ in its last bits with the texts of others.
        """
        different = list(dict.fromkeys(text for each in texts for text in each))
        row = {text: index for index, text in enumerate(different)}
        embeddings = self.embed(different if len(different) > 1 else different * 2)
        return embeddings, [[row[text] for text in each] for each in texts]


def _all(
    encoder: WindowEncoder,
    canvas: Canvas,
    grid: WindowGrid,
    images: int,
    embeddings: Float32,
    counter: _Counter,
) -> list[tuple[Float32, int]]:
    """Per image on the canvas: similarities (windows, K), and how many of them were computed."""
    tops, lefts = grid.origins()
    offsets = np.repeat(np.arange(images) * grid.height, grid.count)
    windows = Windows(grid.window_px, np.tile(tops, images) + offsets, np.tile(lefts, images))
    values = encoder.similarities(canvas, windows, embeddings, counter.add)
    return [(part, grid.count) for part in np.split(values, images)]


def _some(
    encoder: WindowEncoder,
    canvas: Canvas,
    grid: WindowGrid,
    embeddings: Float32,
    fraction: float,
    counter: _Counter,
) -> tuple[Float32, int]:
    """Similarities (windows, K) of which a share is computed, and how many were."""
    tops, lefts = grid.origins()

    def encode(indices: Int64) -> Float32:
        windows = Windows(grid.window_px, tops[indices], lefts[indices])
        return encoder.similarities(canvas, windows, embeddings, counter.add)

    overlap = grid.window_px / grid.stride_px
    similarity, computed = adaptive_similarities(grid.rows, grid.cols, fraction, encode, overlap)
    return similarity, int(computed.sum())


class _Seen(threading.local):
    """Pictures that were looked at and not mapped yet: phrases are picked on what their map is made of.

    Of each thread its own: what one lets go of, another is about to map.
    """

    def __init__(self) -> None:
        self.canvases: dict[int, tuple[WindowEncoder, Canvas]] = {}


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


def _different(images: Sequence[UInt8]) -> tuple[list[int], list[UInt8]]:
    """Each image's place among the different ones, and these."""
    found: dict[int, int] = {}
    places = [found.setdefault(id(image), len(found)) for image in images]
    return places, [images[places.index(place)] for place in range(len(found))]
