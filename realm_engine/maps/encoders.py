"""How windows of a picture become similarities with texts: each by itself, or all of one pass over the picture."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from realm_engine.arrays import Array, Float32, Int64, UInt8
from realm_engine.errors import AnswerError, UsageError
from realm_engine.machine.memory import MemoryLimit, format_bytes
from realm_engine.maps.spec import GRAPH, WINDOWS, MapSpec, PassSpec
from realm_engine.maps.windows import box_shares
from realm_engine.pictures.resample import resample_matrix_float32
from realm_engine.runtimes.base import Backend, Session

SMALL_WINDOW_PX = 112
MOST_COSINE = 1.01  # of unit vectors, float16 rounded
MOST_POOLED = 16384  # windows of one pass in a call: 12 kB each

Advance = Callable[[int], None]
"""Told how many windows were encoded just now."""


def cosines(answer: Float32, graph: str) -> Float32:
    """Cosines, or components of unit vectors, as a graph gave them. Raises AnswerError for other numbers."""
    worst = float(np.abs(answer).max(initial=0.0))
    if worst > MOST_COSINE:
        raise AnswerError(
            f"graph {graph}: a cosine of {worst:g} in its answer; try --precision fp32, and get the bundle again if "
            "that does not help"
        )
    return answer


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
    """Turns windows of a picture into similarities with texts.

    `whole`: it works on all of a picture at once, so that pictures cannot share a canvas and a share of the windows
    costs what all of them do.
    """

    whole: bool

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

    def check_memory(self) -> None:
        """Raise UsageError when the memory limit does not even allow the least."""


def split_calls(count: int, most: int, one_size: bool) -> Iterator[tuple[slice, int]]:
    """Calls of at most `most` over `count` windows, and how many each adds to those before it.

    `one_size`: the last one is as large as the others and encodes some windows once more, for a device to which
    a size that is new costs more than they do (2337 by 512 are 5 calls of 512).
    """
    size = min(count, most)
    for start in range(0, count, most):
        stop = min(start + most, count)
        yield slice(stop - size if one_size else start, stop), stop - start


def at_least_two(rows: Array) -> Array:
    """Rows of a call, of which a single one goes twice, or it would not give the bits that it gives among others.

    Runtimes multiply a single row by a matrix in another order of addition than any other number of rows.
    """
    return np.repeat(rows, 2, axis=0) if len(rows) == 1 else rows


class EachWindow:
    """Every window is resized and goes through the tower, many in a call. Does not own its session."""

    whole = False

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
        for chunk, new in split_calls(count, batch, backend.resident):
            top, left = windows.tops[chunk], windows.lefts[chunk]
            if not backend.resident:
                top, left = at_least_two(top), at_least_two(left)
            feeds = {**shared, "top": top, "left": left}
            if not backend.resident:
                # A view of the rows these windows touch: work per call is then free of the image's height.
                first, last = int(top.min()), int(top.max()) + windows.size_px
                feeds |= {"image": image[first:last], "top": top - first}
            answer = cosines(session.run(feeds, [output])[0], GRAPH)
            result[chunk] = answer[: chunk.stop - chunk.start]
            advance(new)
        return result

    def _fitting(self, pixels: int) -> int:
        """Windows per call of an image of so many pixels; on a device of its own, memory there is not bounded."""
        size = self._spec.image_size_px
        if self._backend.resident:
            return self._window_batch
        return self._memory.inputs_per_call(size, size, self._window_batch, pixels)


class Passed(Canvas):
    """A picture with what the trunk gave for it: the stages, by name, and their cells along both axes."""

    def __init__(self, pixels: UInt8, backend: Backend, run: Callable[[UInt8], dict[str, Array]]) -> None:
        super().__init__(pixels, backend)
        self._run = run

    @cached_property
    def stages(self) -> dict[str, Array]:
        """The trunk runs when they are first asked for."""
        return self._run(self.pixels)


class OnePass:
    """The trunk runs once over the picture, and windows are pooled from its stages. Does not own its sessions."""

    whole = True
    per_call = 1

    def __init__(
        self,
        spec: PassSpec,
        trunk: Callable[[], Session],
        windows: Callable[[], Session],
        stages: Sequence[str],
        width: int,
        backend: Backend,
        memory: MemoryLimit | None = None,
    ) -> None:
        """`stages`: what the trunk gives, by name. `width`: of an embedding, D."""
        self._spec = spec
        self._trunk = trunk
        self._windows = windows
        self._stages = tuple(stages)
        self._width = width
        self._backend = backend
        self._memory = memory or MemoryLimit()

    def canvas(self, pixels: UInt8) -> Passed:
        """See `WindowEncoder.canvas`."""
        return Passed(pixels, self._backend, self._run_trunk)

    def similarities(
        self, canvas: Canvas, windows: Windows, embeddings: Float32, advance: Advance
    ) -> Float32:
        """See `WindowEncoder.similarities`."""
        return self._pool(canvas, windows, embeddings, "similarity", len(embeddings), advance)

    def embeddings(self, canvas: Canvas, windows: Windows) -> Float32:
        """See `WindowEncoder.embeddings`."""
        text = np.eye(1, self._width, dtype=np.float32)
        return self._pool(canvas, windows, text, "embedding", self._width, lambda count: None)

    def with_per_call(self, windows: int) -> OnePass:
        """See `WindowEncoder.with_per_call`: there is nothing to choose."""
        return self

    def check_memory(self) -> None:
        """See `WindowEncoder.check_memory`: for a single row of a small picture."""
        self._memory.inputs_per_call(1, self._spec.coarsest_px, 1)

    def _run_trunk(self, pixels: UInt8) -> dict[str, Array]:
        """The stages of a picture, in bands that memory allows, of which each sees all that its cells do."""
        height, width = pixels.shape[:2]
        cell, halo = self._spec.coarsest_px, self._spec.halo_px
        rows = height
        if not self._backend.resident:  # on a device of its own, memory there is not bounded
            rows = self._memory.inputs_per_call(1, width, height, shared_px=height * width)
        if rows >= height:
            return dict(zip(self._stages, self._trunk().run({"image": pixels}, self._stages), strict=True))
        band = (rows - 2 * halo) // cell * cell
        if band < cell and self._memory.strict:
            raise UsageError(
                f"--max-memory {format_bytes(self._memory.limit_bytes)} is too little for a map of {width} x {height} "
                "pixels in one pass; give more, or smaller pictures"
            )
        band = max(cell, band)
        found: dict[str, list[Array]] = {name: [] for name in self._stages}
        for first in range(0, height, band):
            above = max(0, first - halo)
            below = min(height, first + band + halo)
            stages = self._trunk().run({"image": pixels[above:below]}, self._stages)
            for name, stage in zip(self._stages, stages, strict=True):
                px = self._spec.filled(below - above) // stage.shape[1]
                last = self._spec.filled(min(first + band, height) - above)
                found[name].append(stage[:, (first - above) // px : last // px])
        return {name: np.concatenate(parts, axis=1) for name, parts in found.items()}

    def _pool(
        self,
        canvas: Canvas,
        windows: Windows,
        text: Float32,
        output: str,
        width: int,
        advance: Advance,
    ) -> Float32:
        """The windows of all rows and columns that are asked for, in calls of some rows; of them those asked for."""
        if not isinstance(canvas, Passed):
            raise TypeError("the canvas is another encoder's")
        tops, lefts = np.unique(windows.tops), np.unique(windows.lefts)
        height, across_px = canvas.pixels.shape[:2]
        down = self._boxes("down", tops, windows.size_px, height)
        across = self._boxes("across", lefts, windows.size_px, across_px)
        result = np.empty((len(tops), len(lefts), width), dtype=np.float32)
        rows = max(1, MOST_POOLED // len(lefts))
        for start in range(0, len(tops), rows):
            part = slice(start, min(start + rows, len(tops)))
            boxes = {name: box[part] for name, box in down.items()}
            if len(lefts) == 1 and not self._backend.resident:
                boxes = {name: at_least_two(box) for name, box in boxes.items()}
            feeds = {**canvas.stages, **boxes, **across, "text": text}
            answer = cosines(self._windows().run(feeds, [output])[0], WINDOWS)
            result[part] = answer.reshape(-1, len(lefts), width)[: part.stop - part.start]
        advance(len(windows.tops))
        return result[np.searchsorted(tops, windows.tops), np.searchsorted(lefts, windows.lefts)]

    def _boxes(self, axis: str, firsts: Int64, window_px: int, length: int) -> dict[str, Array]:
        """Shares of an axis' windows in the cells of each size, by the input that takes them."""
        filled = self._spec.filled(length)
        return {f"{axis}_{px}": box_shares(firsts, window_px, filled // px, px) for px in self._spec.cells_px}
