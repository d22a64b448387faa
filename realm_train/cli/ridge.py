"""`realm-train ridge`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realm_engine.verbs.choices import DEFAULT_BUNDLE
from realm_engine.verbs.paths import GivenPath
from realm_train.cli.into import Into, into_options
from realm_train.errors import ConfigError

if TYPE_CHECKING:
    from realm_train.ridge.examples import Examples

logger = logging.getLogger("realm_engine.train")
_FILE = GivenPath(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.option("--ratings", "table", type=_FILE, required=True, help="CSV with filename and rating (or MOS).")
@click.option(
    "--data", "folder", type=GivenPath(path_type=Path, exists=True, file_okay=False),
    help="Folder of the rated pictures; not needed with features of your own.",
)  # fmt: skip
@click.option("--name", required=True, help="What the measure is called, as in score --metric NAME.")
@click.option(
    "-o",
    "--output",
    type=GivenPath(path_type=Path, file_okay=False),
    required=True,
    help="Run folder to write.",
)
@click.option(
    "--features", default="trunk", show_default=True, metavar="trunk|nss|FILE.npy",
    help="The bundle's own trunk; the 72 plain statistics of niqe and brisque, a baseline; or numbers [pictures, D].",
)  # fmt: skip
@click.option("--names", type=_FILE, help="--features FILE.npy: the picture's name of each row, one a line.")
@click.option(
    "--bundle",
    default=None,
    metavar="NAME|DIR",
    help="Whose trunk  [default: that of --into, or realm-tiny].",
)
@click.option(
    "--labels",
    type=click.IntRange(1),
    metavar="N",
    help="Learn from N ratings, drawn at random, and test on the others.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="seed, or alphas=0.1,1,10,100; repeatable."
)
@into_options
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def ridge(
    table: Path,
    folder: Path | None,
    name: str,
    output: Path,
    features: str,
    names: Path | None,
    bundle: str | None,
    labels: int | None,
    settings: tuple[str, ...],
    into: Into | None,
    quiet: bool,
) -> None:
    """Learn a measure from 10 to 500 ratings of your own.

    A ridge regression on features of a network that stays as it is. Says how good it is on pictures that it has not
    seen, after 50, 100, 200 and all ratings.
    """
    from realm_train.config import override
    from realm_train.ridge.curve import DRAWS, label_counts
    from realm_train.ridge.examples import STATISTICS, TRUNK
    from realm_train.ridge.run import FEW, RidgeConfig, train_ridge
    from realm_train.ridge.words import lines
    from realm_train.said import progress

    if into is not None and features != TRUNK:
        raise ConfigError(f"--into: no bundle has a graph that gives the features {features}; leave them out")
    if (names is not None) != (features not in (TRUNK, STATISTICS)):
        raise ConfigError("--features FILE.npy and --names FILE belong together")
    config = override(RidgeConfig(name, features, labels), settings)
    examples = _examples(table, folder, features, names, bundle or (into.bundle if into else None), not quiet)
    rows = labels or len(examples.names)
    with progress("fitting", DRAWS if label_counts(rows) else 0, not quiet) as advance:
        fitted, report = train_ridge(examples, config, output, lambda: advance(""))
    click.echo("\n".join(lines(config, examples, fitted, report)))
    if report.rows < FEW:
        interval = report.held_out["srocc"]
        logger.warning("%d ratings are few: SROCC %s; rate %d or more", report.rows, interval, FEW)
    if into is not None:
        into.add("--ridge", output)


def _examples(
    table: Path, folder: Path | None, features: str, names: Path | None, bundle: str | None, show: bool
) -> Examples:
    from realm_train.cli.bar import pictures_bar
    from realm_train.ridge.examples import TRUNK, brought_examples, statistics_examples, trunk_examples
    from realm_train.ridge.ratings import read_rated, read_ratings

    if names is not None:
        return brought_examples(read_ratings(table), table, Path(features), names)
    if folder is None:
        raise ConfigError("--data is missing; give the folder of the rated pictures")
    rated = read_rated(table, folder)
    with pictures_bar(len(rated), show) as told:
        if features == TRUNK:
            return trunk_examples(rated, bundle or DEFAULT_BUNDLE, told)
        return statistics_examples(rated, told)
