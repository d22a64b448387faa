"""For a device that is slow at a new size: rows of zeros fill a call up, and a size keeps what was planned for it."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from realm_engine.arrays import Array
from realm_engine.bundle.manifest import GraphSpec
from realm_engine.errors import ClosedError, DeviceMemoryError
from realm_engine.runtimes.base import Session, contiguous

log = logging.getLogger("realm_engine")

# Free dimensions that count independent rows, always the first axis of a tensor.
ROW_DIMS = ("batch", "windows")
# One for all rows or one for each, the first axis of a tensor as well.
PER_ROW_DIM = "resizes"
# One picture alone, as servers ask, and full calls; windows of a coarse grid, and full calls of both kinds of towers.
ROW_SIZES: Mapping[str, tuple[int, ...]] = {"batch": (1, 32), "windows": (256, 512)}
LONG_S = 1.0  # a first call that takes longer is told of


class _Lanes:
    """Runtimes of one file, each for calls of one shape, opened when it is first asked for. `lock` may be held."""

    def __init__(self, load: Callable[[], Session], most: int | None = None) -> None:
        """`load` opens the file; `most`: shapes that are kept, those that were used last; None: all of them."""
        self.lock = threading.RLock()
        self._load = load
        self._most = most
        self._unused: Session | None = load()  # a file that cannot be opened fails now
        self._opened: OrderedDict[Any, Session] = OrderedDict()
        self._closed = False

    def open(self, shape: Hashable) -> tuple[Session, bool]:
        """The runtime of a shape, and whether it was opened just now."""
        with self.lock:
            if self._closed:
                raise ClosedError("the engine is closed; open it again")
            new = shape not in self._opened
            if new:
                while self._most is not None and len(self._opened) >= self._most:
                    self._opened.popitem(last=False)[1].close()
                self._opened[shape] = self._unused or self._load()
                self._unused = None
            self._opened.move_to_end(shape)
            return self._opened[shape], new

    def drop(self, which: Callable[[Any], bool]) -> None:
        """Close the runtimes of some shapes."""
        with self.lock:
            for shape in [shape for shape in self._opened if which(shape)]:
                self._opened.pop(shape).close()

    def close(self) -> None:
        """Close all of them; none opens any more."""
        with self.lock:
            self._closed = True
            self.drop(lambda shape: True)
            if self._unused is not None:
                self._unused.close()


class PaddedSession:
    """A graph whose calls have one of a few numbers of rows; a runtime of its own is opened for each of them.

    ONNX Runtime's CUDA provider plans every convolution for one shape and forgets it at the next: alternating between
    two sizes costs more than a second a call (90 convolutions on an H200), where a session for each costs its
    weights once more. Calls of more rows than the largest size run as they are, in a session for all of those. A size
    for which the device has no memory is given up, and its calls run in parts of the next smaller one.
    """

    def __init__(
        self, load: Callable[[], Session], graph: GraphSpec, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        """`load` opens the graph; `sizes`: row dimension -> its sizes, ascending."""
        self._name = graph.name
        self._dim = next((dim for dim in ROW_DIMS if dim in sizes and _has(graph, dim)), None)
        self._sizes = tuple(sizes[self._dim]) if self._dim else ()
        self._most: int | None = None  # rows of a call, once a larger one had no memory
        self._padded = {each.name for each in graph.inputs if self._dim and each.shape[:1] == (self._dim,)}
        self._padded_where_many = {each.name for each in graph.inputs if each.shape[:1] == (PER_ROW_DIM,)}
        self._cut = {each.name for each in graph.outputs if self._dim and each.shape[:1] == (self._dim,)}
        self._lanes = _Lanes(load)

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Array]:
        """See `Session.run`. Raises DeviceMemoryError where the smallest size does not fit."""
        rows = next((len(inputs[name]) for name in sorted(self._padded)), 0)
        if self._most is not None and rows > self._most:
            return self._in_parts(self._most, rows, inputs, outputs)
        size = next((size for size in self._sizes if size >= rows), None)
        try:
            return self._run(size, rows, inputs, outputs)
        except DeviceMemoryError:
            if not self._give_up(rows if size is None else size):
                raise
        return self.run(inputs, outputs)

    def close(self) -> None:
        """See `Session.close`."""
        self._lanes.close()

    def _run(
        self, size: int | None, rows: int, inputs: Mapping[str, Any], outputs: Sequence[str]
    ) -> list[Array]:
        session, new = self._lanes.open(size)
        feeds = inputs
        if size is not None and size != rows:
            many = self._rows_of(inputs)
            feeds = {name: _with_rows(v, size) if name in many else v for name, v in inputs.items()}
        started = time.perf_counter()
        answers = session.run(feeds, outputs)
        _tell(new, started, f"{self._name}, {size or rows} {self._dim or 'calls'}")
        return [
            answer[:rows] if name in self._cut else answer
            for name, answer in zip(outputs, answers, strict=True)
        ]

    def _in_parts(
        self, most: int, rows: int, inputs: Mapping[str, Any], outputs: Sequence[str]
    ) -> list[Array]:
        many = self._rows_of(inputs)
        parts = [
            self.run({n: v[start : start + most] if n in many else v for n, v in inputs.items()}, outputs)
            for start in range(0, rows, most)
        ]
        # An output without rows is that of the first part: it depends on what all parts share.
        return [
            np.concatenate(each) if name in self._cut else each[0]
            for name, each in zip(outputs, zip(*parts, strict=True), strict=True)
        ]

    def _rows_of(self, inputs: Mapping[str, Any]) -> set[str]:
        """Inputs that have something for each row."""
        return self._padded | {name for name in self._padded_where_many if len(inputs.get(name, ())) > 1}

    def _give_up(self, size: int) -> bool:
        """Never make a call of so many rows again, for which there is no memory. False where none is smaller."""
        smaller = [each for each in self._sizes if each < size]
        if not smaller:
            return False
        with self._lanes.lock:
            self._sizes, self._most = tuple(smaller), smaller[-1]
            self._lanes.drop(lambda rows: rows is None or rows >= size)
        log.warning(
            "%s: the device has no memory for %d %s in a call; calls of %d from now on (said once)",
            *(self._name, size, self._dim, self._most),
        )
        return True


class SessionPerShape:
    """A graph that convolves pictures whole: each of the sizes that were used last has a runtime of its own.

    A picture cannot be filled up with zeros without changing what is seen at its edges, but pictures of one source
    have few sizes, and a runtime that keeps to one plans it once.
    """

    def __init__(self, load: Callable[[], Session], name: str, most: int = 8) -> None:
        """`load` opens the graph `name`; `most`: sizes that are kept."""
        self._name = name
        self._lanes = _Lanes(load, most)

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Array]:
        """See `Session.run`."""
        shape = tuple(tuple(map(int, np.shape(inputs[name]))) for name in sorted(inputs))
        with self._lanes.lock:  # held while it runs: the lane must not be closed for another size meanwhile
            session, new = self._lanes.open(shape)
            started = time.perf_counter()
            answers = session.run(inputs, outputs)
        _tell(new, started, f"{self._name}, a picture of another size")
        return answers

    def close(self) -> None:
        """See `Session.close`."""
        self._lanes.close()


def convolves_pictures(graph: GraphSpec) -> bool:
    """Whether a graph takes pictures whole and in their own size, one at a time."""
    free = {dim for tensor in graph.inputs for dim in tensor.shape}
    return {"height", "width"} <= free and not any(dim in free for dim in ROW_DIMS)


def _tell(new: bool, started: float, what: str) -> None:
    """Say that the first call of a shape took long, which those after it do not."""
    took = time.perf_counter() - started
    if new and took > LONG_S:
        log.info("%s: planned in %.1f s, once", what, took)


def _has(graph: GraphSpec, dim: str) -> bool:
    return any(tensor.shape[:1] == (dim,) for tensor in graph.inputs)


def _with_rows(value: Array, rows: int) -> Array:
    """The same with rows of zeros below, which cost next to nothing as long as nobody writes to them."""
    value = contiguous(value)
    padded = np.zeros((rows, *value.shape[1:]), dtype=value.dtype)
    padded[: len(value)] = value
    return padded
