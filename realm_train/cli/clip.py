"""`realm-train clip`."""

import dataclasses
from pathlib import Path

import click

from realm_engine.verbs.paths import GivenPath
from realm_train.config import override

_FOLDER = GivenPath(path_type=Path, file_okay=False)


@click.command()
@click.option("--data", "root", type=_FOLDER, required=True, help="Folder with train/image_descriptions.csv.")
@click.option("-o", "--output", type=_FOLDER, required=True, help="Run folder to write.")
@click.option(
    "--model",
    default="realm-tiny",
    show_default=True,
    help="realm-tiny, an open_clip name, or the path of a JSON model configuration.",
)
@click.option(
    "--weights", default="none", show_default=True, metavar="TAG|PATH|none", help="Where the model starts."
)
@click.option(
    "--image-weights", default="none", show_default=True, metavar="PATH|none",
    help="realm-tiny: the tf_efficientnetv2_b0 weights that its image tower starts from.",
)  # fmt: skip
@click.option(
    "--photographs", default="r*", show_default=True, metavar="PATTERN",
    help="File names of real photographs; some of them are held out for validation and evaluation.",
)  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one setting; repeatable.")
@click.option("--resume", is_flag=True, help="Go on with a killed run.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def clip(
    root: Path,
    output: Path,
    model: str,
    weights: str,
    image_weights: str,
    photographs: str,
    settings: tuple[str, ...],
    resume: bool,
    quiet: bool,
) -> None:
    """Train CLIP on windows and descriptions, for DREAM's maps.

    Pairs come from flaws put into the images of DATA and from DATA's own descriptions. Settings are those of a run's
    config.json, for example --set steps=500 --set pairs.images=16.
    """
    from realm_train.hub import open_clip_folder

    open_clip_folder(model)  # that the hub cannot be reached is said before torch is imported

    from realm_train.clip.config import ClipConfig
    from realm_train.clip.train import train_clip

    config = override(ClipConfig(), settings)
    config = dataclasses.replace(config, model=model, weights=weights, image_weights=image_weights)
    metrics = train_clip(root, output, config, photographs, resume, not quiet)
    for name, value in metrics.items():
        click.echo(f"{name} {value:.4g}")
