"""Maps: 165, 2337 and 26227 windows of a 512 x 384 image, every contender on the same weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from benchmarks.accuracy import compare_maps
from benchmarks.cases import GRIDS, HEIGHT, WIDTH, count, picture, thin
from benchmarks.contenders import DreamRunner
from benchmarks.contenders import dream_runner as build
from benchmarks.eager import TorchDream, TorchOnePass
from benchmarks.engines import EACH_WINDOW, FORWARD_ALONE, ONE_PASS, specs
from benchmarks.measure import one_line
from benchmarks.models import MODELS, DreamModel, Exported, ModelInfo, dream_model, export
from benchmarks.peak import gflop
from benchmarks.results import Book, Case, clean
from benchmarks.settings import Settings
from benchmarks.suites.common import Entry, Say, attempt, close, fastest, reference_note, time_case
from benchmarks.work import MAPS
from realm_engine.arrays import UInt8
from realm_engine.maps.realness_map import DreamConfig

# Windows of the maps that are compared with the published loop: what it does in some 20 s on two cores. Those of
# 48 and 15 do not overlap, so that their map is the similarities themselves, which nothing averages.
ACCURACY_WINDOWS = {"tiny": 2337, "vitb32": 48, "vitb16": 15, "vitl14": 15}
QUICK_ACCURACY_WINDOWS = {"tiny": 700, "vitb32": 48, "vitb16": 15, "vitl14": 15}
# Who is measured whole in which case, however long a pass takes: the README quotes it.
WHOLE = {
    ("vitb32", 165): ("published", "engine"),
    **{("tiny", windows): ("engine",) for windows in (165, 2337, 26227)},
}
SMALLEST_SAMPLE = 48
PUBLISHED_WINDOWS = (165, 2337, 26227)
QUICK_WINDOWS = {"tiny": (165, 2337)}


def run(settings: Settings, book: Book, say: Say) -> None:
    """All models with DREAM, all window counts."""
    for key in settings.models:
        if MAPS.name in MODELS[key].parts:
            attempt(
                book,
                f"dream, {MODELS[key].title}",
                partial(_model, MODELS[key], settings, book, say),
            )


def _model(info: ModelInfo, settings: Settings, book: Book, say: Say) -> None:
    exported = export(info, settings.cache, say, settings.torch_device == "cuda")
    model = dream_model(info, exported.bundle)
    size = model.preprocess.size
    work = gflop(model.tower, torch.zeros(1, 3, size, size))
    entries, runners = prepare(info, model, exported, settings, say)
    for windows in window_counts(info, settings):
        case = Case(MAPS.name, info.key, info.title, windows)
        case.gflop_per_unit, case.peak_gflops = work, book.peaks
        case.note = reference_note(entries)
        chosen = _chosen(entries, windows, settings)
        calls = _calls(info, chosen, runners, windows, settings)
        say(f"{info.title}, {windows} windows: {len(calls)} contenders")
        time_case(case, chosen, calls, settings, headline=windows == 165)
        book.cases.append(case)
        book.save(settings.output / "results.json")
    close(runners)


def window_counts(info: ModelInfo, settings: Settings) -> tuple[int, ...]:
    """The window counts of a model: those asked for, else the published ones, as far as it can afford them."""
    published = QUICK_WINDOWS.get(info.key, (165,)) if settings.quick else PUBLISHED_WINDOWS
    most = max(GRIDS) if settings.torch_device == "cuda" else info.most_windows
    affordable = tuple(n for n in settings.windows or published if n <= most)
    return affordable or (info.most_windows,)


def prepare(
    info: ModelInfo, model: DreamModel, exported: Exported, settings: Settings, say: Say
) -> tuple[list[Entry], dict[str, DreamRunner]]:
    """Build every contender, warm it up, and compare its map with the published loop's in fp32."""
    table = QUICK_ACCURACY_WINDOWS if settings.quick else ACCURACY_WINDOWS
    windows = min(table[info.key], max(window_counts(info, settings)))
    config = thin(GRIDS[min(grid for grid in GRIDS if grid >= windows)], windows)
    image, few = picture(), thin(config, 2)
    entries, runners, reference = [], {}, None
    compiled = info.compiled and not settings.quick
    for spec in specs(settings, info.precisions, compiled, forward_alone=True, one_pass=info.one_pass):
        entry = Entry(spec)
        entries.append(entry)
        say(f"{info.title}: {spec.key}")
        try:
            runner = build(spec, model, exported, settings)
            runner.map(image, few)
            before = time.perf_counter()
            values = runner.map(image, config)
            entry.unit_s = (time.perf_counter() - before) / count(config, *image.shape[:2])
            entry.how, runners[spec.key] = runner.how, runner
            if spec.variation == FORWARD_ALONE:
                continue
            reference = values if reference is None else reference
            entry.accuracy = compare_maps(values, reference)
        except Exception as error:
            entry.error = clean(one_line(error))
    return entries, runners


def _chosen(entries: Sequence[Entry], windows: int, settings: Settings) -> list[Entry]:
    """All contenders on the small grids; on the large ones two baselines, the engine's best and its best in fp32.

    Of a model with two ways to encode windows both are kept.
    """
    if windows <= 165:
        return list(entries)
    best = [fastest(entries, "engine"), fastest(entries, "engine", "fp32")]
    keep = {id(entry) for entry in best if entry is not None}
    return [
        entry
        for entry in entries
        if id(entry) in keep
        or entry.spec.family == "published"
        or entry.spec.variation in (ONE_PASS, EACH_WINDOW)
        or (entry.spec.family == "eager" and entry.spec.precision == settings.half)
    ]


def _calls(
    info: ModelInfo,
    entries: Sequence[Entry],
    runners: dict[str, DreamRunner],
    windows: int,
    settings: Settings,
) -> dict[str, tuple[Callable[[], object], int]]:
    """One pass of each contender: the whole case where it is short enough, else a sample of its windows."""
    image, config = picture(WIDTH, HEIGHT), GRIDS[windows]
    calls: dict[str, tuple[Callable[[], object], int]] = {}
    for entry in entries:
        runner = runners.get(entry.spec.key)
        if runner is None:
            continue
        affordable = max(1, int(settings.pass_s / max(entry.unit_s, 1e-9)))
        full = info.key == "tiny" or not settings.quick
        wanted = WHOLE.get((info.key, windows), ()) if full else ()
        whole = affordable >= windows or (entry.spec.family in wanted and entry.spec.variation != EACH_WINDOW)
        calls[entry.spec.key] = _call(
            runner, image, config, windows if whole else affordable, whole, settings
        )
    return calls


def _call(
    runner: DreamRunner, image: UInt8, config: DreamConfig, windows: int, whole: bool, settings: Settings
) -> tuple[Callable[[], object], int]:
    total = count(config, *image.shape[:2])
    if isinstance(runner, TorchOnePass):
        return partial(runner.map, image, config), total
    if isinstance(runner, TorchDream):
        windows = max(windows // runner.tower.batch, 1) * runner.tower.batch
        if whole or windows >= total:  # a sample of whole batches may be more than there is
            return partial(runner.map, image, config), total
        draw = np.random.default_rng(settings.seed)
        return partial(runner.sample, image, config, windows, draw), windows
    # At least more than one call of the engine's, or its sample would say nothing of a whole map.
    config = config if whole else thin(config, max(windows, SMALLEST_SAMPLE))
    return partial(runner.fresh, image, config), count(config, *image.shape[:2])
