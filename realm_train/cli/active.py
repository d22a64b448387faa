"""`realm-train active start|query|learn|simulate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from realm_engine.verbs.choices import DEFAULT_BUNDLE
from realm_engine.verbs.paths import GivenPath

_RUN = GivenPath(path_type=Path, exists=True, file_okay=False)
_OUTPUT = click.option(
    "-o",
    "--output",
    type=GivenPath(path_type=Path, file_okay=False),
    required=True,
    help="Run folder to write.",
)
_BUNDLE = click.option(
    "--bundle", default=DEFAULT_BUNDLE, show_default=True, metavar="NAME|DIR", help="Whose trunk sees them."
)
_SETTINGS = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one setting; repeatable."
)
_RESUME = click.option("--resume", is_flag=True, help="Go on with a killed run.")
_QUIET = click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")


@click.group()
def active() -> None:
    """Which pictures to label next.

    start looks at a pool of pictures; query chooses some and writes a table to fill in; learn takes it. simulate
    compares ways to choose where all labels are known.
    """


@active.command()
@click.option("--pool", "folder", type=_RUN, required=True, help="Folder of pictures without labels.")
@_OUTPUT
@click.option(
    "--acquisition", default="max-entropy", show_default=True, metavar="NAME", help="How pictures are chosen."
)
@click.option(
    "--balanced/--no-balanced",
    default=False,
    help="Ask for as many that look fake as for those that look real [no].",
)
@_BUNDLE
@_SETTINGS
@_RESUME
@_QUIET
def start(
    folder: Path,
    output: Path,
    acquisition: str,
    balanced: bool,
    bundle: str,
    settings: tuple[str, ...],
    resume: bool,
    quiet: bool,
) -> None:
    """Look at every picture of a pool, once."""
    from realm_train.active.config import QueryConfig
    from realm_train.active.start import start_pool
    from realm_train.config import override

    choose = override(QueryConfig(acquisition=acquisition, balanced=balanced), settings)
    count = start_pool(folder, bundle, choose, output, resume, _told(quiet))
    click.echo(
        f"{output}: {count} pictures; realm-train active query {output} --count 50 --output label-me.csv"
    )


@active.command()
@click.argument("run", type=_RUN)
@click.option("--count", type=click.IntRange(1), default=50, show_default=True, help="How many pictures.")
@click.option(
    "-o", "--output", "table", type=GivenPath(path_type=Path, dir_okay=False), required=True,
    help="CSV to fill in; a picture of all of them lies beside it.",
)  # fmt: skip
def query(run: Path, count: int, table: Path) -> None:
    """Choose the next pictures to label; asked again, they are the same until RUN has learnt more."""
    from realm_train.active.pool import Pool
    from realm_train.active.sheet import write_query, write_sheet
    from realm_train.errors import ConfigError

    if table.suffix.lower() != ".csv" or not table.parent.is_dir():
        raise ConfigError(f"--output {table}: give a .csv file in a folder that is there")
    pool = Pool(run)
    asked = pool.query(count)
    sheet = table.with_suffix(".jpg")
    write_sheet(sheet, [pool.path(name) for name in asked.names])
    write_query(table, asked.names)
    if asked.by_chance:
        click.echo("no labels of both kinds yet: drawn at random", err=True)
    click.echo(
        f"{table}: {len(asked.names)} pictures, shown in {sheet}; write real or fake into the column label, then"
    )
    click.echo(f"realm-train active learn {run} {table}")


@active.command()
@click.argument("run", type=_RUN)
@click.argument("table", type=GivenPath(path_type=Path, exists=True, dir_okay=False), metavar="LABELLED.csv")
@click.option("--correct", is_flag=True, help="Labels that were given before may be changed.")
def learn(run: Path, table: Path, correct: bool) -> None:
    """Take the labels that somebody has written into a query's table. Rows without one stay for later."""
    from realm_train.active.labels import read_labels
    from realm_train.active.pool import LABELS, Pool

    pool = Pool(run)
    found = read_labels(table, pool.names, pool.labels, correct)
    before = len(pool.labels)
    pool.add(found.by_name)
    real, fake = pool.counts()
    later = f"; {found.blank} rows have no label yet" if found.blank else ""
    click.echo(f"{len(pool.labels) - before} new labels{later}")
    click.echo(f"{real} real and {fake} fake of {len(pool.names)}, in {run / LABELS}; what they are worth:")
    click.echo(f"realm-train probe --data {run / LABELS} --output runs/probe")


@active.command()
@click.option(
    "--data", "root", type=GivenPath(path_type=Path, exists=True), required=True,
    help="Labelled pictures: folders real/SOURCE and fake/SOURCE, a CSV, or RAISE-TD (see realm-train probe).",
)  # fmt: skip
@_OUTPUT
@click.option(
    "--acquisition", "acquisitions", multiple=True, metavar="NAME", help="Which; repeatable [all nine]."
)
@click.option(
    "--profile", type=click.Choice(("default", "published")), default="default", show_default=True,
    help="published: with the defects of the published code.",
)  # fmt: skip
@click.option("--balanced/--no-balanced", default=False, help="Half of each query fake, half real [no].")
@click.option(
    "--weighted/--no-weighted", default=False, help="published: what was asked for weighs more [no]."
)
@_BUNDLE
@_SETTINGS
@_RESUME
@_QUIET
def simulate(
    root: Path,
    output: Path,
    acquisitions: tuple[str, ...],
    profile: str,
    balanced: bool,
    weighted: bool,
    bundle: str,
    settings: tuple[str, ...],
    resume: bool,
    quiet: bool,
) -> None:
    """Compare ways to choose with choosing at random, where all labels are known.

    Settings are those of the run's config.json, for example --set seeds=3 --set query=10 --set choose.passes=dropout.
    """
    from realm_train.active.acquisitions import ACQUISITIONS
    from realm_train.active.config import SimulationConfig, simulation_config
    from realm_train.active.run import simulate as run_simulation
    from realm_train.active.views import views_of
    from realm_train.active.words import lines
    from realm_train.bundle_tower import BundleTower
    from realm_train.config import override
    from realm_train.features import features_of_views
    from realm_train.probe.data import read_labelled
    from realm_train.runs import open_run

    base = simulation_config(acquisitions or tuple(ACQUISITIONS), profile, balanced, weighted)
    config: SimulationConfig = override(base, settings)
    pictures = read_labelled(root)
    run = open_run(output, config, resume)
    with BundleTower.open(bundle) as tower:
        name, views = views_of(config.choose, config.profile)
        paths = [picture.path for picture in pictures]
        features = features_of_views(tower, paths, {name: views}, output / "features", _told(quiet))[name]

    def done(cell: str) -> None:
        if not quiet:
            click.echo(cell, err=True)

    click.echo("\n".join(lines(run_simulation(features, pictures, config, run, done))))


def _told(quiet: bool) -> Callable[[int, int], None]:
    def told(done: int, total: int) -> None:
        if not quiet:
            click.echo(f"looked at {done} of {total} pictures", err=True)

    return told
