"""Measures, once per machine and bundle, which device, precision, batch and thread count is fastest and good enough."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from realm_engine.bundle.bundle import Bundle
from realm_engine.engine import Engine
from realm_engine.errors import DeviceError, RealmError, UsageError
from realm_engine.machine.processor import busy_load
from realm_engine.maps.encoders import Windows
from realm_engine.maps.windows import WindowGrid
from realm_engine.opened import Contents
from realm_engine.pictures.find import collect_images
from realm_engine.runtimes.base import Backend
from realm_engine.runtimes.choose import computes
from realm_engine.runtimes.devices import AUTO_ORDER, open_backend
from realm_engine.runtimes.measured import Measured, Tuned, forget_tuned, save_tuned
from realm_engine.runtimes.words import Precision
from realm_engine.verbs.console import Console
from realm_engine.verbs.fidelity import Answers, Trial, answer, compare, make_trial, precision_gates

Report = Callable[[str], None]

FEW_IMAGES = 4
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


def candidates(contents: Contents, device: str, threads: int | None) -> list[Candidate]:
    """Every device that works with every precision it computes in; "auto" stands for all devices.

    Raises:
        DeviceError: the device cannot be had, or none can.
    """
    found = []
    for backend in _backends(device, threads):
        for precision in Precision:
            parts = tuple(
                part.name for part in contents.parts if computes(contents.bundle, part, precision, backend)
            )
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
    opened = Contents(Bundle.open(bundle))
    todo = candidates(opened, device, threads)
    # The reference stays the same whichever device is measured.
    anchor = next((one for one in candidates(opened, "auto", threads) if one.precision == "fp32"), None)
    if anchor is None:
        raise UsageError(
            f"{opened.bundle.name} has no fp32 variant to compare with; export it with --precision fp32"
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


def _speeds(
    engine: Engine, part: str, resident: bool, trial: Trial, clock: Callable[[], float] = time.perf_counter
) -> dict[int, float]:
    """Images or windows per second by batch size, median of rounds in which the sizes take turns."""
    maps = part == engine.map_part
    batches = (WINDOW_BATCHES if maps else IMAGE_BATCHES)[resident]
    calls = {
        batch: _map_call(engine, trial, batch) if maps else _measure_call(engine, part, trial, batch)
        for batch in batches
    }
    return rates(calls, clock)


def rates(calls: Mapping[int, Callable[[], Any]], clock: Callable[[], float]) -> dict[int, float]:
    """How many things a second each call does, by the number of things that one call does: the median of rounds."""
    repeats = {}
    for batch, call in calls.items():
        call()  # warm-up: kernels are chosen and memory is taken
        start = clock()
        call()
        repeats[batch] = max(1, round(SECONDS_PER_ROUND / max(clock() - start, 1e-4)))
    samples: dict[int, list[float]] = {batch: [] for batch in calls}
    for _ in range(ROUNDS):
        for batch, call in calls.items():
            start = clock()
            for _ in range(repeats[batch]):
                call()
            samples[batch].append(batch * repeats[batch] / (clock() - start))
    return {batch: statistics.median(found) for batch, found in samples.items()}


def _measure_call(engine: Engine, part: str, trial: Trial, batch: int) -> Callable[[], Any]:
    """The measures of a part on a batch of images of one size; texts come from the cache, as equal ones do in use."""
    names = [measure.name for measure in engine.contents.measures.all if measure.part.name == part]
    images, texts = [trial.maps[0]] * batch, [trial.texts[0]] * batch
    return lambda: engine.look(images, texts, names)


def _map_call(engine: Engine, trial: Trial, batch: int) -> Callable[[], Any]:
    """Maps on exactly one call's windows."""
    dream = engine.maps.dream
    encoder = dream.encoder.with_per_call(batch)
    image, embedding = trial.maps[0], dream.embed(trial.texts[:1])
    height, width = image.shape[:2]
    window = min(64, height, width)
    tops, lefts = WindowGrid(height, width, window, 1).origins()
    step = max(1, len(tops) // batch)
    windows = Windows(window, tops[::step][:batch], lefts[::step][:batch])
    return lambda: encoder.similarities(encoder.canvas(image), windows, embedding, lambda count: None)


@dataclass(frozen=True)
class Line:
    """One measurement, for people and for machines."""

    line: str
    facts: dict[str, Any]


def tune_bundle(
    paths: Sequence[Path], bundle: str, device: str, threads: int | None, console: Console
) -> Iterator[Line]:
    """Measure a bundle on images and remember what was found, yielding a line of the table per measurement.

    Raises UsageError without images, ImageError, BundleError, DeviceError, and OutputError for the record.
    """
    if not paths:
        raise UsageError("name images to measure on, such as a folder of yours: realm-engine tune DIR")
    contents = Contents(Bundle.open(bundle))
    given = [file.path for file in collect_images(paths)]
    trial = make_trial(given)
    console.say(f"{contents.bundle.name}: {_compared(trial, len(given))}; this takes a minute or more")
    load = busy_load()
    if load is not None:
        console.warn(
            f"the machine is busy (load {load:.1f}): what is measured now is noise, and would be remembered; stop what "
            "runs, or tune again when it is idle"
        )
    if len(trial.maps) < FEW_IMAGES:
        console.warn(f"{len(trial.maps)} images are few to judge a precision by; give {FEW_IMAGES} or more")
    measured = []
    for record in tune(bundle, trial, device, threads, console.warn):
        measured.append(record)
        unit = _unit(contents, record.part)
        yield Line(_line(record, unit), {**asdict(record), "unit": unit})
    path = save_tuned(contents.bundle, date.today().isoformat(), len(trial.maps), measured)
    found = Tuned("", "", {}, 0, tuple(measured))
    for part in dict.fromkeys(one.part for one in measured):
        for best in found.fastest(part)[:1]:
            speed = f"{best.per_second:.1f} {_unit(contents, part)}"
            console.say(f"{part}: {best.precision} on {best.device}, {speed}")
    again = "" if load is None else "; the machine was busy, so tune again when it is idle"
    console.say(f"remembered in {path}; --device auto and --precision auto follow it from now on{again}")


def _compared(trial: Trial, given: int) -> str:
    """How many pictures are used of those given, and why not all."""
    scored, mapped = len(trial.paths), len(trial.maps)
    if scored == mapped == given:
        return f"comparing on {given} images"
    return (
        f"comparing scores of {scored} and maps of {mapped} of {given} images, enough to judge a precision by"
    )


def forget_bundle(bundle: str, console: Console) -> None:
    """Remove what was measured with a bundle. Raises BundleError and OutputError."""
    opened = Bundle.open(bundle)
    console.say(f"{opened.name}: {'forgotten' if forget_tuned(opened) else 'nothing was measured yet'}")


def _unit(contents: Contents, part: str) -> str:
    return "windows/s" if contents.makes_maps(part) else "images/s"


def _line(record: Measured, unit: str) -> str:
    """One measurement; of its differences those that the gates judge."""
    judged = [
        f"{key} {value:g}"
        for key, value in sorted(record.differences.items())
        if key in ("map_pearson_min", "srocc") or (key.endswith("_max_abs_diff") and "similarity" not in key)
    ]
    return (
        f"{record.part:5}  {record.device:8}  {record.precision:4}  {record.per_second:8.1f} "
        f"{unit:9}  batch {record.batch:3}  {record.threads} threads  "
        f"{'passes' if record.passes else 'MISSES'}: {', '.join(judged)}"
    )
