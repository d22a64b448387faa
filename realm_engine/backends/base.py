"""What a runtime must offer: a `Backend` opens ONNX files, a `Session` runs one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

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
    quota = cgroup_quota(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    return cores if quota is None else max(1, min(cores, int(quota)))


def cgroup_quota(root: Path, membership: Path) -> float | None:
    """CPU quota in cores of this process's control group, None where there is no limit.

    A container usually sees its own group at `root`; outside one the group and its parents count,
    and the tightest limit holds.
    """
    groups = {Path("/")}
    for line in _read(membership).splitlines():
        group = Path(line.split(":", 2)[-1])
        groups.update((group, *group.parents))
    limits = []
    for group in groups:
        below = str(group).lstrip("/")
        limits.append(_quota_v2(root / below / "cpu.max"))
        for controller in ("cpu", "cpu,cpuacct"):
            limits.append(_quota_v1(root / controller / below))
    return min((limit for limit in limits if limit is not None), default=None)


def _quota_v2(path: Path) -> float | None:
    quota, _, period = _read(path).strip().partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _quota_v1(folder: Path) -> float | None:
    quota, period = (_read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    # v1 writes -1 for "no limit", which is not decimal
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def contiguous(array: Array) -> Array:
    """C-contiguous view or copy, which every runtime wants."""
    return np.ascontiguousarray(array)


def first_line(error: BaseException) -> str:
    """What a runtime said, in one line a user can read."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:297] + "..."
