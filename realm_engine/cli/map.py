"""`realm-engine map`: pictures and values of where images do not look real."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realm_engine.cli.options import Resumable, engine_options, input_options, output_option, resume_option
from realm_engine.cli.progress import TERMINAL
from realm_engine.verbs.paths import GivenPath

if TYPE_CHECKING:
    from realm_engine.verbs.inputs import Inputs
    from realm_engine.verbs.options import EngineOptions


@click.command("map", cls=Resumable)
@input_options
@click.option(
    "--preset",
    metavar="NAME",
    help="Windows, stride and aggregate. fast: a fifth of the windows, the rest interpolated. "
    "[default: the one the bundle recommends]",
)
@click.option(
    "--window", "windows_px", type=int, multiple=True, metavar="PX", help="Window size; may be repeated."
)
@click.option("--stride", "stride_px", type=int, metavar="PX", help="Distance between windows.")
@click.option(
    "--aggregate", type=click.Choice(["mean", "max"]), help="How several window sizes are combined."
)
@click.option(
    "--encoder",
    type=click.Choice(["auto", "each-window", "one-pass"]),
    default="auto",
    show_default=True,
    help="each-window: every window by itself; one-pass: all from one pass over the picture. auto: as the preset says.",
)
@click.option(
    "--quantity",
    type=click.Choice(["realness", "similarity"]),
    help="realness = 1 - cosine, low = unreal; similarity = cosine, high = unreal. [default: realness]",
)
@click.option(
    "--metric",
    metavar="NAME",
    help="Map where the number of this measure comes from: what every pixel adds to it. Without text and windows; "
    "realm-engine measures says which have one.",
)
@output_option(
    type=GivenPath(path_type=Path),
    default=Path("out/maps"),
    show_default=True,
    metavar="DIR",
    help="Folder to write to.",
)
@click.option(
    "--format",
    "formats",
    default="overlay,heatmap,npy,json",
    show_default=True,
    metavar="LIST",
    help="Files to write, of these and panel (original, overlay and legend side by side), contact (sheets of all "
    "pictures) and coco (the regions of all pictures as one COCO JSON).",
)
@click.option(
    "--range",
    "limits",
    type=(float, float),
    default=None,
    metavar="LOW HIGH",
    help="Values at the ends of the colours, to compare pictures. [default: each map's own]",
)
@click.option(
    "--regions",
    type=click.IntRange(min=0),
    help="Most unreal regions to frame and list. [default: as many as the bundle says, else 5]",
)
@click.option(
    "--score/--no-score",
    default=True,
    show_default=True,
    help="Whether the score of a picture stands beside its map; its weights may have other terms than the map's.",
)
@resume_option(
    "Leave maps alone that an earlier or unfinished run made in --output. Compares what made them with this run "
    "(bundle, precision, preset...; where they differ, it is refused) and, for every map, the picture's size and time "
    "of change and its texts."
)
@engine_options
def map_command(
    inputs: "Inputs",
    preset: str | None,
    windows_px: tuple[int, ...],
    stride_px: int | None,
    aggregate: str | None,
    encoder: str,
    quantity: str | None,
    metric: str | None,
    output: Path,
    formats: str,
    limits: tuple[float, float] | None,
    regions: int | None,
    score: bool,
    resume: str | None,
    options: "EngineOptions",
) -> None:
    """Map where images look unreal: per image an overlay, a heat map, the values (.npy) and a record (.json).

    A picture without a text gets the bundle's phrases that fit it best, which are named. With --metric the
    map says where that measure's number comes from, not where a picture is false.
    Exit code 1 when some images failed.
    """
    from realm_engine.verbs.map import MapOptions, map_images

    asked = MapOptions(
        inputs,
        preset,
        windows_px,
        stride_px,
        aggregate,
        quantity,
        output,
        formats,
        limits,
        regions,
        resume,
        metric,
        score,
    )
    if map_images(asked, replace(options, encoder=encoder), sys.stdout, TERMINAL):
        click.get_current_context().exit(1)
