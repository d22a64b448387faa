"""From nothing to the first answer, each in a new process: commands, opening, building sessions, peak memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import names
from benchmarks.cases import TEXT, image_files, picture
from benchmarks.child import Job, run_command, run_job
from benchmarks.engines import Spec, open_engine, specs
from benchmarks.measure import Spread, one_line
from benchmarks.models import MODELS, Exported, export
from benchmarks.results import Book, Table, clean
from benchmarks.settings import Settings
from benchmarks.suites.common import Say, attempt
from benchmarks.work import MAPS, WORKS
from realm_engine.errors import RealmError

# What one pass of a process does. PyTorch does the first of them only: its memory does not grow with more windows,
# the engine's must stay bounded.
UNITS = {("tiny", MAPS.name): (48, 2337, 26227), ("vitb32", MAPS.name): (48,)}
CORE_IMAGES = 8


def run(settings: Settings, book: Book, say: Say) -> None:
    """Commands of the embedded default, then one process for each contender."""
    attempt(book, "startup, commands", partial(_commands, settings, book, say))
    table = Table(
        "startup",
        names.PROCESSES,
        ["model", "pass", "contender", "ready_s", "first_s", "build_s", "second_s", "peak_memory_mb", "note"],
    )
    book.tables.append(table)
    for key in settings.models:
        info = MODELS[key]
        if key in ("vitb16", "vitl14") or (settings.quick and key != "tiny"):
            continue
        attempt(book, f"startup, {info.title}", partial(_processes, key, settings, book, table, say))


def _commands(settings: Settings, book: Book, say: Say) -> None:
    """From the start of the process to its exit: interpreter, imports, models, work, files written."""
    columns = ["command", "device", "precision", "runs", "median_s", "low_s", "high_s", "peak_memory_mb"]
    table = Table("startup", names.COMMANDS, columns)
    book.tables.append(table)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture.png"
        Image.fromarray(np.asarray(picture())).save(file)
        output = str(Path(folder) / "out")
        for device in settings.devices[:1] if settings.quick else settings.devices:
            options = ["--device", device, "--precision", "fp32", "--threads", str(settings.threads)]
            map_ = ["map", str(file), "--text", TEXT, "--preset", "released", "--output", output, *options]
            score = ["score", str(file), *options]
            for name, arguments in (("map, 2337 windows", map_), ("score, one image", score)):
                say(f"realm-engine {name}, {device}")
                try:
                    found = [run_command(arguments) for _ in range(1 + max(2, settings.repeats))][1:]
                except Exception as error:
                    book.fail(f"realm-engine {name}, {device}", one_line(error))
                    continue
                spread = Spread.of([run["process_s"] for run in found])
                peak = max(run["peak_memory_mb"] for run in found)
                measured = [spread.count, spread.median, spread.low, spread.high, peak]
                table.rows.append([name, device, "fp32", *measured])


def _jobs(key: str, exported: Exported, settings: Settings) -> Iterator[tuple[Spec, Job]]:
    for part in MODELS[key].parts[:1] if settings.quick else MODELS[key].parts:
        for index, units in enumerate(UNITS.get((key, part), (CORE_IMAGES,))):
            if index and settings.quick:
                continue
            for spec in specs(settings, MODELS[key].precisions, compiled=False):
                baseline = spec.family != "engine"
                if baseline and (index or settings.quick):
                    continue
                if not baseline and not _opens(exported, spec, part, settings):
                    continue  # the suites dream and core say why
                yield (
                    spec,
                    Job(
                        part,
                        key,
                        spec.family,
                        spec.device,
                        spec.precision,
                        exported.bundle,
                        units,
                        settings.threads,
                        str(settings.cache),
                        settings.seed,
                    ),
                )


def _opens(exported: Exported, spec: Spec, part: str, settings: Settings) -> bool:
    """Whether the engine offers this at all, found out without a process."""
    if spec.precision in exported.missing:
        return False
    try:
        with open_engine(exported.bundle, spec, settings.threads) as engine:
            return bool(engine.describe(part)["precision"] == spec.precision)
    except RealmError:
        return False


def _processes(key: str, settings: Settings, book: Book, table: Table, say: Say) -> None:
    info = MODELS[key]
    exported = export(info, settings.cache, say, settings.torch_device == "cuda")
    image_files(settings.cache, CORE_IMAGES, settings.seed)  # written before anybody is timed
    for spec, job in _jobs(key, exported, settings):
        units = f"{job.units} {WORKS[job.part].unit}"
        say(f"process: {info.title}, {units}, {spec.key}")
        try:
            found = run_job(job)
        except Exception as error:
            table.rows.append([info.title, units, spec.key, *[float("nan")] * 5, clean(one_line(error))])
            continue
        build = max(0.0, found["first_s"] - found["second_s"])
        note = f"{found['device_memory_mb']:.0f} MB on the GPU" if "device_memory_mb" in found else ""
        measured = [found[name] for name in ("ready_s", "first_s")]
        table.rows.append(
            [info.title, units, spec.key, *measured, build, found["second_s"], found["peak_memory_mb"], note]
        )
        book.save(settings.output / "results.json")
