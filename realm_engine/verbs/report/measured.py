"""Measures pictures into the folder of a report, so that a run that was killed goes on."""

from __future__ import annotations

from collections.abc import Sequence

from realm_engine.engine import Engine
from realm_engine.pictures.inputs import Entry
from realm_engine.tables.journal import ResultFile, journal_path
from realm_engine.tables.rows import Measured, rounded
from realm_engine.verbs.console import Console
from realm_engine.verbs.report.options import PageOptions
from realm_engine.verbs.score import pending, pictures_now

ROWS = "rows.jsonl"


def measure_into(
    engine: Engine,
    entries: Sequence[Entry],
    options: PageOptions,
    console: Console,
) -> dict[str, Measured]:
    """Measure entries, keeping every row in `rows.jsonl` of the output as `score` keeps its table; rows by name.

    With `resume` rows that are there already, of the same run and pictures, are not made again. Raises OutputError.
    """
    output, columns, asked = options.output / ROWS, options.asked.columns(engine), options.asked
    resume = options.resume == "continue"
    if not resume and journal_path(output).exists():
        console.warn(f"starting anew; --resume would have continued {journal_path(output)}")
    table = ResultFile(output, pictures_now(entries), asked.identity(engine), columns, resume)
    todo = pending(entries, table.done)
    again = {entry.name for entry in todo}
    found = {name: row for name, row in table.done.items() if name not in again}
    if len(todo) < len(entries):
        console.say(f"{len(entries) - len(todo)} of {len(entries)} images are scored already")
    if not todo and table.stands:
        return found
    try:
        with table, console.progress("scoring", len(todo)) as advance:
            for done, row in enumerate(asked.rows(engine, todo, options.batch_size), start=1):
                table.write(row)
                found[row.name] = rounded(row, columns)
                advance(done)
    except KeyboardInterrupt:
        if journal_path(output).exists():
            console.say(f"finished rows are kept in {journal_path(output)}; --resume continues")
        raise
    return found
