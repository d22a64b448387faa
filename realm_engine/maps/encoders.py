"""How windows of a picture become similarities with texts: one pass of the tower for each window."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from realm_engine.arrays import Array, Float32, Int64, UInt8
from realm_engine.machine.memory import MemoryLimit
from realm_engine.maps.spec import MapSpec
from realm_engine.pictures.resample import resample_matrix_float32
from realm_engine.runtimes.base import Backend, Session

SMALL_WINDOW_PX = 112

Advance = Callable[[int], None]
"""Told how many windows were encoded just now."""


class Canvas:
    """A picture, and the same on a device that has a memory of its own: it goes there once."""

    def __init__(self, pixels: UInt8, backend: Backend) -> None:
        self.pixels = pixels
        self._backend = backend

    @cached_property
    def uploaded(self) -> Any:
        """What `Backend.upload` made of it."""
        return self._backend.upload(self.pixels)


@dataclass(frozen=True)
class Windows:
    """Square windows of one size: first rows and columns, int64 (N,), best row by row."""

    size_px: int
    tops: Int64
    lefts: Int64


class WindowEncoder(Protocol):
    """Turns windows of a picture into similarities with texts."""

    def canvas(self, pixels: UInt8) -> Canvas:
        """The picture, ready to be looked at by several calls."""

    def similarities(
        self, canvas: Canvas, windows: Windows, embeddings: Float32, advance: Advance
    ) -> Float32:
        """Cosines float32 (N, K) of windows with text embeddings (K, D)."""

    def embeddings(self, canvas: Canvas, windows: Windows) -> Float32:
        """L2-normalised embeddings of windows, float32 (N, D)."""

    @property
    def per_call(self) -> int:
        """Windows of one call; pictures with fewer of them are worth mapping together."""

    def with_per_call(self, windows: int) -> WindowEncoder:
        """The same with another number of windows of one call, for those who measure; it changes no result."""


def equal_calls(count: int, most: int, full: bool = False) -> Iterator[tuple[slice, int]]:
    """Calls of one size, at most `most`, over `count` windows, and how many each adds to those before it.

    A runtime meets one shape instead of two, for a few windows that the last call encodes once more (2337 by 512
    are 5 calls of 468, 3 windows twice). `full`: of `most` itself where there are as many, whatever the count, for
    a device to which every other size is slow.
    """
    size = min(count, most) if full else -(-count // max(1, -(-count // most)))
    for start in range(0, count, max(1, size)):
        stop = min(start + size, count)
        yield slice(stop - size, stop), stop - start


class EachWindow:
    """Every window is resized and goes through the tower, many in a call. Does not own its session."""

    def __init__(
        self,
        spec: MapSpec,
        session: Callable[[], Session],
        backend: Backend,
        width: int,
        gives_embedding: bool,
        window_batch: int | None = None,
        memory: MemoryLimit | None = None,
    ) -> None:
        """`width`: of an embedding, D. `gives_embedding`: the graph gives it; else it gives similarities alone."""
        self._spec = spec
        self._session = session
        self._backend = backend
        self._width = width
        self._gives_embedding = gives_embedding
        # Small windows leave a core idle between operators: twice as many took 6 % less time (realm-tiny).
        small = 2 if spec.image_size_px <= SMALL_WINDOW_PX else 1
        self._window_batch = window_batch or small * backend.window_batch
        self._memory = memory or MemoryLimit()

    @property
    def per_call(self) -> int:
        """See `WindowEncoder.per_call`."""
        return self._window_batch

    def canvas(self, pixels: UInt8) -> Canvas:
        """See `WindowEncoder.canvas`."""
        return Canvas(pixels, self._backend)

    def similarities(
        self, canvas: Canvas, windows: Windows, embeddings: Float32, advance: Advance
    ) -> Float32:
        """See `WindowEncoder.similarities`; in calls that memory allows."""
        return self._run(canvas, windows, {"text": embeddings}, "similarity", len(embeddings), advance)

    def embeddings(self, canvas: Canvas, windows: Windows) -> Float32:
        """See `WindowEncoder.embeddings`."""
        # Texts that are the unit vectors turn similarities into the embedding, where the graph does not give it.
        output, texts = ("embedding", 1) if self._gives_embedding else ("similarity", self._width)
        texts_fed = {"text": np.eye(texts, self._width, dtype=np.float32)}
        return self._run(canvas, windows, texts_fed, output, self._width, lambda count: None)

    def with_per_call(self, windows: int) -> EachWindow:
        """See `WindowEncoder.with_per_call`."""
        other = copy.copy(self)
        other._window_batch = windows
        return other

    def check_memory(self) -> None:
        """Raise UsageError when the memory limit does not even allow one window."""
        self._fitting(0)

    def _run(
        self,
        canvas: Canvas,
        windows: Windows,
        texts: Mapping[str, Array],
        output: str,
        width: int,
        advance: Advance,
    ) -> Float32:
        image, backend, session = canvas.pixels, self._backend, self._session()
        size, count = self._spec.image_size_px, len(windows.tops)
        batch = self._fitting(image.shape[0] * image.shape[1])
        shared: dict[str, Any] = {
            "resample": resample_matrix_float32(windows.size_px, size, self._spec.interpolation),
            **texts,
        }
        if backend.resident:
            shared = {name: backend.upload(array) for name, array in shared.items()}
            shared["image"] = canvas.uploaded
        result = np.empty((count, width), dtype=np.float32)
        for chunk, new in equal_calls(count, batch, full="windows" in backend.row_sizes):
            top, left = windows.tops[chunk], windows.lefts[chunk]
            feeds = {**shared, "top": top, "left": left}
            if not backend.resident:
                # A view of the rows these windows touch: work per call is then free of the image's height.
                first, last = int(top.min()), int(top.max()) + windows.size_px
                feeds |= {"image": image[first:last], "top": top - first}
            result[chunk] = session.run(feeds, [output])[0]
            advance(new)
        return result

    def _fitting(self, pixels: int) -> int:
        """Windows per call of an image of so many pixels; on a device of its own, memory there is not bounded."""
        size = self._spec.image_size_px
        if self._backend.resident:
            return self._window_batch
        return self._memory.inputs_per_call(size, size, self._window_batch, pixels)
