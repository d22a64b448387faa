"""A ridge as a run folder: fitted, measured on what it has not seen, written, and read again by the export.

config.json             the configuration; "fitted_on": which graph's features
checkpoint.safetensors  mean, std, weight [D] and bias [1], float64
metrics.json            agreement with the ratings: held out, after how many labels, of pictures that were set aside
curve.csv, curve.png    agreement after 50, 100, 200 and all ratings
predictions.csv         each rating and its prediction by a ridge that had not seen it
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from realm_engine.arrays import Float64
from realm_train.errors import ConfigError, DataError, RunError
from realm_train.metrics import Estimate, estimates
from realm_train.ridge.curve import Point, learning_curve
from realm_train.ridge.examples import Examples
from realm_train.ridge.fit import ALPHAS, LEAST_ROWS, Ridge, fit_ridge, held_out_predictions
from realm_train.ridge.plot import draw_curve
from realm_train.runs import RunFolder, open_run

FEW = 30
"""With fewer ratings the interval is so wide that it is said with a warning."""


@dataclass(frozen=True)
class RidgeConfig:
    """How a ridge is fitted.

    Attributes:
        name: What its measure is called.
        features: "trunk", "nss" or the file that they come from.
        labels: How many of the ratings it learns from, drawn at random; None for all.
        seed: Of every draw.
        alphas: The penalties to choose from.
    """

    name: str
    features: str
    labels: int | None = None
    seed: int = 0
    alphas: tuple[float, ...] = ALPHAS

    def __post_init__(self) -> None:
        if re.fullmatch(r"[a-z][a-z0-9-]*", self.name) is None:
            raise ConfigError(
                f"--name {self.name}: a measure's name has lower case letters, digits and '-', and begins with a letter"
            )
        if not self.alphas or min(self.alphas) <= 0:
            raise ConfigError(
                f"alphas: {self.alphas} must be numbers above 0, as in --set alphas=0.1,1,10,100"
            )
        if self.seed < 0:
            raise ConfigError(f"seed: {self.seed} must be 0 or above")


@dataclass(frozen=True)
class RidgeReport:
    """What a ridge is worth.

    Attributes:
        rows: Ratings that it learnt from.
        held_out: SROCC, PLCC and RMSE of predictions by ridges that had not seen the row's fold.
        curve: After how many ratings what agreement.
        unseen: Of the ratings that `labels` set aside; {} where there are none.
    """

    rows: int
    held_out: Mapping[str, Estimate]
    curve: tuple[Point, ...]
    unseen: Mapping[str, Estimate]


@dataclass(frozen=True)
class SavedRidge:
    """A run of `train_ridge`, as the export reads it.

    Attributes:
        config: How it was fitted.
        ridge: The fit.
        fitted_on: sha256 of the graph whose features it takes, by its name; {} for features that no bundle gives.
        range: The lowest and the highest rating that it learnt from.
        metrics: What it is worth, for the manifest.
    """

    config: RidgeConfig
    ridge: Ridge
    fitted_on: Mapping[str, str]
    range: tuple[float, float]
    metrics: Mapping[str, Any]


def train_ridge(
    examples: Examples, config: RidgeConfig, output: Path, done: Callable[[], None] | None = None
) -> tuple[Ridge, RidgeReport]:
    """Fit, measure and write a run folder; `done` is called after each draw of the curve.

    Raises:
        DataError: fewer than `LEAST_ROWS` ratings, or all are equal.
        ConfigError: more labels are asked for than there are.
        RunError: the folder is taken.
    """
    chosen, aside = _draw(examples, config)
    if len(chosen.ratings) < LEAST_ROWS:
        raise DataError(
            f"{len(chosen.ratings)} ratings are too few to learn from; give at least {LEAST_ROWS}"
        )
    low, high = float(chosen.ratings.min()), float(chosen.ratings.max())
    if low == high:
        raise DataError(f"all {len(chosen.ratings)} ratings are {low:g}; there is nothing to learn")
    facts = {"fitted_on": dict(chosen.fitted_on), "ratings": len(chosen.ratings), "range": [low, high]}
    run = open_run(output, config, resume=False, **facts)
    held_out = held_out_predictions(chosen.features, chosen.ratings, config.alphas, config.seed)
    curve = learning_curve(chosen.features, chosen.ratings, config.alphas, config.seed, done)
    ridge = fit_ridge(chosen.features, chosen.ratings, config.alphas, config.seed)
    report = RidgeReport(
        rows=len(chosen.ratings),
        held_out=estimates(held_out, chosen.ratings),
        curve=tuple(curve),
        unseen=estimates(ridge.predict(aside.features), aside.ratings) if len(aside.names) > 1 else {},
    )
    _write(run, chosen, held_out, ridge, report)
    return ridge, report


def read_ridge(path: Path) -> SavedRidge:
    """A run that `train_ridge` wrote. Raises RunError, ConfigError where it is none."""
    run = RunFolder(path)
    config, facts = run.read_config(RidgeConfig), run.read_json("config.json")
    tensors = run.load_checkpoint()
    arrays = {name: np.asarray(tensor.double().numpy()) for name, tensor in tensors.items()}
    metrics = run.read_json("metrics.json")
    try:
        mean, std, weight = (arrays[name] for name in ("mean", "std", "weight"))
        (bias,) = arrays["bias"]
        low, high = (float(end) for end in facts["range"])
        fitted_on = {str(graph): str(digest) for graph, digest in facts["fitted_on"].items()}
        alpha, manifest = float(metrics["alpha"]), dict(metrics["manifest"])
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise RunError(f"{path}: no run of realm-train ridge ({error!r}); fit it again") from None
    if weight.ndim != 1 or not mean.shape == std.shape == weight.shape:
        raise RunError(f"{run.checkpoint}: mean, std and weight differ in shape; fit it again")
    return SavedRidge(config, Ridge(mean, std, weight, float(bias), alpha), fitted_on, (low, high), manifest)


def _draw(examples: Examples, config: RidgeConfig) -> tuple[Examples, Examples]:
    """The ratings to learn from, and those that are set aside."""
    rows = len(examples.names)
    if config.labels is None:
        return examples, examples.rows([])
    if config.labels > rows:
        raise ConfigError(
            f"--labels {config.labels}: there are {rows} ratings; ask for fewer, or leave it out"
        )
    order = np.random.default_rng(config.seed).permutation(rows)
    return examples.rows(sorted(order[: config.labels])), examples.rows(sorted(order[config.labels :]))


def _write(run: RunFolder, examples: Examples, held_out: Float64, ridge: Ridge, report: RidgeReport) -> None:
    run.write_csv(
        "predictions.csv",
        [
            {"filename": name, "rating": float(rating), "predicted": round(float(predicted), 6)}
            for name, rating, predicted in zip(examples.names, examples.ratings, held_out, strict=True)
        ],
    )
    points = [
        {"labels": point.labels, "draws": point.draws, "alpha": point.alpha}
        | {
            f"{name}{suffix}": round(value, 4)
            for name, spread in point.agreement.items()
            for suffix, value in (("", spread.median), ("_p5", spread.low), ("_p95", spread.high))
        }
        for point in report.curve
    ]
    if points:
        run.write_csv("curve.csv", points)
        draw_curve(run.path / "curve.png", report.curve)
    run.write_json(
        "metrics.json",
        {
            "alpha": ridge.alpha,
            "held_out": {name: asdict(estimate) for name, estimate in report.held_out.items()},
            "unseen": {name: asdict(estimate) for name, estimate in report.unseen.items()},
            "curve": [asdict(point) for point in report.curve],
            "manifest": _manifest(report),
        },
    )
    arrays = {"mean": ridge.mean, "std": ridge.std, "weight": ridge.weight, "bias": np.array([ridge.bias])}
    run.save_checkpoint(
        {name: torch.from_numpy(array) for name, array in arrays.items()},
        {"format": "realm-ridge", "alpha": ridge.alpha},
    )


def _manifest(report: RidgeReport) -> dict[str, Any]:
    """What a bundle says of its worth."""
    found: dict[str, Any] = {
        "protocol": "5-fold cross-validation, the penalty chosen within each fold, predictions pooled",
        "images": report.rows,
    }
    for name, estimate in report.held_out.items():
        found[name] = round(estimate.value, 4)
        found[f"{name}_interval"] = [round(estimate.low, 4), round(estimate.high, 4)]
    return found
