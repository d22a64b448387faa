"""`realm-engine map`: pictures and values of where images do not look real."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realm_engine.cli.options import engine_options, input_arguments, open_engine, say, say_descriptions
from realm_engine.cli.progress import progress, rate
from realm_engine.errors import UsageError

if TYPE_CHECKING:
    from realm_engine.engine import EngineOptions
    from realm_engine.maps.stream import Mapped


@click.command("map")
@input_arguments
@click.option(
    "--text", "texts", multiple=True, help="What looks unreal. Given several times: the mean of their maps."
)
@click.option(
    "--descriptions",
    type=click.Path(path_type=Path),
    metavar="CSV",
    help="A text per image, columns filename and description. [default: the bundle's phrases that fit best]",
)
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
    "--quantity",
    type=click.Choice(["realness", "similarity"]),
    default="realness",
    show_default=True,
    help="realness = 1 - cosine, low = unreal; similarity = cosine, high = unreal.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
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
    help="Files to write.",
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
    default=5,
    show_default=True,
    help="Most unreal regions to frame and list.",
)
@engine_options
def map_command(
    paths: tuple[Path, ...],
    missing_text: str,
    texts: tuple[str, ...],
    descriptions: Path | None,
    preset: str | None,
    windows_px: tuple[int, ...],
    stride_px: int | None,
    aggregate: str | None,
    quantity: str,
    output: Path,
    formats: str,
    limits: tuple[float, float] | None,
    regions: int,
    options: "EngineOptions",
) -> None:
    """Map where images look unreal: per image an overlay, a heat map, the values (.npy) and a record (.json).

    Without --text and --descriptions, the bundle's phrases that fit an image best are used and named.
    Exit code 1 when some images failed.
    """
    from realm_engine.maps.files import MapFolder, parse_formats
    from realm_engine.pictures.decode import collect_images
    from realm_engine.pictures.inputs import descriptions_by_root, file_entries, find_descriptions
    from realm_engine.verbs.map import check_texts, choose_config, map_entries

    if texts and descriptions is not None:
        raise UsageError("--text contradicts --descriptions; give one of them")
    if any(not text.strip() for text in texts):
        raise UsageError("--text is empty; say what looks unreal, or leave it out")
    files = collect_images(paths)
    by_root = {} if descriptions is None else descriptions_by_root(files, descriptions)
    entries = file_entries(files, by_root, missing_text == "error" and not texts)
    if texts:
        entries = [replace(entry, text=texts) for entry in entries]
    folder = MapFolder(output, parse_formats(formats), limits, regions)
    say_descriptions(entries, by_root)
    if not texts and not by_root:
        for found in filter(None, {find_descriptions(file.root) for file in files}):
            say(f"{found} is not used; --descriptions {found} would use it")
    with open_engine(options, lambda e: e.map_part) as engine:
        config = choose_config(engine.presets(), preset, windows_px, stride_px, aggregate, quantity)
        check_texts(engine, entries)
        failed = 0
        speed = rate("windows")
        with progress("mapping", len(entries)) as advance:

            def show(images: float, windows: int) -> None:
                advance(images, speed(windows))

            for mapped in map_entries(engine, entries, config, folder, bool(texts), show):
                failed += mapped.error is not None
                say_mapped(mapped)
    say(f"{len(entries) - failed} of {len(entries)} maps in {output}")
    if failed:
        click.get_current_context().exit(1)


def say_mapped(mapped: "Mapped") -> None:
    """Say what failed, and which phrases were chosen where nobody gave a text."""
    if mapped.map is None:
        say(f"error: {mapped.error}")
    elif mapped.map.phrases:
        chosen = "; ".join(f"{phrase.text} (z {phrase.z_score:+.1f})" for phrase in mapped.map.phrases)
        say(f"{mapped.name}: phrases chosen: {chosen}")
