"""`realm-train probe` and `realm-train import-probe`."""

import dataclasses
from pathlib import Path

import click
from click.core import ParameterSource

from realm_engine.verbs.paths import GivenPath
from realm_train.config import override
from realm_train.errors import ConfigError

_FOLDER = GivenPath(path_type=Path, file_okay=False)
_DATA = "Folder with real/SOURCE/ and fake/SOURCE/, RAISE-TD, or a CSV filename,label,source[,group]."
_WEIGHTS = "Of a backbone: pretrained (fetched), none (random), a state_dict, or one of open_clip's tags."
LINEAR, PUBLISHED = "linear", "published"
# Options that say something to one recipe alone.
_OF_LINEAR = ("photographs", "bundle", "no_validation")
_OF_PUBLISHED = ("test", "select", "resume")


@click.command()
@click.option("--data", "root", type=GivenPath(path_type=Path), required=True, help=_DATA)
@click.option(
    "--photographs",
    type=_FOLDER,
    multiple=True,
    help="linear: further photographs, of another source: fitted to, and reported apart; may be repeated.",
)
@click.option("-o", "--output", type=_FOLDER, required=True, help="Run folder to write.")
@click.option(
    "--recipe",
    type=click.Choice((LINEAR, PUBLISHED)),
    default=LINEAR,
    show_default=True,
    help="published: one layer by gradient descent, as its authors trained it, with the defects of their code.",
)
@click.option(
    "--arch",
    default="core",
    show_default=True,
    help="core: the trunk of --bundle's CORE. Else a backbone: CLIP:RN50, CLIP:ViT-L/14, resnet50, vgg19, vit_b_16, "
    "any of timm, or CLIP: and any of open_clip.",
)
@click.option("--weights", default="pretrained", show_default=True, help=_WEIGHTS)
@click.option(
    "--bundle", default="realm-tiny", show_default=True, help="core: the bundle, by name or folder."
)
@click.option(
    "--test",
    type=GivenPath(path_type=Path),
    help="published: other pictures to test on, in the form of --data [a fifth of --data].",
)
@click.option(
    "--select",
    type=click.Choice(("validation", "test")),
    default="validation",
    show_default=True,
    help="published: what epochs are compared on; test is how the published numbers came about.",
)
@click.option("--resume", is_flag=True, help="published: go on with a killed run; linear always does.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one setting; repeatable.")
@click.option("--no-validation", is_flag=True, help="linear: fit alone, without measuring what it is worth.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def probe(
    root: Path,
    photographs: tuple[Path, ...],
    output: Path,
    recipe: str,
    arch: str,
    weights: str,
    bundle: str,
    test: Path | None,
    select: str,
    resume: bool,
    settings: tuple[str, ...],
    no_validation: bool,
    quiet: bool,
) -> None:
    """Fit a probe that tells photographs from generated pictures: a hint, never a proof.

    linear: logistic regression on the features of a tower, for clean and degraded views of every picture; measured by
    nested cross-validation. Settings are those of a run's config.json, for example --set seeds=1 --set
    choice.wrong=0.05. What a killed run saw is kept in the run folder; the same command goes on.
    """
    _check_given(recipe, arch)
    if recipe == PUBLISHED:
        _published(root, test, output, arch, weights, select, settings, resume, not quiet)
    else:
        _linear(root, photographs, output, arch, weights, bundle, settings, no_validation, quiet)


def _check_given(recipe: str, arch: str) -> None:
    """Refuse options that say nothing to the recipe. Raises ConfigError."""
    context = click.get_current_context()

    def given(name: str) -> bool:
        return context.get_parameter_source(name) is ParameterSource.COMMANDLINE

    for name in _OF_PUBLISHED if recipe == LINEAR else _OF_LINEAR:
        if given(name):
            other = PUBLISHED if recipe == LINEAR else LINEAR
            raise ConfigError(f"--{name.replace('_', '-')} is of --recipe {other}; leave it out")
    if arch == "core" and recipe == PUBLISHED:
        raise ConfigError("--recipe published has no core; name a backbone, as in --arch CLIP:RN50")
    if arch == "core" and given("weights"):
        raise ConfigError("--weights is of backbones, and core has those of its bundle; leave it out")
    if arch != "core" and given("bundle"):
        raise ConfigError(f"--bundle is of --arch core, and {arch} is in none; leave it out")


