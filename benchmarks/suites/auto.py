"""What `auto` takes where nobody has tuned, beside everything that `tune` measures on this machine."""

from __future__ import annotations

from functools import partial

from benchmarks import names
from benchmarks.models import MODELS, ModelInfo, export
from benchmarks.results import Book, Table
from benchmarks.settings import Settings, UnavailableError
from benchmarks.suites.common import Say, attempt
from realm_engine.bundle.bundle import Bundle
from realm_engine.opened import Contents
from realm_engine.pictures.find import find_images
from realm_engine.runtimes.choose import PartPlan, choose_plans
from realm_engine.runtimes.measured import Measured
from realm_engine.verbs.fidelity import make_trial
from realm_engine.verbs.tune import tune

COLUMNS = ["model", "part", "unit", "auto", "auto_per_s", "why", "tune", "tune_per_s", "share"]


def run(settings: Settings, book: Book, say: Say) -> None:
    """One row for each part of each model."""
    table = Table("auto", names.AUTO, COLUMNS)
    book.tables.append(table)
    for key in settings.models:
        attempt(book, f"auto, {MODELS[key].title}", partial(_model, MODELS[key], settings, table, say))
        book.save(settings.output / "results.json")


def _model(info: ModelInfo, settings: Settings, table: Table, say: Say) -> None:
    name = export(info, settings.cache, say, settings.torch_device == "cuda").bundle
    contents = Contents(Bundle.open(name))
    plans = choose_plans(contents.bundle, contents.parts, "auto", "auto", settings.threads, None)
    say(f"{info.title}: everything that tune tries")
    trial = make_trial(find_images(settings.images))
    measured = tuple(tune(name, trial, "auto", settings.threads, say))
    for part, plan in plans.items():
        best, chosen = compare(part, plan, measured)
        table.rows.append(
            [
                info.title,
                part,
                "windows" if contents.makes_maps(part) else "images",
                f"{plan.precision} on {plan.backend.device}",
                chosen.per_second,
                plan.why,
                f"{best.precision} on {best.device}",
                best.per_second,
                chosen.per_second / best.per_second,
            ]
        )


def compare(part: str, plan: PartPlan, measured: tuple[Measured, ...]) -> tuple[Measured, Measured]:
    """The fastest way of a part that is good enough, and the way of its plan. Raises UnavailableError."""
    ways = [one for one in measured if one.part == part]
    good = [one for one in ways if one.passes]
    planned = (plan.backend.device, plan.precision)
    chosen = [one for one in ways if (one.device, one.precision) == planned]
    if not good or not chosen:
        raise UnavailableError(f"{part}: {plan.precision} on {plan.backend.device} could not be measured")
    return max(good, key=lambda one: one.per_second), chosen[0]
