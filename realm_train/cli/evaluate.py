"""`realm-train evaluate core|map|pairs`."""

from pathlib import Path

import click

from realm_engine.verbs.paths import GivenPath
from realm_train.cli.main import LazyGroup


@click.group(
    cls=LazyGroup,
    lazy={
        "core": ("realm_train.cli.evaluate:evaluate_core", "SROCC, PLCC and RMSE of a CORE run."),
        "map": ("realm_train.cli.evaluate_map:evaluate_map", "How well maps find defects."),
        "pairs": (
            "realm_train.cli.evaluate_pairs:evaluate_pairs",
            "Whether planted flaws lower the score, and maps of clean photographs stay silent.",
        ),
    },
)
def evaluate() -> None:
    """Measure trained models."""


@click.command("core")
@click.argument("run", type=GivenPath(path_type=Path))
@click.option("--data", "root", type=GivenPath(path_type=Path, file_okay=False), required=True)
@click.option(
    "--split",
    type=click.Choice(["validation", "test", "train"]),
    default="validation",
    show_default=True,
    help="Rows held out by the run, the test images, or the rows it learnt from.",
)
@click.option("--folds", is_flag=True, help="RUN is a cross-validation: every fold's model takes part.")
@click.option(
    "-o",
    "--output",
    type=GivenPath(path_type=Path, file_okay=False),
    help="Folder for metrics.json, predictions.csv and scatter.png  [default: RUN/evaluation-SPLIT]",
)
@click.option("--device", type=click.Choice(["auto", "cpu"]), default="auto", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def evaluate_core(
    run: Path, root: Path, split: str, folds: bool, output: Path | None, device: str, quiet: bool
) -> None:
    """SROCC, PLCC and RMSE of RUN with bootstrap intervals, with descriptions and from the images alone.

    RUN is a run folder or an upstream best_model.pth.
    """
    from realm_train.core import evaluate

    result = evaluate.evaluate_core(run, root, split, folds, output, device == "cpu", not quiet)
    click.echo("\n".join(result.lines()))
    click.echo(f"written to {output or run / f'evaluation-{split}'}", err=True)
