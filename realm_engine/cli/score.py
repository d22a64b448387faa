"""`realm-engine score`: a table of how real images look."""

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realm_engine.cli.options import engine_options, input_arguments, open_engine, say, say_descriptions
from realm_engine.cli.progress import progress
from realm_engine.errors import UsageError

if TYPE_CHECKING:
    from realm_engine.engine import Engine, EngineOptions
    from realm_engine.pictures.inputs import Entry


class _Score(click.Command):
    """Gives a bare --resume its value: click would take the word after it, `--resume PATH`, for one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        given = ["--resume=continue" if word == "--resume" else word for word in args[:end]]
        return super().parse_args(ctx, given + args[end:])


@click.command(cls=_Score)
@input_arguments
@click.option(
    "--descriptions",
    type=click.Path(path_type=Path),
    metavar="CSV",
    help="Texts, columns filename and description. [default: image_descriptions.csv in or beside PATH]",
)
@click.option("--no-descriptions", is_flag=True, help="Look for no descriptions: score the images alone.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Images of one call; changes no result. [default: as tuned, else 8, on a GPU 32]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Table to write: .csv, .jsonl or .parquet. [default: CSV on stdout]",
)
@click.option(
    "--resume",
    type=click.Choice(["continue", "restart"]),
    metavar="[=restart]",
    help="Reuse the rows that an earlier or unfinished --output holds. Compares what made it with this run (bundle, "
    "manifest, precision; where they differ, it is refused) and, for every row, the picture's size and time of change "
    "and its description (where they differ, it is scored again). --resume=restart begins anew.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME[,NAME...]",
    help="Measures to take, all from one decode; realm-engine measures lists them. [default: the bundle's first]",
)
@click.option(
    "--with",
    "more",
    multiple=True,
    metavar="NAME|DIR",
    help="A further bundle whose measures --metric may name; may be repeated.",
)
@engine_options
def score(
    paths: tuple[Path, ...],
    missing_text: str,
    descriptions: Path | None,
    no_descriptions: bool,
    batch_size: int | None,
    output: Path | None,
    resume: str | None,
    metrics: tuple[str, ...],
    more: tuple[str, ...],
    options: "EngineOptions",
) -> None:
    """Score images, or the images in directories: MOS (a z-score) and realness (0-100), higher = more real.

    Columns: filename, those of the measures (mos, realness), description, error. Exit code 1 when some images failed.
    """
    from realm_engine.pictures.decode import collect_images
    from realm_engine.pictures.inputs import descriptions_by_root, file_entries
    from realm_engine.tables.journal import check_output

    if resume is not None and output is None:
        raise UsageError("--resume continues a table; name it with --output FILE")
    if no_descriptions and descriptions is not None:
        raise UsageError("--no-descriptions contradicts --descriptions; give one of them")
    names = [name.strip() for given in metrics for name in given.split(",") if name.strip()] or None
    files = collect_images(paths)
    by_root = {} if no_descriptions else descriptions_by_root(files, descriptions)
    entries = file_entries(files, by_root, missing_text == "error")
    if output is not None:
        check_output(output, keep=[Path(found.source) for found in by_root.values()])
    say_descriptions(entries, by_root)
    with open_engine(replace(options, more=more), lambda e: e.chosen(names)[0].part.name) as engine:
        failed = _run(engine, entries, output, resume, names, batch_size)
    if failed:
        say(f"{failed} of {len(entries)} images failed; see the column error")
        click.get_current_context().exit(1)


def _run(
    engine: "Engine",
    entries: list["Entry"],
    output: Path | None,
    resume: str | None,
    metrics: list[str] | None,
    batch_size: int | None,
) -> int:
    """Score what is not done yet; returns how many images failed."""
    from realm_engine.tables.journal import ResultFile, ResultStream, journal_path
    from realm_engine.verbs.score import columns_of, fill, pending, pictures_now, run_identity

    table: ResultFile | ResultStream
    columns = columns_of(engine, metrics)
    if output is None:
        if isinstance(sys.stdout, io.TextIOWrapper):  # any file name must get through, byte for byte
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
        table = ResultStream(sys.stdout, columns)
    else:
        if resume is None and journal_path(output).exists():
            say(f"starting anew; --resume would have continued {journal_path(output)}")
        run = run_identity(engine, metrics)
        table = ResultFile(output, pictures_now(entries), run, columns, resume == "continue")
    todo = pending(entries, table.done)
    if len(todo) < len(entries):
        say(f"{len(entries) - len(todo)} of {len(entries)} images are scored already")
    quiet = output is None and sys.stdout.isatty()
    try:
        with table, progress("scoring", len(todo), bar=not quiet) as advance:
            failed = fill(engine, table, todo, metrics, batch_size, advance)
    except KeyboardInterrupt:
        if output is not None and journal_path(output).exists():
            say(f"finished rows are kept in {journal_path(output)}; --resume continues")
        raise
    if output is not None:
        say(f"wrote {output}")
    return failed
