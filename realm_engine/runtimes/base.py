"""What a runtime must offer: a `Backend` opens ONNX files, a `Session` runs one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from realm_engine.arrays import Array
from realm_engine.bundle.manifest import GraphSpec
from realm_engine.errors import AnswerError, BundleError


class Session(Protocol):
    """One opened graph."""

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Array]:
        """Run the graph on named inputs and return the named outputs, in that order.

        An input is an array or what `Backend.upload` made of one. Raises DeviceError when the runtime fails.
        """

    def close(self) -> None:
        """Free what the runtime holds; the session cannot run afterwards."""


class CheckedSession:
    """A session of one graph whose answers are what the manifest says: float32 numbers, in the shapes it lists.

    Dimensions of one name have one size in a call; NaN or infinity in any output is an error.
    """

    def __init__(self, session: Session, graph: GraphSpec) -> None:
        self._session = session
        self._graph = graph

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Array]:
        """See `Session.run`. Raises AnswerError, naming the graph, for an answer that is not a number, and
        BundleError for one of another form."""
        answers = self._session.run(inputs, outputs)
        sizes = self._sizes(inputs)
        for name, answer in zip(outputs, answers, strict=True):
            self._check_form(name, answer, sizes)
            bad = answer.size - int(np.isfinite(answer).sum())
            if bad:
                raise AnswerError(
                    f"graph {self._graph.name}: {bad} of {answer.size} values of {name} are NaN or infinite; "
                    "try --precision fp32, and get the bundle again if that does not help"
                )
        return answers

    def close(self) -> None:
        """See `Session.close`."""
        self._session.close()

    def _sizes(self, inputs: Mapping[str, Any]) -> dict[str, int]:
        """The sizes that free dimensions have in a call. What lies on a device tells none."""
        sizes: dict[str, int] = {}
        for tensor in self._graph.inputs:
            shape = getattr(inputs.get(tensor.name), "shape", None)
            if isinstance(shape, tuple) and len(shape) == len(tensor.shape):
                sizes |= {
                    dim: size for dim, size in zip(tensor.shape, shape, strict=True) if isinstance(dim, str)
                }
        return sizes

    def _check_form(self, name: str, answer: Any, sizes: dict[str, int]) -> None:
        """`sizes` learns those of dimensions that no input has."""
        listed = self._graph.output(name)
        shape = listed.shape if listed is not None else ()
        fits = isinstance(answer, np.ndarray) and answer.dtype == np.float32 and len(shape) == answer.ndim
        if fits:
            for dim, size in zip(shape, answer.shape, strict=True):
                fits &= size == (sizes.setdefault(dim, size) if isinstance(dim, str) else dim)
        if not fits:
            given = f"{answer.dtype}{list(answer.shape)}" if isinstance(answer, np.ndarray) else "no tensor"
            raise BundleError(
                f"graph {self._graph.name}: its output {name!r} is {given}, the manifest says float32"
                f"[{', '.join(str(sizes.get(str(dim), dim)) for dim in shape)}]; export the bundle again"
            )


class Backend(Protocol):
    """A runtime on a device.

    `native`: precisions that the runtime computes by itself from the fp32 file. `lacks`: precisions whose
    files it cannot run here, each with the reason, found out from the runtime and the processor before
    anything is chosen. `resident`: the device has a memory of its own, so what several calls share is worth
    an `upload`. `window_batch` and `image_batch`: DREAM's windows and CORE's images per call where nothing
    else is known. `row_sizes`: where a call of another size is slow, the few numbers of rows that calls shall
    have, by the name of the graph's free dimension ("batch", "windows"). `texts_together`: a call costs so much that
    texts share one, although the number of its rows shows in the last bits.
    """

    name: str
    device: str
    runtime: str
    threads: int
    fast_fp16: bool
    native: tuple[str, ...]
    lacks: Mapping[str, str]
    resident: bool
    texts_together: bool
    window_batch: int
    image_batch: int
    row_sizes: Mapping[str, tuple[int, ...]]

    def upload(self, array: Array) -> Any:
        """Put an array where the device computes, for several calls; the array itself where that is here."""

    def load(self, path: Path, precision: str) -> Session:
        """Open an ONNX file. Raises DeviceError when the runtime refuses it."""


def contiguous(array: Array) -> Array:
    """C-contiguous view or copy, which every runtime wants."""
    return np.ascontiguousarray(array)


def first_line(error: BaseException) -> str:
    """What a runtime said, in one line a user can read."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:297] + "..."
