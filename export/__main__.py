"""`python -m export`: write a bundle from checkpoints and prove it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from export.errors import ExportError
from realm_engine.errors import RealmError
from realm_engine.machine.packages import needs

SAMPLES = Path(__file__).parent.parent / "samples"
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
STORAGES = ("fp32", "fp16", "int8-embeddings", "int8-text")

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--core", "core_path", metavar="CKPT", help="CORE run folder, its checkpoint, or best_model.pth."
)
@click.option(
    "--clip", "clip_name", metavar="MODEL", help="open_clip name, JSON configuration, or run folder."
)
@click.option(
    "--clip-weights", metavar="PATH|TAG|random", help="CLIP's weights; a run folder brings its own."
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    type=click.Choice(PRECISIONS),
    default=("fp32",),
    help="A variant to write; repeat for several [fp32]. bf16 is for GPUs, checked with OpenVINO; int8 quantises "
    "the image towers.",
)
@click.option(
    "--int8-part",
    "int8_parts",
    multiple=True,
    type=click.Choice(("core", "dream")),
    default=("core", "dream"),
    help="Which part gets an int8 variant [both]; the other has its fp32 file alone.",
)
@click.option(
    "--int8-for",
    type=click.Choice(("cpu", "tensorrt")),
    default="cpu",
    show_default=True,
    help="TensorRT takes int8 around zero alone; ONNX Runtime and OpenVINO are faster with the other kind.",
)
@click.option(
    "--precision-report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="JSON to write: every node of fp16 and bf16 files that stays float32, and why.",
)
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Folder of the bundle.")
@click.option("--overwrite", is_flag=True, help="Replace an existing bundle.")
@click.option("--name", help="Name of the bundle [default: name of the output folder].")
@click.option("--description", default="", help="One line about the bundle.")
@click.option(
    "--storage",
    type=click.Choice(STORAGES),
    default="fp32",
    show_default=True,
    help="How fp32 files keep their weights; arithmetic is float32 in all.",
)
@click.option("--phrases", type=FILE, help="JSON phrase bank.")
@click.option("--metrics", type=FILE, help="JSON of measured numbers.")
@click.option("--presets", type=FILE, help='JSON of own DREAM presets: {"NAME": {"windows_px": [..], ...}}.')
@click.option("--preset-recommended", default="released", show_default=True, metavar="NAME")
@click.option("--licence", type=FILE, help="Licence text of the weights; its first line names it.")
@click.option("--commercial-use", is_flag=True, help="That licence allows commercial use.")
@click.option("--training-data", default="not stated", help="One line about the training data.")
@click.option(
    "--verify-images",
    type=FOLDER,
    default=SAMPLES,
    help="Photographs to prove the bundle on [samples/]; image_descriptions.csv beside them is used, MOS too.",
)
@click.option(
    "--calibration-images",
    type=FOLDER,
    default=SAMPLES,
    help="Photographs that int8 is calibrated on [samples/], those that prove the bundle left out; they also show "
    "which values fp16 could not hold.",
)
def export(
    core_path: str | None,
    clip_name: str | None,
    clip_weights: str | None,
    precisions: tuple[str, ...],
    int8_parts: tuple[str, ...],
    int8_for: str,
    precision_report: Path | None,
    output: Path,
    overwrite: bool,
    name: str | None,
    description: str,
    storage: str,
    phrases: Path | None,
    metrics: Path | None,
    presets: Path | None,
    preset_recommended: str,
    licence: Path | None,
    commercial_use: bool,
    training_data: str,
    verify_images: Path,
    calibration_images: Path,
) -> None:
    """Export CORE, a CLIP for DREAM, or both as a bundle of ONNX graphs.

    The bundle is run through the engine and compared with PyTorch; it appears only when it passes.
    """
    from export.bundle import check_output, export_bundle
    from export.manifest import UNKNOWN_LICENCE, BundleInfo
    from export.proof.verify import verification_images
    from export.towers.clip_model import open_clip_model
    from export.towers.core_source import open_core

    if clip_weights is not None and clip_name is None:
        raise ExportError("--clip-weights without --clip; name the model too")
    if core_path is None and clip_name is None:
        raise ExportError("nothing to export; give --core, --clip or both")
    check_output(output, overwrite)
    info = BundleInfo(
        name=name or output.resolve().name,
        description=description,
        licence=_first_line(licence) if licence is not None else UNKNOWN_LICENCE,
        licence_file=licence,
        commercial_use=commercial_use,
        training_data=training_data,
        metrics=_json_object(metrics) if metrics is not None else {},
        presets=_json_object(presets) if presets is not None else {},
        recommended_preset=preset_recommended,
        phrases=phrases,
    )
    images = verification_images(verify_images)
    export_bundle(
        output=output,
        info=info,
        core=open_core(core_path) if core_path is not None else None,
        clip=open_clip_model(clip_name, clip_weights) if clip_name is not None else None,
        images=images,
        precisions=tuple(dict.fromkeys(precisions)),
        storage=storage,
        overwrite=overwrite,
        report=click.echo,
        calibration=calibration_images,
        int8_parts=int8_parts,
        int8_for=int8_for,
        precision_report=precision_report,
    )


def _json_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ExportError(f"{path} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ExportError(f"{path} must hold a JSON object")
    return value


def _first_line(path: Path) -> str:
    lines = [line.strip("# ").strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return next((line for line in lines if line), path.name)


def main() -> None:
    """Run the command; an error of the user's is one line on stderr and exit status 2."""
    try:
        with needs("python -m export", "export"):
            export(standalone_mode=True)
    except RealmError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
