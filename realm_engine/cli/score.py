"""`realm-engine score`: a table of how real images look."""

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realm_engine.cli.options import (
    Resumable,
    engine_options,
    input_arguments,
    measure_options,
    resume_option,
)
from realm_engine.cli.progress import TERMINAL
from realm_engine.verbs.choices import DEFAULT_PROFILE, PROFILES
from realm_engine.verbs.paths import GivenPath

if TYPE_CHECKING:
    from realm_engine.verbs.options import EngineOptions


@click.command(cls=Resumable)
@input_arguments
@click.option(
    "--descriptions",
    type=GivenPath(path_type=Path),
    metavar="CSV",
    help="Texts, columns filename and description. [default: image_descriptions.csv in or beside PATH]",
)
@click.option("--no-descriptions", is_flag=True, help="Look for no descriptions: score the images alone.")
@click.option(
    "--output",
    type=GivenPath(path_type=Path),
    metavar="FILE",
    help="Table to write: .csv, .jsonl or .parquet. [default: CSV on stdout]",
)
@resume_option(
    "Reuse the rows that an earlier or unfinished --output holds. Compares what made it with this run (bundle, "
    "manifest, precision; where they differ, it is refused) and, for every row, the picture's size and time of change "
    "and its description (where they differ, it is scored again)."
)
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default=DEFAULT_PROFILE,
    show_default=True,
    help="published: the numbers of a measure's original, its defects included, to compare with its tables.",
)
@measure_options
@engine_options
def score(
    paths: tuple[Path, ...],
    missing_text: str,
    descriptions: Path | None,
    no_descriptions: bool,
    batch_size: int | None,
    output: Path | None,
    resume: str | None,
    metrics: tuple[str, ...] | None,
    more: tuple[str, ...],
    profile: str,
    options: "EngineOptions",
) -> None:
    """Score images, or the images in directories: MOS (a z-score) and realness (0-100), higher = more real.

    Columns: filename, those of the measures (mos, realness), description, error. Exit code 1 when some images failed.
    """
    from realm_engine.errors import UsageError
    from realm_engine.verbs.score import ScoreOptions, score_images

    if output is None and isinstance(
        sys.stdout, io.TextIOWrapper
    ):  # any name must get through, byte for byte
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    if output is None and sys.stdout is None:
        raise UsageError("there is no standard output; give --output FILE")
    asked = ScoreOptions(
        paths, descriptions, no_descriptions, missing_text, metrics, batch_size, output, resume, profile
    )
    if score_images(asked, replace(options, more=more), sys.stdout, TERMINAL):
        click.get_current_context().exit(1)