def _linear(
    root: Path,
    photographs: tuple[Path, ...],
    output: Path,
    arch: str,
    weights: str,
    bundle: str,
    settings: tuple[str, ...],
    no_validation: bool,
    quiet: bool,
) -> None:
    from realm_train.probe.config import ProbeConfig
    from realm_train.probe.data import read_labelled, read_photographs, together
    from realm_train.probe.run import fit_all, look_at, measure, save_run
    from realm_train.probe.shortcuts import shortcuts
    from realm_train.probe.towers import opened_tower
    from realm_train.probe.worth import table
    from realm_train.runs import RunFolder

    config = dataclasses.replace(override(ProbeConfig(), settings), arch=arch, weights=weights)
    added = [read_photographs(folder) for folder in photographs]
    labelled = read_labelled(root)
    pictures = together([labelled, *added])

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    def progress(done: int, total: int) -> None:
        say(f"looked at {done} of {total} pictures")

    def looked_for_shortcuts(done: int, total: int) -> None:
        if done % 32 == 0 or done == total:
            say(f"looked for shortcuts in {done} of {total} pictures")

    with opened_tower(config, bundle) as opened:
        seen = look_at(opened.tower, pictures, config, output / "features", progress)
        facts, brought = opened.facts, opened.weights
    metrics = None
    if not no_validation:
        apart = frozenset(picture.source for part in added for picture in part)
        metrics = measure(seen, pictures, apart, config, say)
        found = shortcuts(labelled, config.seed, looked_for_shortcuts)
        metrics["shortcuts"] = {each.name: round(each.auc, 4) for each in found}
        for each in found:
            if each.suspicious:
                click.echo(f"warning: {each.warning}", err=True)
    fitted = fit_all(seen, pictures, config)
    save_run(RunFolder(output), config, fitted, facts, pictures, metrics, brought)
    if metrics is not None:
        click.echo("\n".join(table(metrics)))
    click.echo(
        f"{output}: real up to p(fake) {fitted.band.real_below:.2f}, fake from {fitted.band.fake_above:.2f}, "
        "uncertain between; a hint, not a proof"
    )


def _published(
    root: Path,
    test: Path | None,
    output: Path,
    arch: str,
    weights: str,
    select: str,
    settings: tuple[str, ...],
    resume: bool,
    show: bool,
) -> None:
    from realm_train.probe.data import read_labelled
    from realm_train.probe.published import SOURCES, PublishedConfig, train_published

    config = dataclasses.replace(
        override(PublishedConfig(arch), settings), arch=arch, weights=weights, select=select
    )
    tested = None if test is None else read_labelled(test)
    found = train_published(read_labelled(root), config, output, tested, resume, show)
    chosen = ", chosen on these very pictures" if select == "test" else ""
    click.echo(
        f"{output}: epoch {found['epoch']}{chosen}; of {found['pictures']} test pictures {found['accuracy']:.1%} right "
        f"(real {found['real_accuracy']:.1%}, fake {found['fake_accuracy']:.1%}), average precision "
        f"{found['average_precision']:.3f}; by source in {SOURCES}; a hint, not a proof"
    )


@click.command("import-probe")
@click.argument("checkpoint", type=GivenPath(path_type=Path, dir_okay=False))
@click.option("--arch", required=True, help="The backbone that it was trained on, as of realm-train probe.")
@click.option("--weights", default="pretrained", show_default=True, help=f"A bare head: {_WEIGHTS}")
@click.option("-o", "--output", type=_FOLDER, required=True, help="Run folder to write.")
def import_probe(checkpoint: Path, arch: str, weights: str, output: Path) -> None:
    """Turn a checkpoint of the published probe code into a run folder, without running anything in it."""
    from realm_train.probe import imported

    run = imported.import_probe(checkpoint, arch, output, weights)
    click.echo(
        f"{run.path}: a probe on {arch}; python -m export --real-fake {run.path} makes a measure of it"
    )
