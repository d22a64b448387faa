"""`python -m export`: write a bundle from checkpoints and prove it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from export.errors import ExportError
from realm_engine.errors import RealmError, heeding_interrupts
from realm_engine.machine.packages import needs
from realm_engine.runtimes.words import Precision
from realm_engine.verbs.paths import GivenPath
from realm_engine.verbs.strict import strictly, with_strict
from realm_engine.verbs.usage import in_one_line
from realm_train.cli.main import say
from realm_train.cli.offline import offline_option

if TYPE_CHECKING:
    from export.parts.part import Part

SAMPLES = Path(__file__).parent.parent / "samples"
PRECISIONS = tuple(precision.value for precision in Precision)
STORAGES = ("fp32", "fp16", "int8-embeddings", "int8-text")

# Options of --graph alone.
OWN_GRAPH = {
    "--measure": "measure",
    "--better": "better",
    "--view": "view",
    "--range": "limits",
    "--meaning": "meaning",
    "--mean": "mean",
    "--std": "std",
}

FILE = GivenPath(exists=True, dir_okay=False, path_type=Path)
FOLDER = GivenPath(exists=True, file_okay=False, path_type=Path)


class _Command(click.Command):
    """Heeds the engine's warnings, as --strict does."""

    def invoke(self, ctx: click.Context) -> Any:
        with strictly(ctx, say):
            return super().invoke(ctx)


