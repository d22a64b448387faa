"""How much memory the process may hold, and how much work of one call fits into what is left."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from realm_engine.errors import UsageError
from realm_engine.machine import cgroup

DEFAULT_BYTES = 2 << 30
# What an image tower keeps alive at once, in copies of its float32 input. Measured, ONNX Runtime / OpenVINO:
# ViT-B/32 15 / 8, realm-tiny's CORE 9 / 12, its DREAM 2 / 2; the rest is margin for wider models.
COPIES_OF_INPUT = 40
TOWER_BYTES_PER_PX = 3 * 4 * COPIES_OF_INPUT
# Decoded image, its float32 copy, and a map in float64 with the two products that make it.
BYTES_PER_PIXEL = 64
FEWEST_INPUTS = 4
MODERATE_PX = 1 << 20  # larger pictures are not put into one call against the limit
_STACK_BYTES, _THREADS_TO_COME = 8 << 20, 4  # of a thread; those that decode
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class MemoryLimit:
    """A bound on the resident memory of the process, in bytes; on a GPU it does not bound the GPU's.

    A limit that somebody gave (`strict`) is kept or refused. The default one only makes calls smaller:
    models that take more than that by themselves still run, a few inputs at a time.
    """

    limit_bytes: int = DEFAULT_BYTES
    strict: bool = False

    @staticmethod
    def input_bytes(height_px: int, width_px: int | None = None) -> int:
        """What a tower holds for one input (square where there is no width), an upper estimate in bytes."""
        return height_px * (width_px or height_px) * TOWER_BYTES_PER_PX

    def inputs_per_call(
        self,
        height_px: int,
        width_px: int,
        wanted: int,
        shared_px: int = 0,
        own_px: int = 0,
        bytes_per_px: int = TOWER_BYTES_PER_PX,
    ) -> int:
        """How many inputs of a tower (RGB, height_px x width_px) one call may hold, 1 to `wanted`.

        `shared_px`: pixels of the image that all inputs come from; `own_px`: of the one that each comes from;
        `bytes_per_px`: of an input, where it is known better than that it is a tower's. Raises UsageError when a strict
        limit does not even hold one, with the limit that would.
        """
        each = height_px * width_px * bytes_per_px + own_px * BYTES_PER_PIXEL
        held = resident_bytes() + shared_px * BYTES_PER_PIXEL
        fits = (self.limit_bytes - held) // each
        if self.strict and fits < 1:
            raise UsageError(
                f"--max-memory {format_bytes(self.limit_bytes)} is too little: the models and the image take "
                f"{format_bytes(held)}; give at least {format_bytes(held + each)}"
            )
        fewest = 1 if self.strict or own_px > MODERATE_PX else FEWEST_INPUTS
        return int(min(wanted, max(fits, fewest)))


@contextmanager
def held_within(limit_bytes: int) -> Iterator[None]:
    """Within the block the process cannot take more memory than that, whoever asks for it: a graph of a stranger that
    makes a constant of 5 GB fails like any call for which there is no memory.

    Linux counts what was asked for, used or not, so stacks of threads to come are added. No other system has such a
    limit, and nothing is held there. What is held already counts, and is never taken away.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    before, most = resource.getrlimit(resource.RLIMIT_DATA)
    found = psutil.Process().memory_info()
    stacks = _STACK_BYTES * (_THREADS_TO_COME + (os.cpu_count() or 1))
    allowed = int(found.data) + max(0, limit_bytes - int(found.rss)) + stacks
    bounds = [allowed, *(bound for bound in (before, most) if bound != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, most))


@contextmanager
def without_collector() -> Iterator[None]:
    """Within the block nobody looks for circles of garbage. Where a hundred thousand rows are read, a million objects
    that are all in use, that took a fifth of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


_NOBODY_MEANS = 4096  # bytes: so small a number lacks its unit


def parse_bytes(text: str) -> int:
    """Bytes of "800M", "2G", "1.5 GiB" or a plain number. Raises UsageError for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?\s*", text, re.IGNORECASE)
    value = float(match[1]) * _UNITS[match[2].upper()] if match else 0
    if value < 1:
        raise UsageError(f"{text!r} is no amount of memory; write it as 800M or 2G")
    if value < _NOBODY_MEANS and match is not None and match[0].strip().isdigit():
        raise UsageError(f"{text!r} would be {match[1]} bytes; write {match[1]}G or {match[1]}M")
    return int(value)


def format_bytes(count: int) -> str:
    """A number of bytes as `parse_bytes` reads it, rounded up: "1.5G", "812M"."""
    mega = -(-count // (1 << 20))
    return f"{mega}M" if mega < 1024 else f"{-(-mega * 10 // 1024) / 10:g}G"


def resident_bytes() -> int:
    """Memory that this process holds now."""
    return int(psutil.Process().memory_info().rss)


def peak_bytes() -> int:
    """The most memory this process ever held; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def available_bytes(root: Path = cgroup.ROOT, membership: Path = cgroup.MEMBERSHIP) -> int:
    """Memory that this process can still take without swapping: what the machine and the control groups leave."""
    left = cgroup.memory_left(root, membership)
    available = int(psutil.virtual_memory().available)
    return available if left is None else min(available, left)


@dataclass(frozen=True)
class Memory:
    """Bytes: of the machine, available now, and the limit of this control group (None: no limit)."""

    total_bytes: int
    available_bytes: int
    limit_bytes: int | None


def memory(root: Path = cgroup.ROOT, membership: Path = cgroup.MEMBERSHIP) -> Memory:
    """What may be held here."""
    found = psutil.virtual_memory()
    return Memory(found.total, found.available, cgroup.memory_limit(found.total, root, membership))
