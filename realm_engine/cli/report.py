"""`realm-engine report`: one folder on one page."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realm_engine.cli.options import (
    COMMAND,
    Resumable,
    engine_options,
    measure_options,
    page_options,
    resume_option,
)
from realm_engine.cli.progress import TERMINAL
from realm_engine.verbs.paths import GivenPath

if TYPE_CHECKING:
    from realm_engine.verbs.options import EngineOptions


@click.command(cls=Resumable)
@click.argument("path", metavar="DIR|CSV", type=GivenPath(path_type=Path))
@click.option(
    "--images",
    type=GivenPath(path_type=Path),
    metavar="DIR",
    help="Where the pictures of a table lie. [default: the page shows none of them]",
)
@click.option(
    "--descriptions",
    type=GivenPath(path_type=Path),
    metavar="CSV",
    help="Texts, columns filename and description. [default: image_descriptions.csv in or beside DIR]",
)
@click.option("--no-descriptions", is_flag=True, help="Look for no descriptions: score the images alone.")
@click.option(
    "--headline",
    metavar="NAME",
    help="The measure that pictures are sorted by. [default: the bundle's first, where it is taken]",
)
@measure_options
@page_options
@resume_option("Reuse the rows that an earlier or unfinished run left in --output, as score --resume does.")
@engine_options
@click.pass_context
def report(
    context: click.Context,
    path: Path,
    images: Path | None,
    descriptions: Path | None,
    no_descriptions: bool,
    headline: str | None,
    metrics: tuple[str, ...] | None,
    more: tuple[str, ...],
    batch_size: int | None,
    output: Path,
    maps: int | None,
    gallery: bool,
    resume: str | None,
    options: "EngineOptions",
) -> None:
    """Report on a folder of pictures, or a table of scores: sorted, with the best, the worst and their maps.

    Writes report.html (one file that needs nothing and fetches nothing), report.json and scores.csv. Exit code 1 when
    some pictures failed.
    """
    from realm_engine.verbs.report.run import ReportOptions, report_folder

    asked = ReportOptions(
        path=path,
        output=output,
        images=images,
        descriptions=descriptions,
        no_descriptions=no_descriptions,
        metrics=metrics,
        headline=headline,
        maps=maps,
        gallery=gallery,
        batch_size=batch_size,
        resume=resume,
        command=context.meta[COMMAND],
    )
    if report_folder(asked, replace(options, more=more), TERMINAL):
        context.exit(1)