@with_strict
@click.command(
    cls=_Command,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[offline_option()],
)
@click.option(
    "--core", "core_path", metavar="CKPT", help="CORE run folder, its checkpoint, or best_model.pth."
)
@click.option(
    "--core-scale",
    "core_scale",
    type=FILE,
    help="scale.json of its cross-validation: how sure a score is, and where it lies among others.",
)
@click.option(
    "--clip", "clip_name", metavar="MODEL", help="open_clip name, JSON configuration, or run folder."
)
@click.option(
    "--clip-weights", metavar="PATH|TAG|random", help="CLIP's weights; a run folder brings its own."
)
@click.option(
    "--graph", "graph_path", type=FILE, help="ONNX network of your own: [N, 3, H, W] in, one number each out."
)
@click.option(
    "--measure", metavar="NAME", help="--graph: what its number is called, as in score --metric NAME."
)
@click.option("--better", type=click.Choice(("high", "low")), help="--graph: which end is better.")
@click.option(
    "--view",
    metavar="VIEW",
    help="--graph: whole:WIDTHxHEIGHT (resized; :bicubic for not bilinear) or native.",
)
@click.option(
    "--range", "limits", type=float, nargs=2, help="--graph: usual range [0 1].", metavar="LOW HIGH"
)
@click.option("--meaning", metavar="TEXT", help="--graph: one line about the number.")
@click.option("--niqe", is_flag=True, help="The measure niqe, with its authors' parameters.")
@click.option("--brisque", is_flag=True, help="The measure brisque, with its authors' parameters.")
@click.option(
    "--ridge", "ridge_path", type=FOLDER, metavar="RUN", help="The measure of a realm-train ridge run."
)
@click.option(
    "--real-fake",
    "real_fake_path",
    type=FOLDER,
    metavar="RUN",
    help="The measure real-fake: a realm-train probe run. On a bundle's trunk it needs --into and has a map; with a "
    "backbone of its own it can be a bundle of its own.",
)
@click.option(
    "--prior",
    type=float,
    default=0.5,
    show_default=True,
    help="--real-fake: share of generated pictures where it will be used; shifts p, not the verdicts.",
)
@click.option(
    "--into",
    "into",
    metavar="NAME|DIR",
    help="Add --niqe, --brisque, --ridge, --real-fake or --scales to a copy of this bundle; its files stay as they "
    "are.",
)
@click.option(
    "--scales",
    type=FILE,
    help="--into: JSON of recipes/measure_scales.py, where measures lie on a set of pictures, so that score --combine "
    "can add them up.",
)
@click.option("--mean", metavar="R,G,B", help="--graph: taken from pixels in 0..1 [0,0,0: pixels in 0..1].")
@click.option("--std", metavar="R,G,B", help="--graph: they are divided by it then [1,1,1].")
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
    "--fused-for",
    multiple=True,
    type=click.Choice(("cuda",)),
    help="Also write fp16 files of ONNX Runtime's own operators, which that device takes instead; for transformers.",
)
@click.option(
    "--precision-report",
    type=GivenPath(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="JSON to write: every node of fp16 and bf16 files that stays float32, and why.",
)
@click.option("-o", "--output", required=True, type=GivenPath(path_type=Path), help="Folder of the bundle.")
@click.option("--overwrite", is_flag=True, help="Replace an existing bundle.")
@click.option("--name", help="Name of the bundle [default: name of the output folder].")
@click.option("--description", help="One line about the bundle.")
@click.option(
    "--storage",
    type=click.Choice(STORAGES),
    default="fp32",
    show_default=True,
    help="How fp32 files keep their weights; arithmetic is float32 in all.",
)
@click.option("--phrases", type=FILE, help="JSON phrase bank.")
@click.option(
    "--photographs",
    type=FILE,
    help="What untouched photographs give (recipes/clean_maps.py): maps then say whether anything stands out.",
)
@click.option("--metrics", type=FILE, help="JSON of measured numbers.")
@click.option("--presets", type=FILE, help='JSON of own DREAM presets: {"NAME": {"windows_px": [..], ...}}.')
@click.option("--preset-recommended", default="released", show_default=True, metavar="NAME")
@click.option(
    "--licence",
    metavar="TEXT|FILE",
    help="Licence of the weights: a line, or the file of its text, whose first line names it.",
)
@click.option("--commercial-use", is_flag=True, help="That licence allows commercial use.")
@click.option("--training-data", default="not stated", help="One line about the training data.")
@click.option(
    "--terms",
    "terms_path",
    type=FILE,
    help='JSON, where parts differ: {"core" or "dream": {"licence": as above, a path from this file, '
    '"commercial_use": true or false, "training_data": ...}}.',
)
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
def export(output: Path, overwrite: bool, precision_report: Path | None, **options: Any) -> None:
    """Export CORE, a CLIP for DREAM, or both as a bundle of ONNX graphs; a network of your own as a measure; niqe and
    brisque; or what was learnt on a bundle's features into a copy of it.

    Answers are compared with PyTorch, a network of your own with itself behind Pillow. A bundle appears only
    when it passes.
    """
    from realm_train.hub import open_clip_folder

    adding = check_options(options, _given())
    if options["clip_name"] is not None:  # that the hub cannot be reached is said before torch is imported
        open_clip_folder(options["clip_name"])
    from export.additions import add
    from export.bundle import Photographs, Variants, check_output, export_bundle
    from export.info import bundle_info
    from realm_engine.pictures.find import find_images

    check_output(output, overwrite)
    if adding:
        add(output, overwrite, options, click.echo)
        return
    read_parts = _own_graph if options["graph_path"] is not None else _core_and_dream
    variants = Variants(
        precisions=tuple(dict.fromkeys(options["precisions"])),
        storage=options["storage"],
        int8_parts=options["int8_parts"],
        int8_for=options["int8_for"],
        fused_for=options["fused_for"],
    )
    export_bundle(
        output=output,
        info=bundle_info(output, options),
        parts=read_parts(options),
        photographs=Photographs(find_images(options["verify_images"]), options["calibration_images"]),
        variants=variants,
        overwrite=overwrite,
        report=click.echo,
        precision_report=precision_report,
    )


def _given() -> dict[str, str]:
    """The options that stand on the command line, by name."""
    context = click.get_current_context()
    return {
        str(parameter.name): parameter.opts[0]
        for parameter in context.command.params
        if context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    }


def check_options(options: Mapping[str, Any], given: Mapping[str, str]) -> bool:
    """Refuse options that do not go together, before any work.

    Args:
        options: All, by name.
        given: Those that stand on the command line.

    Returns:
        Whether something is added to a bundle.

    Raises:
        ExportError: nothing to export, or an option of one kind of part without it.
    """
    from export.additions import check_additions

    for name, value in options.items():
        if value == "":
            called = name.removesuffix("_path").removesuffix("_name").replace("_", "-")
            raise ExportError(f"--{called} is empty; give a value, or leave it out")
    models = [option for option in ("core_path", "clip_name") if options[option] is not None]
    own = {name: options[option] for name, option in OWN_GRAPH.items()}
    if check_additions(given):
        return True
    if options["graph_path"] is None:
        if options["photographs"] is not None and options["clip_name"] is None:
            raise ExportError("--photographs without --clip; it is a scale of maps, name the model too")
        if options["clip_weights"] is not None and options["clip_name"] is None:
            raise ExportError("--clip-weights without --clip; name the model too")
        for name, value in own.items():
            if value is not None:
                raise ExportError(f"{name} without --graph; give the network's ONNX file too")
        if options["core_scale"] is not None and options["core_path"] is None:
            raise ExportError("--core-scale without --core; name the model too")
        if not models:
            raise ExportError("nothing to export; give --core, --clip or both, --graph, or --niqe, --brisque")
        return False
    if models or options["core_scale"] is not None:
        raise ExportError(
            "--graph makes a bundle of its own, with its own licence; leave --core and --clip out"
        )
    for name in ("--measure", "--better", "--view"):
        if own[name] is None:
            raise ExportError(f"--graph without {name}; see python -m export --help")
    if options["licence"] is None:
        raise ExportError(
            "--graph without --licence; say under which licence its weights are, as text or file"
        )
    if options["terms_path"] is not None:
        raise ExportError("--graph has one part; say its terms with --licence, and leave --terms out")
    if options["storage"] != "fp32":
        raise ExportError("--graph keeps its weights as they are; leave --storage out")
    return False


def _core_and_dream(options: Mapping[str, Any]) -> list[Part]:
    from export.info import json_object
    from export.parts.core import Core
    from export.parts.core_columns import read_scale
    from export.parts.dream import Dream, MapOptions
    from export.towers.clip_model import open_clip_model
    from export.towers.core_source import open_core
    from realm_train.clip.clean import CleanWindows

    presets, photographs = options["presets"], options["photographs"]
    maps = MapOptions(
        presets=json_object(presets) if presets is not None else {},
        recommended_preset=options["preset_recommended"],
        phrases=options["phrases"],
        photographs=CleanWindows.load(photographs) if photographs is not None else None,
    )
    parts: list[Part] = []
    if options["core_path"] is not None:
        scale = read_scale(options["core_scale"]) if options["core_scale"] is not None else None
        parts.append(Core(open_core(options["core_path"]), scale))
    if options["clip_name"] is not None:
        parts.append(Dream(open_clip_model(options["clip_name"], options["clip_weights"]), maps))
    return parts


def _own_graph(options: Mapping[str, Any]) -> list[Part]:
    from export.measures import View
    from export.parts.graph import OwnGraph

    return [
        OwnGraph(
            path=options["graph_path"],
            measure=options["measure"],
            better=options["better"],
            view=View.parse(options["view"]),
            mean=_three("--mean", options["mean"] or "0,0,0"),
            std=_three("--std", options["std"] or "1,1,1"),
            range=options["limits"],
            meaning=options["meaning"] or "",
        )
    ]


def _three(option: str, text: str) -> tuple[float, float, float]:
    try:
        red, green, blue = (float(number) for number in text.split(","))
    except ValueError:
        raise ExportError(f"{option} {text}: write three numbers, as in {option} 0.485,0.456,0.406") from None
    return red, green, blue


def main() -> None:
    """Run the command; an error of the user's is one line on stderr and exit status 2."""
    try:
        with in_one_line(), heeding_interrupts(), needs("python -m export", "export"):
            code = export.main(prog_name="python -m export", standalone_mode=False)
            sys.exit(code)  # nothing, or the code that it asked for
    except RealmError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        sys.exit(130)


if __name__ == "__main__":
    main()
