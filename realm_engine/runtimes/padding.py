"""For a device that is slow at a new size: rows of zeros fill a call up, and a size keeps what was planned for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from realm_engine.arrays import Array
from realm_engine.bundle.manifest import GraphSpec
from realm_engine.errors import DeviceError
from realm_engine.runtimes.base import Session, contiguous

# Free dimensions that count independent rows, always the first axis of a tensor.
ROW_DIMS = ("batch", "windows")
# One for all rows or one for each, the first axis of a tensor as well.
PER_ROW_DIM = "resizes"
# One picture alone, as servers ask, and full calls; windows of a coarse grid, and full calls of both kinds of towers.
ROW_SIZES: Mapping[str, tuple[int, ...]] = {"batch": (1, 32), "windows": (256, 512)}


class PaddedSession:
    """A graph whose calls have one of a few numbers of rows; a runtime of its own is opened for each of them.

    ONNX Runtime's CUDA provider plans every convolution for one shape and forgets it at the next: alternating between
    two sizes costs more than a second a call (90 convolutions on an H200), where a session for each costs its
    weights once more. Calls of more rows than the largest size run as they are, in a session for all of those.
    """

    def __init__(
        self, load: Callable[[], Session], graph: GraphSpec, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        """`load` opens the graph; `sizes`: row dimension -> its sizes, ascending."""
        self._load = load
        self._dim = next((dim for dim in ROW_DIMS if dim in sizes and _has(graph, dim)), None)
        self._sizes = tuple(sizes[self._dim]) if self._dim else ()
        self._padded = {each.name for each in graph.inputs if self._dim and each.shape[:1] == (self._dim,)}
        self._padded_where_many = {each.name for each in graph.inputs if each.shape[:1] == (PER_ROW_DIM,)}
        self._cut = {each.name for each in graph.outputs if self._dim and each.shape[:1] == (self._dim,)}
        self._lanes: dict[int | None, Session] = {}
        self._unused: Session | None = load()  # a file that cannot be opened fails now
        self._lock = threading.Lock()
        self._closed = False

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Array]:
        """See `Session.run`."""
        rows = next((len(inputs[name]) for name in sorted(self._padded)), 0)
        size = next((size for size in self._sizes if size >= rows), None)
        session = self._lane(size)
        if size is None or size == rows:
            return session.run(inputs, outputs)
        many = {name for name in self._padded_where_many if len(inputs.get(name, ())) > 1}
        feeds = {
            name: _with_rows(value, size) if name in self._padded | many else value
            for name, value in inputs.items()
        }
        answers = session.run(feeds, outputs)
        return [
            answer[:rows] if name in self._cut else answer
            for name, answer in zip(outputs, answers, strict=True)
        ]

    def close(self) -> None:
        """See `Session.close`."""
        with self._lock:
            self._closed = True
            for session in (*self._lanes.values(), self._unused):
                if session is not None:
                    session.close()
            self._lanes.clear()

    def _lane(self, size: int | None) -> Session:
        """The session of a number of rows, opened when it is first asked for."""
        with self._lock:
            if self._closed:
                raise DeviceError("the engine is closed; open it again")
            if size not in self._lanes:
                self._lanes[size] = self._unused or self._load()
                self._unused = None
            return self._lanes[size]


class SessionPerShape:
    """A graph that convolves pictures whole: each of the sizes that were used last has a runtime of its own.

    A picture cannot be filled up with zeros without changing what is seen at its edges, but pictures of one source
    have few sizes, and a runtime that keeps to one plans it once.
    """

    def __init__(self, load: Callable[[], Session], most: int = 8) -> None:
        """`load` opens the graph; `most`: sizes that are kept."""
        self._load = load
        self._most = most
        self._unused: Session | None = load()  # a file that cannot be opened fails now
        self._lanes: OrderedDict[tuple[tuple[int, ...], ...], Session] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = False

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Array]:
        """See `Session.run`."""
        with self._lock:  # held while it runs: the lane must not be closed for another size meanwhile
            if self._closed:
                raise DeviceError("the engine is closed; open it again")
            shape = tuple(tuple(map(int, np.shape(inputs[name]))) for name in sorted(inputs))
            if shape not in self._lanes:
                while len(self._lanes) >= self._most:
                    self._lanes.popitem(last=False)[1].close()
                self._lanes[shape] = self._unused or self._load()
                self._unused = None
            self._lanes.move_to_end(shape)
            return self._lanes[shape].run(inputs, outputs)

    def close(self) -> None:
        """See `Session.close`."""
        with self._lock:
            self._closed = True
            for session in (*self._lanes.values(), self._unused):
                if session is not None:
                    session.close()
            self._lanes.clear()


def convolves_pictures(graph: GraphSpec) -> bool:
    """Whether a graph takes pictures whole and in their own size, one at a time."""
    free = {dim for tensor in graph.inputs for dim in tensor.shape}
    return {"height", "width"} <= free and not any(dim in free for dim in ROW_DIMS)


def _has(graph: GraphSpec, dim: str) -> bool:
    return any(tensor.shape[:1] == (dim,) for tensor in graph.inputs)


def _with_rows(value: Array, rows: int) -> Array:
    """The same with rows of zeros below, which cost next to nothing as long as nobody writes to them."""
    value = contiguous(value)
    padded = np.zeros((rows, *value.shape[1:]), dtype=value.dtype)
    padded[: len(value)] = value
    return padded
