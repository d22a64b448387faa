"""`python -m export.tensorrt`: a bundle and its engines in one step.

Takes everything that `python -m export` takes. The bundle stays free of engines, which are good for one version of
one runtime only; they go into the engine cache, and copies into --engines.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from click.core import ParameterSource

from export.__main__ import export
from realm_engine.errors import RealmError
from realm_engine.verbs.build import DEVICES, build_all, plan_builds
from realm_engine.verbs.paths import GivenPath
from realm_engine.verbs.usage import in_one_line


@click.command(
    context_settings={
        "ignore_unknown_options": True,
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    }
)
@click.option(
    "--device", type=click.Choice(DEVICES), default="tensorrt", show_default=True, help="Which TensorRT."
)
@click.option(
    "--gpu-arch", "architectures", metavar="LIST", help="GPUs that are not here: sm_89,sm_120 (tensorrt-rtx)."
)
@click.option(
    "--engines",
    type=GivenPath(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder for copies of the engines.",
)
@click.argument("export_options", nargs=-1, type=click.UNPROCESSED, metavar="EXPORT_OPTIONS...")
def tensorrt(
    device: str, architectures: str | None, engines: Path | None, export_options: tuple[str, ...]
) -> None:
    """Export a bundle (options of python -m export), then build its engines in every exported precision."""
    with export.make_context("export", list(export_options)) as context:
        if context.get_parameter_source("int8_for") is ParameterSource.DEFAULT:
            context.params["int8_for"] = "tensorrt"
        bundle, precisions = context.params["output"], context.params["precisions"]
        # Before minutes of exporting: is there anything to build with, and for?
        plan_builds("realm-tiny", device, "fp32", architectures)
        export.invoke(context)
    failed = 0
    for precision in dict.fromkeys(precisions):
        for built in build_all(plan_builds(str(bundle), device, precision, architectures), engines):
            failed += built.error is not None
            what = f"{built.model} {built.precision} {built.arch}"
            if built.error is not None:
                click.echo(f"failed: {what}: {built.error}", err=True)
            else:
                click.echo(f"{what}: {built.size_bytes / 1e6:.1f} MB in {built.seconds:.1f} s, {built.path}")
    if failed:
        sys.exit(1)


def main() -> None:
    """Run the command; an error of the user's is one line on stderr and exit status 2."""
    try:
        with in_one_line():
            tensorrt.main(prog_name="python -m export.tensorrt", standalone_mode=False)
    except RealmError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
