"""A simulation as a run folder, which goes on where it was killed.

config.json        a SimulationConfig
features/          what the tower saw
cells/*.json       the trajectories of one fold of one seed
curves.csv, .png   AUC and balanced accuracy after how many labels: median and 5 to 95 % over cells
metrics.json       areas under the curves, and how far each is above asking at random
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from realm_engine.arrays import Float32
from realm_train.active.compare import Curve, curves, rows
from realm_train.active.config import SimulationConfig
from realm_train.active.plot import draw_curves
from realm_train.active.simulate import Trajectory, cells, run_cell
from realm_train.errors import RunError
from realm_train.probe.data import Labelled, folds, labels
from realm_train.runs import RunFolder

Done = Callable[[str], None]


def simulate(
    features: Float32, pictures: Sequence[Labelled], config: SimulationConfig, run: RunFolder, done: Done
) -> dict[str, Curve]:
    """Run what is not there yet, and write the curves.

    Args:
        features: [1 + views, N, F] of the pictures.
        pictures: N of them.
        config: As the run's config.json has it.
        run: The folder.
        done: Told about each cell.

    Raises:
        DataError: too few pictures of a label, or too few groups.
        RunError: a file of the folder is damaged, or cannot be written.
    """
    fake = labels(pictures)
    (run.path / "cells").mkdir(parents=True, exist_ok=True)
    found = []
    for cell in cells(config, lambda seed: folds(pictures, config.folds, seed)):
        name = f"cells/seed-{cell.seed}-fold-{cell.fold}.json"
        if not (run.path / name).is_file():
            run.write_json(name, {"trajectories": list(map(asdict, run_cell(features, fake, cell, config)))})
        found.append(_read(run, name))
        done(f"seed {cell.seed}, fold {cell.fold}")
    result = curves(found, config.choose.seed)
    run.write_csv("curves.csv", rows(result))
    run.write_json("metrics.json", _metrics(result, len(found)))
    draw_curves(run.path / "curves.png", result)
    return result


def _read(run: RunFolder, name: str) -> list[Trajectory]:
    try:
        stored = run.read_json(name)["trajectories"]
        return [
            Trajectory(
                str(each["acquisition"]),
                tuple(map(int, each["labels"])),
                *(tuple(map(float, each[key])) for key in ("auc", "balanced_accuracy")),
            )
            for each in stored
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run.path / name}: damaged ({error!r}); delete it, and resume") from None


def _metrics(found: dict[str, Curve], count: int) -> dict[str, Any]:
    return {
        "cells": count,
        "acquisitions": {
            name: {
                "area": round(curve.area, 4),
                "gain": None if curve.gain is None else round(curve.gain[0], 4),
                "gain_interval": None if curve.gain is None else list(np.round(curve.gain[1:], 4)),
                "beats_uniform": curve.beats_uniform,
            }
            for name, curve in found.items()
        },
    }
