"""`realm-train probe`."""

import dataclasses
from pathlib import Path

import click

from realm_engine.verbs.paths import GivenPath
from realm_train.config import override

_FOLDER = GivenPath(path_type=Path, file_okay=False)


@click.command()
@click.option(
    "--data",
    "root",
    type=GivenPath(path_type=Path),
    required=True,
    help="Folder with real/SOURCE/ and fake/SOURCE/, RAISE-TD, or a CSV filename,label,source[,group].",
)
@click.option(
    "--photographs",
    type=_FOLDER,
    multiple=True,
    help="Further photographs, of another source: fitted to, and reported apart; may be repeated.",
)
@click.option("--output", type=_FOLDER, required=True, help="Run folder to write.")
@click.option("--arch", default="core", show_default=True, help="core: the trunk of --bundle's CORE.")
@click.option(
    "--bundle", default="realm-tiny", show_default=True, help="core: the bundle, by name or folder."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one setting; repeatable.")
@click.option("--no-validation", is_flag=True, help="Fit alone, without measuring what it is worth.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def probe(
    root: Path,
    photographs: tuple[Path, ...],
    output: Path,
    arch: str,
    bundle: str,
    settings: tuple[str, ...],
    no_validation: bool,
    quiet: bool,
) -> None:
    """Fit a probe that tells photographs from generated pictures: a hint, never a proof.

    Logistic regression on the features of a tower, for clean and degraded views of every picture; measured by nested
    cross-validation. Settings are those of a run's config.json, for example --set seeds=1 --set choice.wrong=0.05.
    What a killed run saw is kept in the run folder; the same command goes on.
    """
    from realm_train.bundle_tower import BundleTower
    from realm_train.probe.config import ProbeConfig
    from realm_train.probe.data import read_labelled, read_photographs, together
    from realm_train.probe.run import fit_all, look_at, measure, save_run
    from realm_train.probe.worth import table
    from realm_train.runs import RunFolder

    config = dataclasses.replace(override(ProbeConfig(), settings), arch=arch)
    added = [read_photographs(folder) for folder in photographs]
    pictures = together([read_labelled(root), *added])

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    def progress(done: int, total: int) -> None:
        say(f"looked at {done} of {total} pictures")

    with BundleTower.open(bundle) as tower:
        seen = look_at(tower, pictures, config, output / "features", progress)
        fitted_on = {"bundle": tower.name, "tower": tower.tower, "graph": tower.graph, "sha256": tower.sha256}
    metrics = None
    if not no_validation:
        apart = frozenset(picture.source for part in added for picture in part)
        metrics = measure(seen, pictures, apart, config, say)
    fitted = fit_all(seen, pictures, config)
    save_run(RunFolder(output), config, fitted, fitted_on, pictures, metrics)
    if metrics is not None:
        click.echo("\n".join(table(metrics)))
    click.echo(
        f"{output}: real up to p(fake) {fitted.band.real_below:.2f}, fake from {fitted.band.fake_above:.2f}, "
        "uncertain between; a hint, not a proof"
    )
