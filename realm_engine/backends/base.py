"""What a runtime must offer: a `Backend` opens ONNX files, a `Session` runs one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from realm_engine.cgroup import cpu_quota

Array = npt.NDArray[Any]


class Session(Protocol):
    """One opened graph."""

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Array]:
        """Run the graph on named inputs and return the named outputs, in that order.

        An input is an array or what `Backend.upload` made of one. Raises DeviceError when the runtime fails.
        """

    def close(self) -> None:
        """Free what the runtime holds; the session cannot run afterwards."""


class Backend(Protocol):
    """A runtime on a device.

    `native`: precisions that the runtime computes by itself from the fp32 file. `lacks`: precisions whose
    files it cannot run. `resident`: the device has
    a memory of its own, so what several calls share is worth an `upload`. `window_batch` and `image_batch`:
    DREAM's windows and CORE's images per call where nothing else is known.
    """

    name: str
    device: str
    runtime: str
    threads: int
    fast_fp16: bool
    native: tuple[str, ...]
    lacks: tuple[str, ...]
    resident: bool
    window_batch: int
    image_batch: int

    def upload(self, array: Array) -> Any:
        """Put an array where the device computes, for several calls; the array itself where that is here."""

    def load(self, path: Path, precision: str) -> Session:
        """Open an ONNX file. Raises DeviceError when the runtime refuses it."""


def default_threads() -> int:
    """Cores this process may use: the smaller of its CPU affinity and its cgroup quota (v2, then v1)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return cores if quota is None else max(1, min(cores, int(quota)))


def contiguous(array: Array) -> Array:
    """C-contiguous view or copy, which every runtime wants."""
    return np.ascontiguousarray(array)


def first_line(error: BaseException) -> str:
    """What a runtime said, in one line a user can read."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:297] + "..."
