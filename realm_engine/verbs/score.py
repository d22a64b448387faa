"""The work behind `realm-engine score`: entries to a table, those that are done left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from realm_engine.engine import Engine, EngineOptions, Measured
from realm_engine.errors import UsageError
from realm_engine.machine.files import is_stream
from realm_engine.machine.memory import without_collector
from realm_engine.pictures.inputs import Entry
from realm_engine.tables.journal import ResultFile, check_output, journal_path
from realm_engine.tables.record import Picture, picture_of
from realm_engine.tables.terminal import TerminalTable
from realm_engine.tables.through import ResultStream
from realm_engine.verbs.asked import Asked
from realm_engine.verbs.console import Console, open_engine
from realm_engine.verbs.inputs import Inputs
from realm_engine.verbs.picked import Pick, Picker, check_copies, copy_pictures, write_list


@dataclass(frozen=True)
class ScoreOptions:
    """What `realm-engine score` is asked for; see its help."""

    inputs: Inputs
    batch_size: int | None
    output: Path | None
    resume: str | None
    asked: Asked = field(default_factory=Asked)
    pick: Pick = field(default_factory=Pick)
    as_json: bool = False

    def __post_init__(self) -> None:
        if self.as_json and (self.output is not None or self.pick.listed):
            other = "--list" if self.output is None else "--output"
            raise UsageError(
                f"--json is a table on standard output, {other} something else; give one of them"
            )
        if self.resume is not None and self.output is None:
            raise UsageError("--resume continues a table; name it with --output FILE")
        if self.resume is not None and self.output is not None and is_stream(self.output):
            raise UsageError(
                f"--resume continues a table; {self.output} is a pipe or a device, which keeps none: leave it out"
            )
        _ = self.inputs.texts.one  # a score takes one text


def score_images(options: ScoreOptions, how: EngineOptions, stdout: IO[str], console: Console) -> int:
    """Measure images into a table, or onto `stdout`; returns how many failed.

    Raises RealmError where nothing can be done.
    """
    seen = options.inputs.look()
    entries = seen.entries
    if options.output is not None:
        check_output(options.output, keep=seen.sources)
    seen.say(console)
    if options.pick.copy_to is not None:
        check_copies(entries, options.pick.copy_to, console)
    with open_engine(how, options.asked.part, console) as engine:
        options.asked.say(engine, console)
        failed = _fill(engine, entries, options, stdout, console)
    if failed:
        where = "" if options.pick and options.output is None else "; see the column error"
        console.say(f"{failed} of {len(entries)} images failed{where}")
    return failed


def _fill(
    engine: Engine, entries: Sequence[Entry], options: ScoreOptions, stdout: IO[str], console: Console
) -> int:
    """Measure what is not done yet."""
    output, asked = options.output, options.asked
    columns = asked.columns(engine)
    picker = Picker.of(options.pick, asked.measures(engine), columns) if options.pick else None
    table: ResultFile | ResultStream | TerminalTable
    terminal = output is None and stdout.isatty() and not options.as_json and not options.pick.listed
    if terminal and any(
        column.interval or column.curve or column.words or column.flag_above is not None for column in columns
    ):
        measures = [measure.columns for measure in asked.measures(engine)]
        table = TerminalTable(stdout, measures, [entry.name for entry in entries])
    elif output is None:
        table = ResultStream(stdout, columns, ".jsonl" if options.as_json else ".csv")
    elif is_stream(output):
        table = ResultStream.through(output, columns)
    else:
        if options.resume is None and journal_path(output).exists():
            console.warn(f"starting anew; --resume would have continued {journal_path(output)}")
        run = asked.identity(engine)
        with without_collector():
            table = ResultFile(output, pictures_now(entries), run, columns, options.resume == "continue")
    todo = pending(entries, table.done)
    if len(todo) < len(entries):
        console.say(f"{len(entries) - len(todo)} of {len(entries)} images are scored already")
    failed = 0
    again = {entry.name for entry in todo}
    kept = {name: row for name, row in table.done.items() if name not in again}
    flagged = Counter(flag for row in kept.values() for flag in row.flags)
    picked = {name for name, row in kept.items() if picker is not None and picker.fits(row)}
    stands = not todo and isinstance(table, ResultFile) and table.stands
    filled = nullcontext() if stands else table
    try:
        with filled, console.progress("scoring", len(todo), bar=not terminal) as advance:
            for done, row in enumerate(asked.rows(engine, todo, options.batch_size), start=1):
                fits = picker is not None and picker.fits(row)
                if fits:
                    picked.add(row.name)
                if picker is None or output is not None or (fits and not options.pick.listed):
                    table.write(row)
                elif row.error is not None:  # there is no row that would say so
                    console.error(f"error: {row.error}")
                failed += row.error is not None
                flagged.update(row.flags)
                advance(done)
    except KeyboardInterrupt:
        if output is not None and not is_stream(output) and journal_path(output).exists():
            console.say(f"finished rows are kept in {journal_path(output)}; --resume continues")
        raise
    if output is not None:
        console.say(f"{output} is complete, and was left as it is" if stands else f"wrote {output}")
    for column in columns:
        if flagged[column.name]:
            console.warn(
                f"{flagged[column.name]} of {len(entries)} images have {column.name} above {column.flag_above:g} "
                f"({column.meaning}): distrust their scores"
            )
    if picker is not None:
        _hand_out([entry for entry in entries if entry.name in picked], picker, len(entries), stdout, console)
    return failed


def _hand_out(picked: Sequence[Entry], picker: Picker, total: int, stdout: IO[str], console: Console) -> None:
    """Do with the pictures that were picked what is asked for."""
    console.say(f"{len(picked)} of {total} images have {picker.words}")
    if picker.pick.listed:
        write_list(picked, stdout, picker.pick.null)
    if picker.pick.copy_to is not None:
        count = copy_pictures(picked, picker.pick.copy_to)
        console.say(f"copied {count} images to {picker.pick.copy_to}")


def pictures_now(entries: Sequence[Entry]) -> dict[str, Picture | None]:
    """What lies at every entry's path now, by name."""
    return {
        entry.name: picture_of(entry.source) if isinstance(entry.source, Path) else None for entry in entries
    }


def pending(entries: Sequence[Entry], done: Mapping[str, Measured]) -> list[Entry]:
    """Entries whose row is not there yet, or was made with another description."""
    return [
        entry
        for entry in entries
        if entry.error or entry.name not in done or done[entry.name].description != (entry.text or None)
    ]
