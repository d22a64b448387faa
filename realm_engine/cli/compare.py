"""`realm-engine compare`: which generator is better, and how sure that is."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from realm_engine.cli.options import Resumable
from realm_engine.cli.pages import page_options
from realm_engine.cli.progress import TERMINAL
from realm_engine.verbs.paths import GivenPath

if TYPE_CHECKING:
    from realm_engine.verbs.options import EngineOptions
    from realm_engine.verbs.report.options import PageOptions


@click.command(cls=Resumable)
@click.argument("folders", nargs=-1, metavar="[NAME=]DIR|PATTERN...")
@click.option(
    "--table",
    type=GivenPath(path_type=Path),
    metavar="CSV",
    help="Pictures instead of folders: filename,generator[,prompt].",
)
@click.option(
    "--scores",
    type=GivenPath(path_type=Path),
    metavar="CSV",
    help="Finished scores instead of pictures: generator,filename[,prompt],<columns>[,error].",
)
@click.option(
    "--prompts",
    type=GivenPath(path_type=Path),
    metavar="CSV",
    help="Prompts of the pictures: filename,prompt.",
)
@click.option(
    "--descriptions",
    type=GivenPath(path_type=Path),
    metavar="CSV",
    help="Texts of all folders: filename,description. [default: pictures are compared alone]",
)
@click.option(
    "--paired",
    type=click.Choice(["yes", "no"]),
    help="Compare within prompts, or file names. [default: where 80 % of each folder have partners]",
)
@click.option(
    "--better",
    multiple=True,
    metavar="COLUMN=high|low",
    help="Which way is better in a column of --scores that no bundle knows; may be repeated.",
)
@click.option(
    "--reference",
    type=GivenPath(path_type=Path),
    metavar="DIR",
    help="Photographs: how far each generator's pictures are from them as a set.",
)
@click.option(
    "--set",
    "sets",
    type=click.Choice(["kd", "fd"]),
    multiple=True,
    default=("kd",),
    show_default=True,
    help="Distance from --reference: kd, or fd, which needs two pictures for every feature.",
)
@page_options(
    headline="The measure that the page is about.",
    resumes="Reuse the rows that an earlier or unfinished run left in --output: a further folder costs only itself. "
    "What made them is compared as by score --resume.",
)
@click.pass_context
def compare(
    context: click.Context,
    folders: tuple[str, ...],
    table: Path | None,
    scores: Path | None,
    prompts: Path | None,
    descriptions: Path | None,
    paired: str | None,
    better: tuple[str, ...],
    reference: Path | None,
    sets: tuple[str, ...],
    page: "PageOptions",
    options: "EngineOptions",
) -> None:
    """Compare generators by folders of their pictures: which is better, by how much, and how sure that is.

    Writes report.html (one file that needs nothing and fetches nothing), report.json and scores.csv. Exit code 1 when
    some pictures failed.
    """
    from realm_engine.verbs.compare.run import CompareOptions, compare_generators

    asked = CompareOptions(
        page=page,
        folders=folders,
        table=table,
        scores=scores,
        prompts=prompts,
        descriptions=descriptions,
        paired=None if paired is None else paired == "yes",
        better=better,
        reference=reference,
        sets=sets,
    )
    if compare_generators(asked, options, TERMINAL):
        context.exit(1)
