"""Images of 256 to 4096 pixels a side: maps and scores of the embedded default on every device."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks import names
from benchmarks.cases import TEXT, count, picture
from benchmarks.measure import Contender, run_rounds
from benchmarks.models import MODELS, export
from benchmarks.results import Book, Table, clean
from benchmarks.settings import Settings
from benchmarks.suites.common import Say
from realm_engine import Engine
from realm_engine.maps.realness_map import DreamConfig

SIDES_PX = (256, 512, 1024, 2048, 4096)
QUICK_SIDES_PX = (256, 1024)
CONFIG = DreamConfig((64,), 32)  # a fixed stride: windows grow with the area


def run(settings: Settings, book: Book, say: Say) -> None:
    """One table: seconds of a map and of a score by image size."""
    if "tiny" not in settings.models:
        say("sizes: measured on the embedded default only, which is not among --models")
        return
    exported = export(MODELS["tiny"], settings.cache, say, settings.torch_device == "cuda")
    table = Table(
        "sizes",
        names.SIZES,
        ["side_px", "device", "precision", "windows", "map_s", "windows_per_s", "score_s", "note"],
    )
    book.tables.append(table)
    for side in QUICK_SIDES_PX if settings.quick else SIDES_PX:
        say(f"sizes: {side} px")
        image = picture(side, side)
        windows = count(CONFIG, side, side)
        engines: dict[str, Engine] = {}
        calls: list[Contender] = []
        for device in settings.devices:
            engine = Engine.open(exported.bundle, device, "auto", settings.threads, "64G", tuned=False)
            engines[device] = engine
            engine.map(picture(256, 256), TEXT, CONFIG)  # sessions are built before anybody is timed
            _score(engine, picture(256, 256))
            calls += [Contender(f"{kind} {device}", call) for kind, call in _passes(engine, image)]
        samples = run_rounds(calls, 1, settings.repeats, settings.budget_s, warm_up=0)
        for device, engine in engines.items():
            mapped, scored = samples[f"map {device}"], samples[f"score {device}"]
            map_s, score_s = (
                float(np.median(found.seconds)) if found.seconds else float("nan")
                for found in (mapped, scored)
            )
            used = str(engine.describe()["precision"])
            note = clean("; ".join(filter(None, (mapped.error, scored.error))))
            table.rows.append([side, device, used, windows, map_s, windows / map_s, score_s, note])
            engine.close()
        book.save(settings.output / "results.json")


def _passes(engine: Engine, image: np.ndarray) -> list[tuple[str, Callable[[], object]]]:
    return [
        ("map", partial(engine.map, image, TEXT, CONFIG)),
        ("score", partial(_score, engine, image)),
    ]


def _score(engine: Engine, image: np.ndarray) -> float:
    (score,) = engine.score([image], [TEXT])
    if score.mos is None:
        raise RuntimeError(score.error)
    return float(score.mos)
