"""Fewer windows for nearly the same map: the error against the full grid over real images and descriptions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmarks import names
from benchmarks.accuracy import compare_maps
from benchmarks.cases import described_images
from benchmarks.engines import EACH_WINDOW, Spec, open_engine
from benchmarks.models import MODELS, export
from benchmarks.results import Book, Table
from benchmarks.settings import Settings
from benchmarks.suites.common import Say
from realm_engine import Engine
from realm_engine.maps.realness_map import DreamConfig, RealnessMap
from realm_engine.pictures.decode import load_image

FRACTIONS = (0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7)
QUICK_FRACTIONS = (0.05, 0.1, 0.2, 0.4)
STRIDES_PX = (12, 16, 24, 32)


def run(settings: Settings, book: Book, say: Say) -> None:
    """The trade-off of the embedded default, window by window; the others have no maps worth keeping."""
    if "tiny" not in settings.models:
        say("fast: measured on the embedded default only, which is not among --models")
        return
    found = described_images(settings.images)
    if not found:
        book.fail("fast", f"no image_descriptions.csv with images in {settings.images.name}")
        return
    exported = export(MODELS["tiny"], settings.cache, say, settings.torch_device == "cuda")
    raw = Table(
        "fast",
        names.FAST_IMAGES,
        ["image", "method", "setting", "windows", "share", "pearson", "spearman", "max_abs_diff", "seconds"],
    )
    with open_engine(
        exported.bundle, Spec("engine", settings.devices[0], "fp32", EACH_WINDOW), settings.threads
    ) as engine:
        for path, text in found[: 3 if settings.quick else len(found)]:
            say(f"fast: {path.name}")
            image = load_image(path)
            full, seconds = _timed(engine, image, text, DreamConfig())
            raw.rows.append([path.name, "full grid", 1.0, full.windows, 1.0, 1.0, 1.0, 0.0, seconds])
            for method, setting, config in _configurations(settings.quick):
                result, seconds = _timed(engine, image, text, config)
                both = full.covered & result.covered
                compared = compare_maps(result.values[both], full.values[both])
                share = result.windows / full.windows
                raw.rows.append(
                    [path.name, method, setting, result.windows, share, *compared.values(), seconds]
                )
    book.tables += [_summary(raw), raw]


def _configurations(quick: bool) -> Iterator[tuple[str, float, DreamConfig]]:
    base = DreamConfig()
    for fraction in QUICK_FRACTIONS if quick else FRACTIONS:
        yield names.FRACTION, fraction, replace(base, fraction=fraction)
    fast = base.faster()
    yield names.PRESET, fast.fraction, fast
    for stride in STRIDES_PX:
        yield names.STRIDE, float(stride), replace(base, stride_px=stride)


def _timed(
    engine: Engine, image: np.ndarray, text: str, config: DreamConfig
) -> tuple[RealnessMap, float]:  # seconds of one pass, the second where sessions were just opened
    engine.map(image, text, DreamConfig((64,), 128))
    before = time.perf_counter()
    result = engine.map(image, text, config)
    return result, time.perf_counter() - before


def _summary(raw: Table) -> Table:
    """Over images: medians and the worst."""
    table = Table(
        "fast",
        names.CURVE,
        [
            "method",
            "setting",
            "share",
            "pearson_median",
            "pearson_min",
            "spearman_median",
            "spearman_min",
            "max_abs_diff",
            "speedup",
            "images",
        ],
    )
    records = raw.records()
    full = {row["image"]: row["seconds"] for row in records if row["method"] == "full grid"}
    for method, setting in dict.fromkeys((row["method"], row["setting"]) for row in records):
        rows = [row for row in records if (row["method"], row["setting"]) == (method, setting)]
        column = {name: [float(row[name]) for row in rows] for name in ("share", "pearson", "spearman")}
        table.rows.append(
            [
                method,
                setting,
                float(np.mean(column["share"])),
                float(np.median(column["pearson"])),
                min(column["pearson"]),
                float(np.median(column["spearman"])),
                min(column["spearman"]),
                max(row["max_abs_diff"] for row in rows),
                float(np.median([full[row["image"]] / row["seconds"] for row in rows])),
                len(rows),
            ]
        )
    return table
