"""`realm-engine report`: one folder on one page."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from realm_engine.cli.options import Resumable, text_options
from realm_engine.cli.pages import page_options
from realm_engine.cli.progress import TERMINAL
from realm_engine.verbs.paths import GivenPath

if TYPE_CHECKING:
    from realm_engine.verbs.inputs import Texts
    from realm_engine.verbs.options import EngineOptions
    from realm_engine.verbs.report.options import PageOptions


@click.command(cls=Resumable)
@click.argument("path", metavar="DIR|CSV", type=GivenPath(path_type=Path))
@click.option(
    "--images",
    type=GivenPath(path_type=Path),
    metavar="DIR",
    help="Where the pictures of a table lie. [default: the page shows none of them]",
)
@text_options
@page_options(
    headline="The measure that pictures are sorted by.",
    resumes="Reuse the rows that an earlier or unfinished run left in --output, as score --resume does.",
)
@click.pass_context
def report(
    context: click.Context,
    path: Path,
    images: Path | None,
    texts: "Texts",
    page: "PageOptions",
    options: "EngineOptions",
) -> None:
    """Report on a folder of pictures, or a table of scores: sorted, with the best, the worst and their maps.

    Writes report.html (one file that needs nothing and fetches nothing), report.json and scores.csv. Exit code 1 when
    some pictures failed.
    """
    from realm_engine.verbs.report.run import ReportOptions, report_folder

    asked = ReportOptions(path=path, page=page, images=images, texts=texts)
    if report_folder(asked, options, TERMINAL):
        context.exit(1)
