"""Scores: 1 to 256 images with a description each, from files; PyTorch pads every text to 128 tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.accuracy import compare_scores
from benchmarks.cases import Descriptions, image_files
from benchmarks.contenders import CoreRunner, core_runner, fresh_texts
from benchmarks.engines import EngineCore, specs
from benchmarks.measure import one_line
from benchmarks.models import MODELS, CoreModel, Exported, ModelInfo, core_model, export
from benchmarks.peak import gflop
from benchmarks.results import Book, Case, clean
from benchmarks.settings import Settings, UnavailableError
from benchmarks.suites.common import Entry, Say, attempt, close, fastest, reference_note, time_case
from benchmarks.work import SCORES
from realm_engine.runtimes.words import Precision

COUNTS = (1, 8, 64, 256)
QUICK_COUNTS = (1, 64)
WHOLE = 64  # up to here an engine's pass may take twice as long before it is sampled
BUCKETS = (32, 64)  # of the export, beside the full length
SMALLEST_SAMPLE = {"published": 4, "eager": 8, "compile": 8, "engine": 16}
BATCHES = (1, 4, 8, 16, 32)


def run(settings: Settings, book: Book, say: Say) -> None:
    """All models with CORE."""
    for key in settings.models:
        if SCORES.name in MODELS[key].parts:
            attempt(book, f"core, {MODELS[key].title}", partial(_model, MODELS[key], settings, book, say))


def _model(info: ModelInfo, settings: Settings, book: Book, say: Say) -> None:
    exported = export(info, settings.cache, say, settings.torch_device == "cuda")
    counts = QUICK_COUNTS if settings.quick else COUNTS
    paths = image_files(settings.cache, max(counts), settings.seed)
    model: CoreModel | None = None
    work, trimmed = 0.0, 0.0
    try:
        model = core_model(info, settings.cache)
        work, trimmed = _gflop(model, model.max_tokens), _gflop(model, _bucket(model))
    except UnavailableError as error:
        book.fail(f"core, {info.title}, PyTorch", str(error))
    entries, runners = _prepare(info, model, exported, settings, paths, say)
    for images in counts:
        case = Case(SCORES.name, info.key, info.title, images)
        case.gflop_per_unit, case.peak_gflops = work, book.peaks
        case.engine_gflop_per_unit = trimmed
        case.note = reference_note(entries)
        chosen = entries if images in (1, 64) else _chosen(entries)
        calls = _calls(chosen, runners, paths, images, settings)
        say(f"{info.title}, {images} images: {len(calls)} contenders")
        time_case(case, chosen, calls, settings, headline=images == 64)
        book.cases.append(case)
        book.save(settings.output / "results.json")
    if not settings.quick:
        _batches(info, entries, runners, paths, settings, book, say)
    close(runners)


def _prepare(
    info: ModelInfo,
    model: CoreModel | None,
    exported: Exported,
    settings: Settings,
    paths: Sequence[Path],
    say: Say,
) -> tuple[list[Entry], dict[str, CoreRunner]]:
    """Build every contender and compare its scores with the published loop's in fp32 on the same images."""
    images = 8 if settings.quick else 24
    texts = next(fresh_texts(settings, images))
    entries: list[Entry] = []
    runners: dict[str, CoreRunner] = {}
    reference = None
    for spec in specs(settings, info.precisions, info.compiled and not settings.quick):
        entry = Entry(spec)
        entries.append(entry)
        say(f"{info.title}: {spec.key}")
        try:
            runner = core_runner(spec, model, exported, settings, paths[0])
            runner.score(paths[:2], ["warm up", "the second text"])
            before = time.perf_counter()
            values = runner.score(paths[:images], texts)
            entry.unit_s = (time.perf_counter() - before) / images
            reference = values if reference is None else reference
            entry.how, entry.accuracy = runner.how, compare_scores(values, reference)
            runners[spec.key] = runner
        except Exception as error:
            entry.error = clean(one_line(error))
    return entries, runners


def _chosen(entries: Sequence[Entry]) -> list[Entry]:
    best = [fastest(entries, "engine", precision) for precision in Precision]
    keep = {id(entry) for entry in best if entry is not None}
    return [entry for entry in entries if id(entry) in keep or entry.spec.family in ("published", "eager")]


def _calls(
    entries: Sequence[Entry],
    runners: dict[str, CoreRunner],
    paths: Sequence[Path],
    images: int,
    settings: Settings,
) -> dict[str, tuple[Callable[[], object], int]]:
    calls: dict[str, tuple[Callable[[], object], int]] = {}
    for entry in entries:
        runner = runners.get(entry.spec.key)
        if runner is None:
            continue
        affordable = int(settings.pass_s / max(entry.unit_s, 1e-9))
        count = min(images, max(SMALLEST_SAMPLE[entry.spec.family], affordable))
        if isinstance(runner, EngineCore):
            if not settings.quick and images <= WHOLE and entry.unit_s * images < 2 * settings.pass_s:
                count = images
        elif count < images:  # whole batches only
            batch = runner.tower.batch
            count = min(images, max(count // batch, 1) * batch)
        calls[entry.spec.key] = partial(_pass, runner, paths, count, fresh_texts(settings, count)), count
    return calls


def _pass(runner: CoreRunner, paths: Sequence[Path], count: int, texts: Iterator[list[str]]) -> object:
    return runner.score(paths[:count], next(texts))


def _batches(
    info: ModelInfo,
    entries: Sequence[Entry],
    runners: dict[str, CoreRunner],
    paths: Sequence[Path],
    settings: Settings,
    book: Book,
    say: Say,
) -> None:
    """Throughput of the engine's fastest precision by batch size."""
    best = fastest(entries, "engine")
    runner = runners.get(best.spec.key) if best is not None else None
    if best is None or not isinstance(runner, EngineCore):
        return
    case = Case(SCORES.name, info.key, info.title, 32, variation="batch size")
    say(f"{info.title}: 32 images by batch size")
    calls: dict[str, tuple[Callable[[], object], int]] = {}
    rows: list[Entry] = []
    texts = fresh_texts(settings, 32)

    def score(batch: int) -> object:
        runner.batch = batch
        return runner.score(paths[:32], next(texts))

    for batch in BATCHES:
        entry = Entry(replace(best.spec, variation=f"batches of {batch}"), runner.how)
        rows.append(entry)
        calls[entry.spec.key] = partial(score, batch), 32
    time_case(case, rows, calls, settings)
    runner.batch = None
    book.cases.append(case)


def _bucket(model: CoreModel) -> int:
    """The padded length at which the engine runs texts like these: a share of its arithmetic is not done."""
    longest = max(len(encoding.ids) for encoding in model.tokenizer.encode_batch(Descriptions(0)(64)))
    return next((length for length in BUCKETS if length >= longest), model.max_tokens)


def _gflop(model: CoreModel, tokens: int) -> float:
    import torch

    pixels = torch.zeros(1, 3, model.height_px, model.width_px)
    ids = torch.ones(1, tokens, dtype=torch.int64)
    return gflop(model.module, pixels, ids, torch.ones_like(ids))
