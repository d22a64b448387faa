"""The work behind `realm-engine score`: entries to a table, those that are done left out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from realm_engine.bundle.bundle import MANIFEST
from realm_engine.bundle.manifest import Column
from realm_engine.engine import Engine
from realm_engine.pictures.inputs import Entry
from realm_engine.tables.journal import ResultFile, ResultStream
from realm_engine.tables.record import Picture, picture_of
from realm_engine.tables.rows import Measured


def columns_of(engine: Engine, metrics: Sequence[str] | None) -> list[Column]:
    """The columns of measures, in the order of their table. Raises as `Engine.chosen`."""
    return [column for measure in engine.chosen(metrics) for column in measure.columns]


def run_identity(engine: Engine, metrics: Sequence[str] | None) -> dict[str, str]:
    """What must be equal for rows of two runs to stand in one table."""
    bundles = engine.bundles()
    digests = [
        hashlib.sha256((Path(used["bundle_path"]) / MANIFEST).read_bytes()).hexdigest()[:16]
        for used in bundles
    ]
    return {
        "bundle": "+".join(str(used["bundle"]) for used in bundles),
        "manifest": "+".join(digests),
        "precision": "+".join(str(used["precision"]) for used in bundles),
        "measures": ",".join(measure.name for measure in engine.chosen(metrics)),
    }


def pictures_now(entries: Sequence[Entry]) -> dict[str, Picture | None]:
    """What lies at every entry's path now, by name."""
    return {entry.name: picture_of(Path(str(entry.source))) for entry in entries}


def pending(entries: Sequence[Entry], done: Mapping[str, Measured]) -> list[Entry]:
    """Entries whose row is not there yet, or was made with another description."""
    return [
        entry
        for entry in entries
        if entry.error or entry.name not in done or done[entry.name].description != (entry.text or None)
    ]


def fill(
    engine: Engine,
    table: ResultFile | ResultStream,
    todo: Sequence[Entry],
    metrics: Sequence[str] | None,
    batch_size: int | None,
    advance: Callable[[int], None],
) -> int:
    """Measure entries into an open table; returns how many failed. `advance` is told how many are done.

    Raises as `Engine.measure`, and OutputError when the table cannot be written.
    """
    failed = 0
    for done, row in enumerate(engine.measure(todo, metrics, batch_size), start=1):
        table.write(row)
        failed += row.error is not None
        advance(done)
    return failed
