"""`realm-engine export-triton`: a model repository for NVIDIA Triton Inference Server."""

from pathlib import Path

import click

from realm_engine.cli.command import Verb
from realm_engine.cli.options import show
from realm_engine.cli.progress import say
from realm_engine.verbs.paths import GivenPath


@click.command("export-triton", cls=Verb)
@click.argument("bundle", metavar="BUNDLE")
@click.option(
    "-o",
    "--output",
    type=GivenPath(path_type=Path),
    required=True,
    metavar="DIR",
    help="A new folder to write to.",
)
@click.option(
    "--precision",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="A variant of the bundle. auto: what it recommends for the device, else fp32.",
)
@click.option(
    "--platform",
    type=click.Choice(["onnxruntime", "tensorrt-plan"]),
    default="onnxruntime",
    show_default=True,
    help="What runs the graphs in the server.",
)
@click.option(
    "--plans",
    type=GivenPath(path_type=Path),
    metavar="DIR",
    help="With tensorrt-plan: the folder of the plans, one per graph (core.plan, dream.plan, ...).",
)
@click.option(
    "--instances", type=click.IntRange(min=1), default=1, show_default=True, help="Copies of every model."
)
@click.option(
    "-d",
    "--device",
    type=click.Choice(["gpu", "cpu"]),
    default="gpu",
    show_default=True,
    help="Where graphs run.",
)
@click.option(
    "--max-batch",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Texts or images that the server joins into a call.",
)
@click.option(
    "--window-batch", type=click.IntRange(min=1), help="Windows of one call of DREAM. [default: 256, cpu 32]"
)
def export_triton(
    bundle: str,
    output: Path,
    precision: str,
    platform: str,
    plans: Path | None,
    instances: int,
    device: str,
    max_batch: int,
    window_batch: int | None,
) -> None:
    """Write BUNDLE as a model repository for NVIDIA Triton Inference Server, with a client and a Dockerfile.

    The names of its models go to stdout.
    """
    from realm_engine.triton import Bundle, TritonOptions, export_repository

    options = TritonOptions(
        precision=precision,
        platform=platform,
        instances=instances,
        device=device,
        max_batch=max_batch,
        window_batch=window_batch,
        plans=plans,
    )
    for name in export_repository(Bundle.open(bundle), output, options):
        show(name)
    say(f"tritonserver --model-repository={output / 'models'}   ({output / 'README.md'} says the rest)")
