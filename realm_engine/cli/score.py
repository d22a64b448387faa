"""`realm-engine score`: a table of how real images look."""

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realm_engine.cli.options import (
    Resumable,
    input_options,
    json_option,
    measure_options,
    output_option,
    pick_options,
    resume_option,
)
from realm_engine.cli.progress import TERMINAL
from realm_engine.verbs.paths import GivenPath

if TYPE_CHECKING:
    from realm_engine.verbs.asked import Asked
    from realm_engine.verbs.inputs import Inputs
    from realm_engine.verbs.options import EngineOptions
    from realm_engine.verbs.picked import Pick


@click.command(cls=Resumable)
@input_options
@output_option(
    type=GivenPath(path_type=Path),
    metavar="FILE",
    help="Table to write: .csv, .jsonl or .parquet. [default: CSV on stdout]",
)
@resume_option(
    "Reuse the rows that an earlier or unfinished --output holds. Compares what made it with this run (bundle, "
    "manifest, precision; where they differ, it is refused) and, for every row, the picture's size and time of change "
    "and its description (where they differ, it is scored again)."
)
@pick_options
@json_option("One JSON object per picture on stdout, a line each.")
@measure_options
def score(
    inputs: "Inputs",
    batch_size: int | None,
    output: Path | None,
    resume: str | None,
    pick: "Pick",
    as_json: bool,
    asked: "Asked",
    options: "EngineOptions",
) -> None:
    """Score images, or the images in directories: MOS (a z-score) and realness (0-100), higher = more real.

    Columns: filename, those of the measures (mos, realness), description, error. Exit code 1 when some images failed.
    """
    from realm_engine.errors import UsageError
    from realm_engine.verbs.score import ScoreOptions, score_images

    if (output is None or pick.listed) and isinstance(
        sys.stdout, io.TextIOWrapper
    ):  # any name must get through, byte for byte
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    if (output is None or pick.listed) and sys.stdout is None:
        raise UsageError("there is no standard output; give --output FILE")
    wanted = ScoreOptions(inputs, batch_size, output, resume, asked, pick, as_json)
    if score_images(wanted, options, sys.stdout, TERMINAL):
        click.get_current_context().exit(1)
