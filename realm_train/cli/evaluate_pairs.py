"""`realm-train evaluate pairs`."""

import json
from pathlib import Path

import click

from realm_engine.verbs.paths import GivenPath
from realm_train.errors import ConfigError


@click.command("pairs")
@click.argument("bundle")
@click.option(
    "--data", "root", type=GivenPath(path_type=Path, file_okay=False), required=True,
    help="Folder in REALM's layout, or of photographs alone, that the bundle never saw.",
)  # fmt: skip
@click.option(
    "--photographs", default="r*", show_default=True, metavar="PATTERN",
    help="File names of real photographs, where the data holds others too.",
)  # fmt: skip
@click.option("--per-photograph", type=click.IntRange(1), default=2, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=2025, show_default=True)
@click.option(
    "-o", "--output", type=GivenPath(path_type=Path, dir_okay=False), help="JSON file for the result."
)
def evaluate_pairs(
    bundle: str, root: Path, photographs: str, per_photograph: int, seed: int, output: Path | None
) -> None:
    """Whether BUNDLE scores a photograph with a planted flaw below the photograph, and a mild edit of it not.

    From pixels alone, with the kinds of flaw in turn. Also the share of photographs, untouched and flawed, on whose
    map something stands out, where the bundle's maps know their scale.
    """
    from realm_engine import Engine
    from realm_engine.pictures.decode import load_image
    from realm_train.defects import HELD_OUT_KINDS, KINDS
    from realm_train.defects.pairs import judge_pairs
    from realm_train.defects.planted import planted_defects
    from realm_train.raise_td import pictures_alone, read_split

    if output is not None and not output.parent.is_dir():
        raise ConfigError(f"{output.parent}: no such folder; make it, or give another --output")
    rows = pictures_alone(root) or [row for row in read_split(root) if Path(row.filename).match(photographs)]
    pictures = [load_image(row.path) for row in rows]
    with Engine.open(bundle) as engine:
        quality = judge_pairs(engine, planted_defects(pictures, seed, per_photograph, tuple(KINDS)))
    values = quality.to_json()
    if output is not None:
        output.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    for name, value in values.items():
        if not isinstance(value, dict):
            click.echo(f"{name:20} {'not known' if value is None else format(value, '.4g')}")
    for name, share in quality.edits_below.items():
        click.echo(f"  {name:24} below {share:.3f}, by {quality.edits_drop[name]:+.3f} MOS in the mean")
    for kind, share in quality.by_kind.items():
        click.echo(f"  {kind:24} below {share:.3f}{'  (never trained on)' if kind in HELD_OUT_KINDS else ''}")
