"""`realm-train core` and `realm-train import-core`."""

import dataclasses
from pathlib import Path

import click

from realm_engine.verbs.paths import GivenPath
from realm_train.config import override
from realm_train.core.config import SplitConfig
from realm_train.core.presets import CORE_PRESETS, core_preset
from realm_train.errors import ConfigError

_FOLDER = GivenPath(path_type=Path, file_okay=False)


@click.command()
@click.option("--data", "root", type=_FOLDER, required=True, help="Folder with train/image_descriptions.csv.")
@click.option("-o", "--output", type=_FOLDER, required=True, help="Run folder to write.")
@click.option("--preset", type=click.Choice(list(CORE_PRESETS)), default="small", show_default=True)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one setting; repeatable.")
@click.option("--image-weights", metavar="PATH|pretrained|none", help="Where the image tower starts.")
@click.option("--text-tower", metavar="NAME|FOLDER", help="bert-base-uncased, minilm, or a local folder.")
@click.option("--resume", is_flag=True, help="Go on with a killed run.")
@click.option(
    "--cross-validate", type=int, metavar="K", help="Train K folds and report on the held-out rows."
)
@click.option("--folds", type=int, metavar="K", help="Hold out one of K folds instead of 20 %.")
@click.option("--fold", type=int, metavar="I", help="Which fold, from 0.")
@click.option("--no-validation", is_flag=True, help="Train on every row and keep the last epoch.")
@click.option(
    "--photographs",
    default="r*",
    show_default=True,
    metavar="PATTERN",
    help="--cross-validate: file names of photographs, whose scores and those of generated pictures scale.json holds.",
)
@click.option(
    "--limit", type=click.IntRange(2), metavar="N", help="Only the first N rows, to try things out."
)
@click.option("--device", type=click.Choice(["auto", "cpu"]), default="auto", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def core(
    root: Path,
    output: Path,
    preset: str,
    settings: tuple[str, ...],
    image_weights: str | None,
    text_tower: str | None,
    resume: bool,
    cross_validate: int | None,
    folds: int | None,
    fold: int | None,
    no_validation: bool,
    photographs: str,
    limit: int | None,
    device: str,
    quiet: bool,
) -> None:
    """Train CORE on rated images with descriptions.

    Settings are those of a run's config.json, for example --set epochs=30 --set train.lr=2e-4.
    Several processes: torchrun --nproc-per-node N -m realm_train.cli.main core ... (or accelerate launch).
    """
    from accelerate import PartialState

    from realm_train.core import evaluate
    from realm_train.core.train import train_core
    from realm_train.raise_td import read_split

    given = [
        name
        for name, value in (("--cross-validate", cross_validate), ("--folds", folds))
        if value is not None
    ]
    if len(given) + no_validation > 1:
        raise ConfigError("give only one of --cross-validate, --folds and --no-validation")
    if (folds is None) != (fold is None):
        raise ConfigError("--folds K and --fold I belong together")
    if cross_validate is not None and cross_validate < 2:
        raise ConfigError(f"--cross-validate needs at least 2 folds, not {cross_validate}")
    config = override(core_preset(preset), settings)
    if image_weights is not None:
        config = dataclasses.replace(
            config, train=dataclasses.replace(config.train, image_weights=image_weights)
        )
    if text_tower is not None:
        config = dataclasses.replace(config, model=dataclasses.replace(config.model, text_tower=text_tower))
    if folds is not None and fold is not None:
        config = dataclasses.replace(config, split=SplitConfig("fold", folds, fold, config.split.seed))
    if no_validation:
        config = dataclasses.replace(config, split=dataclasses.replace(config.split, kind="none"))

    rows = read_split(root)[:limit]
    cpu = device == "cpu"
    if cross_validate is not None:
        result = evaluate.cross_validate(
            rows,
            config,
            cross_validate,
            output,
            resume,
            cpu,
            not quiet,
            lambda text: click.echo(text, err=True),
            photographs,
        )
        messages = result.lines()
    else:
        trained = train_core(rows, config, output, resume, cpu=cpu, show_progress=not quiet)
        messages = [f"kept epoch {trained.epoch} in {output}"]
        for suffix, label in (("", "with text"), ("_image_only", "image only")):
            if f"srocc{suffix}" in trained.metrics:
                parts = [
                    f"{name.upper()} {trained.metrics[name + suffix]:.4f}"
                    for name in ("srocc", "plcc", "rmse")
                ]
                messages.append(f"validation, {label}: {', '.join(parts)}")
    if PartialState().is_main_process:
        click.echo("\n".join(messages))


@click.command("import-core")
@click.argument("checkpoint", type=GivenPath(path_type=Path))
@click.option("-o", "--output", type=_FOLDER, required=True, help="Run folder to write.")
def import_core(checkpoint: Path, output: Path) -> None:
    """Turn an upstream REALM best_model.pth into a run folder, to evaluate or to export.

    The file is read without unpickling code.
    """
    from realm_train.core.checkpoint import save_run
    from realm_train.core.upstream import load_upstream

    loaded = load_upstream(checkpoint)
    save_run(
        output, loaded, {"format": "realm-core", "epoch": "0", "kept": f"imported from {checkpoint.name}"}
    )
    click.echo(f"imported {checkpoint} into {output}")
