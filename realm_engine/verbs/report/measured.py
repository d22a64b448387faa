"""Measures pictures into the folder of a report, so that a run that was killed goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from realm_engine.engine import Engine
from realm_engine.pictures.inputs import Entry
from realm_engine.tables.journal import ResultFile, journal_path
from realm_engine.tables.rows import Measured, rounded
from realm_engine.verbs.console import Console
from realm_engine.verbs.score import columns_of, pending, pictures_now, run_identity

ROWS = "rows.jsonl"


def measure_into(
    folder: Path,
    engine: Engine,
    entries: Sequence[Entry],
    metrics: Sequence[str] | None,
    batch_size: int | None,
    resume: bool,
    console: Console,
) -> dict[str, Measured]:
    """Measure entries, keeping every row in `rows.jsonl` of the folder as `score` keeps its table; rows by name.

    `resume`: rows that are there already, of the same run and pictures, are not made again. Raises OutputError.
    """
    output, columns = folder / ROWS, columns_of(engine, metrics)
    if not resume and journal_path(output).exists():
        console.warn(f"starting anew; --resume would have continued {journal_path(output)}")
    table = ResultFile(output, pictures_now(entries), run_identity(engine, metrics), columns, resume)
    todo = pending(entries, table.done)
    again = {entry.name for entry in todo}
    found = {name: row for name, row in table.done.items() if name not in again}
    if len(todo) < len(entries):
        console.say(f"{len(entries) - len(todo)} of {len(entries)} images are scored already")
    if not todo and table.stands:
        return found
    try:
        with table, console.progress("scoring", len(todo)) as advance:
            for done, row in enumerate(engine.measure(todo, metrics, batch_size), start=1):
                table.write(row)
                found[row.name] = rounded(row, columns)
                advance(done)
    except KeyboardInterrupt:
        if journal_path(output).exists():
            console.say(f"finished rows are kept in {journal_path(output)}; --resume continues")
        raise
    return found
