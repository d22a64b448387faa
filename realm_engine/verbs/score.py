"""The work behind `realm-engine score`: entries to a table, those that are done left out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from realm_engine.bundle.bundle import MANIFEST
from realm_engine.bundle.columns import Column
from realm_engine.engine import Engine, EngineOptions, Measured
from realm_engine.errors import UsageError
from realm_engine.machine.files import is_stream
from realm_engine.pictures.find import look_for_images
from realm_engine.pictures.inputs import Entry, descriptions_by_root, file_entries
from realm_engine.tables.journal import ResultFile, check_output, journal_path
from realm_engine.tables.record import Picture, picture_of
from realm_engine.tables.terminal import TerminalTable
from realm_engine.tables.through import ResultStream
from realm_engine.verbs.choices import DEFAULT_PROFILE
from realm_engine.verbs.console import Console, open_engine, say_descriptions, say_left_out, say_terms


@dataclass(frozen=True)
class ScoreOptions:
    """What `realm-engine score` is asked for; see its help. `metrics` None: the bundle's first measure."""

    paths: tuple[Path, ...]
    descriptions: Path | None
    no_descriptions: bool
    missing_text: str
    metrics: tuple[str, ...] | None
    batch_size: int | None
    output: Path | None
    resume: str | None
    profile: str = DEFAULT_PROFILE

    def __post_init__(self) -> None:
        if self.resume is not None and self.output is None:
            raise UsageError("--resume continues a table; name it with --output FILE")
        if self.resume is not None and self.output is not None and is_stream(self.output):
            raise UsageError(
                f"--resume continues a table; {self.output} is a pipe or a device, which keeps none: leave it out"
            )
        if self.no_descriptions and self.descriptions is not None:
            raise UsageError("--no-descriptions contradicts --descriptions; give one of them")


def score_images(options: ScoreOptions, how: EngineOptions, stdout: IO[str], console: Console) -> int:
    """Measure images into a table, or onto `stdout`; returns how many failed.

    Raises RealmError where nothing can be done.
    """
    found = look_for_images(options.paths)
    files = found.files
    say_left_out(found, console)
    by_root = {} if options.no_descriptions else descriptions_by_root(files, options.descriptions)
    entries = file_entries(files, by_root, options.missing_text == "error")
    if options.output is not None:
        check_output(options.output, keep=[Path(used.source) for used in by_root.values()])
    say_descriptions(entries, by_root, options.paths, console)
    with open_engine(how, lambda engine: engine.chosen(options.metrics)[0].part.name, console) as engine:
        measures = engine.chosen(options.metrics, options.profile)
        say_terms({measure.name: measure.terms for measure in measures}, console)
        if options.profile != DEFAULT_PROFILE:
            names = ", ".join(measure.name for measure in measures)
            console.say(f"profile {options.profile}: {names} as the original counts, its defects included")
        failed = _fill(engine, entries, options, stdout, console)
    if failed:
        console.say(f"{failed} of {len(entries)} images failed; see the column error")
    return failed


def _fill(
    engine: Engine, entries: Sequence[Entry], options: ScoreOptions, stdout: IO[str], console: Console
) -> int:
    """Measure what is not done yet."""
    output, columns = options.output, columns_of(engine, options.metrics)
    table: ResultFile | ResultStream | TerminalTable
    terminal = output is None and stdout.isatty()
    if terminal and any(
        column.interval or column.curve or column.words or column.flag_above is not None for column in columns
    ):
        measures = [measure.columns for measure in engine.chosen(options.metrics)]
        table = TerminalTable(stdout, measures, [entry.name for entry in entries])
    elif output is None:
        table = ResultStream(stdout, columns)
    elif is_stream(output):
        table = ResultStream.through(output, columns)
    else:
        if options.resume is None and journal_path(output).exists():
            console.warn(f"starting anew; --resume would have continued {journal_path(output)}")
        run = run_identity(engine, options.metrics, options.profile)
        table = ResultFile(output, pictures_now(entries), run, columns, options.resume == "continue")
    todo = pending(entries, table.done)
    if len(todo) < len(entries):
        console.say(f"{len(entries) - len(todo)} of {len(entries)} images are scored already")
    failed = 0
    again = {entry.name for entry in todo}
    flagged = Counter(flag for name, row in table.done.items() if name not in again for flag in row.flags)
    stands = not todo and isinstance(table, ResultFile) and table.stands
    filled = nullcontext() if stands else table
    try:
        with filled, console.progress("scoring", len(todo), bar=not terminal) as advance:
            rows = engine.measure(todo, options.metrics, options.batch_size, profile=options.profile)
            for done, row in enumerate(rows, start=1):
                table.write(row)
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
    return failed


def columns_of(engine: Engine, metrics: Sequence[str] | None) -> list[Column]:
    """The columns of measures, in the order of their table. Raises as `Engine.chosen`."""
    return [column for measure in engine.chosen(metrics) for column in measure.columns]


def run_identity(
    engine: Engine, metrics: Sequence[str] | None, profile: str = DEFAULT_PROFILE
) -> dict[str, str]:
    """What must be equal for rows of two runs to stand in one table."""
    bundles = engine.bundles()
    digests = [
        hashlib.sha256((Path(used["bundle_path"]) / MANIFEST).read_bytes()).hexdigest()[:16]
        for used in bundles
    ]
    measures = ",".join(measure.name for measure in engine.chosen(metrics))
    return {
        "bundle": "+".join(str(used["bundle"]) for used in bundles),
        "manifest": "+".join(digests),
        "precision": "+".join(str(used["precision"]) for used in bundles),
        "measures": measures if profile == DEFAULT_PROFILE else f"{measures} ({profile})",
    }


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
