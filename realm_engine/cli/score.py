"""`realm-engine score`: a table of how real images look."""

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realm_engine.cli.options import engine_options, input_arguments, open_engine, say, say_descriptions
from realm_engine.cli.progress import progress
from realm_engine.errors import UsageError

if TYPE_CHECKING:
    from realm_engine.engine import Engine
    from realm_engine.verbs.score import Item


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
@engine_options
def score(
    paths: tuple[Path, ...],
    missing_text: str,
    descriptions: Path | None,
    no_descriptions: bool,
    batch_size: int | None,
    output: Path | None,
    resume: str | None,
    bundle: str,
    device: str,
    precision: str,
    fp16: bool,
    threads: int | None,
    max_memory: str | None,
) -> None:
    """Score images, or the images in directories: MOS (a z-score) and realness (0-100), higher = more real.

    Columns: filename, mos, realness, description, error. Exit code 1 when some images failed.
    """
    from realm_engine.pictures.decode import collect_images
    from realm_engine.tables.journal import check_output
    from realm_engine.verbs.score import descriptions_by_root, pair

    if resume is not None and output is None:
        raise UsageError("--resume continues a table; name it with --output FILE")
    if no_descriptions and descriptions is not None:
        raise UsageError("--no-descriptions contradicts --descriptions; give one of them")
    files = collect_images(paths)
    by_root = {} if no_descriptions else descriptions_by_root(files, descriptions)
    items = pair(files, by_root, missing_text == "error")
    if output is not None:
        check_output(output, keep=[Path(found.source) for found in by_root.values()])
    say_descriptions(items, by_root)
    with open_engine("core", bundle, device, precision, fp16, threads, max_memory) as engine:
        failed = _run(engine, items, output, resume, batch_size)
    if failed:
        say(f"{failed} of {len(items)} images failed; see the column error")
        click.get_current_context().exit(1)


def _run(
    engine: "Engine", items: list["Item"], output: Path | None, resume: str | None, batch_size: int | None
) -> int:
    """Score what is not done yet; returns how many images failed."""
    from realm_engine.tables.journal import ResultFile, ResultStream, journal_path
    from realm_engine.verbs.score import pending, pictures_now, run_identity, score_items

    table: ResultFile | ResultStream
    if output is None:
        if isinstance(sys.stdout, io.TextIOWrapper):  # any file name must get through, byte for byte
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
        table = ResultStream(sys.stdout)
    else:
        if resume is None and journal_path(output).exists():
            say(f"starting anew; --resume would have continued {journal_path(output)}")
        table = ResultFile(output, pictures_now(items), run_identity(engine), resume == "continue")
    todo = pending(items, table.done)
    if len(todo) < len(items):
        say(f"{len(items) - len(todo)} of {len(items)} images are scored already")
    failed = 0
    quiet = output is None and sys.stdout.isatty()
    try:
        with table, progress("scoring", len(todo), bar=not quiet) as advance:
            for done, row in enumerate(score_items(engine, todo, batch_size), start=1):
                table.write(row)
                failed += bool(row.error)
                advance(done)
    except KeyboardInterrupt:
        if output is not None and journal_path(output).exists():
            say(f"finished rows are kept in {journal_path(output)}; --resume continues")
        raise
    if output is not None:
        say(f"wrote {output}")
    return failed
