"""Measures, once per machine and bundle, which device, precision, batch and thread count is fastest and good enough."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realm_engine.bundle.bundle import Bundle
from realm_engine.engine import Engine
from realm_engine.errors import DeviceError, RealmError, UsageError
from realm_engine.maps.windows import WindowGrid
from realm_engine.runtimes import AUTO_ORDER, Backend, open_backend
from realm_engine.runtimes.choose import PARTS, computes
from realm_engine.runtimes.measured import Measured
from realm_engine.verbs.fidelity import Answers, Trial, answer, compare, precision_gates

Report = Callable[[str], None]

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
ROUNDS = 5
SECONDS_PER_ROUND = 0.4
WINDOW_BATCHES = {False: (16, 32, 64), True: (64, 128, 256, 512)}  # by Backend.resident
IMAGE_BATCHES = {False: (4, 8, 16), True: (16, 32, 64)}


@dataclass(frozen=True)
class Candidate:
    """A way to run that is to be measured, and the parts that can run so."""

    device: str
    precision: str
    parts: tuple[str, ...]
    resident: bool


def candidates(bundle: Bundle, device: str, threads: int | None) -> list[Candidate]:
    """Every device that works with every precision it computes in; "auto" stands for all devices.

    Raises:
        DeviceError: the device cannot be had, or none can.
    """
    found = []
    for backend in _backends(device, threads):
        for precision in PRECISIONS:
            parts = tuple(part for part in PARTS if computes(bundle, part, precision, backend))
            if parts:
                found.append(Candidate(backend.device, precision, parts, backend.resident))
    return found


def tune(
    bundle: str | os.PathLike[str], trial: Trial, device: str, threads: int | None, report: Report
) -> Iterator[Measured]:
    """Compare and time every candidate, yielding one record per part and candidate.

    Differences are from float32 on the first device that works, on the images of the trial; whether they are
    within the gates of the precision decides if `auto` may take it. Speeds are medians over rounds in
    which the batch sizes take turns.

    Args:
        bundle: Name or folder.
        trial: Real images and texts.
        device: A device, or "auto" for all that work.
        threads: CPU threads; None: all that the process may use, and half of them.
        report: Receives a line for what could not be measured.

    Raises:
        BundleError, DeviceError: nothing can be measured.
    """
    opened = Bundle.open(bundle)
    todo = candidates(opened, device, threads)
    # The reference stays the same whichever device is measured.
    anchor = next((one for one in candidates(opened, "auto", threads) if one.precision == "fp32"), None)
    if anchor is None:
        raise UsageError(
            f"{opened.name} has no fp32 variant to compare with; export it with --precision fp32"
        )
    with Engine.open(bundle, anchor.device, "fp32", threads, tuned=False) as engine:
        expected = answer(engine, trial)
    for candidate in todo:
        try:
            with Engine.open(bundle, candidate.device, candidate.precision, threads, tuned=False) as engine:
                found = answer(engine, trial)
        except RealmError as error:
            report(f"not measured: {candidate.precision} on {candidate.device}: {error}")
            continue
        yield from _measure(bundle, candidate, trial, found, expected, threads)


def _measure(
    bundle: str | os.PathLike[str],
    candidate: Candidate,
    trial: Trial,
    found: Answers,
    expected: Answers,
    threads: int | None,
) -> Iterator[Measured]:
    differences = compare(found, expected, trial, precision_gates(candidate.precision))
    best: dict[str, tuple[float, int, int]] = {}
    for count in _thread_counts(candidate, threads):
        with Engine.open(bundle, candidate.device, candidate.precision, count, tuned=False) as engine:
            for part in candidate.parts:
                for batch, speed in _speeds(engine, part, candidate.resident, trial).items():
                    best[part] = max(best.get(part, (0.0, 0, 0)), (speed, batch, count))
    for part in candidate.parts:
        if part in differences:
            speed, batch, count = best[part]
            record = differences[part]
            numbers = {key: float(value) for key, value in record.items() if isinstance(value, float)}
            yield Measured(
                part, candidate.device, candidate.precision, batch, count, speed, record["passes"], numbers
            )


def _backends(device: str, threads: int | None) -> list[Backend]:
    if device != "auto":
        return [open_backend(device, threads)]
    found = []
    for name in AUTO_ORDER:
        try:
            found.append(open_backend(name, threads))
        except DeviceError:
            continue
    return found or [open_backend("auto", threads)]


def _thread_counts(candidate: Candidate, threads: int | None) -> list[int]:
    if threads is not None:
        return [threads]
    every = open_backend(candidate.device).threads
    # Half: with two threads per core, the second one often only costs.
    return [every] if candidate.resident or every < 4 else [every, every // 2]


def _speeds(engine: Engine, part: str, resident: bool, trial: Trial) -> dict[int, float]:
    """Images or windows per second by batch size, median of rounds in which the sizes take turns."""
    batches = (IMAGE_BATCHES if part == "core" else WINDOW_BATCHES)[resident]
    calls = {batch: (_score_call if part == "core" else _map_call)(engine, trial, batch) for batch in batches}
    repeats = {}
    for batch, call in calls.items():
        call()  # warm-up: kernels are chosen and memory is taken
        repeats[batch] = max(1, round(SECONDS_PER_ROUND / max(_seconds(call), 1e-4)))
    samples: dict[int, list[float]] = {batch: [] for batch in batches}
    for _ in range(ROUNDS):
        for batch, call in calls.items():
            start = time.perf_counter()
            for _ in range(repeats[batch]):
                call()
            samples[batch].append(batch * repeats[batch] / (time.perf_counter() - start))
    return {batch: statistics.median(found) for batch, found in samples.items()}


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _score_call(engine: Engine, trial: Trial, batch: int) -> Callable[[], Any]:
    """CORE on a batch of images of one size; texts come from the cache, as equal ones do in use."""
    core = engine._open_core()
    image, text = trial.maps[0], trial.texts[0]
    return lambda: core.score([image] * batch, [text] * batch)


def _map_call(engine: Engine, trial: Trial, batch: int) -> Callable[[], Any]:
    """DREAM on exactly one call's windows."""
    dream = engine._open_dream()
    dream.set_windows_per_call(batch)
    image, embedding = trial.maps[0], dream.embed(trial.texts[:1])
    height, width = image.shape[:2]
    window = min(64, height, width)
    tops, lefts = WindowGrid(height, width, window, 1).origins()
    step = max(1, len(tops) // batch)
    return lambda: dream.encode(image, window, tops[::step][:batch], lefts[::step][:batch], embedding)


def images_for_tuning(paths: Sequence[Path]) -> list[Path]:
    """The images in files and folders. Raises ImageError or UsageError where there is none."""
    from realm_engine.pictures.decode import collect_images

    return [file.path for file in collect_images(paths)]
