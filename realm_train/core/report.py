"""Predictions of one or several CORE models as metrics, tables and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from realm_train import metrics
from realm_train.core.predict import Predictions
from realm_train.metrics import Estimate
from realm_train.raise_td import Row
from realm_train.runs import RunFolder, replacing


@dataclass(frozen=True)
class Report:
    """Agreement with the MOS of `rows` images.

    Attributes:
        rows: How many images.
        text: "srocc", "plcc" and "rmse" of predictions made with the descriptions.
        image_only: The same of predictions made from the images alone.
        folds: Per fold, the plain values of both (suffix `_image_only`); empty for a single model.
    """

    rows: int
    text: Mapping[str, Estimate]
    image_only: Mapping[str, Estimate]
    folds: tuple[Mapping[str, float], ...] = ()

    @property
    def fold_mean(self) -> dict[str, float]:
        """Mean of each value over the folds."""
        return {key: float(np.mean([fold[key] for fold in self.folds])) for key in (self.folds or ({},))[0]}

    def to_json(self) -> dict[str, Any]:
        """For metrics.json."""
        plain: dict[str, Any] = {"rows": self.rows}
        for name, part in (("text", self.text), ("image_only", self.image_only)):
            plain[name] = {key: asdict(estimate) for key, estimate in part.items()}
        if self.folds:
            plain |= {"fold_mean": self.fold_mean, "folds": [dict(fold) for fold in self.folds]}
        return plain

    def lines(self) -> list[str]:
        """A small table for the terminal."""
        lines = [f"{self.rows} images; 95 % bootstrap intervals", f"{'':12}{'SROCC':26}{'PLCC':26}RMSE"]
        for name, part in (("with text", self.text), ("image only", self.image_only)):
            lines.append(
                f"{name:12}" + "".join(f"{part[key]!s:26}" for key in ("srocc", "plcc", "rmse")).rstrip()
            )
        if self.folds:
            mean = self.fold_mean
            lines.append(
                f"mean of {len(self.folds)} folds: SROCC {mean['srocc']:.4f}, "
                f"image only {mean['srocc_image_only']:.4f}"
            )
        return lines


def validation_metrics(found: Predictions, mos: Sequence[float]) -> dict[str, float]:
    """SROCC, PLCC and RMSE with text, and the same with the suffix `_image_only`."""
    return {
        **metrics.scores(found.text, mos),
        **{f"{name}_image_only": value for name, value in metrics.scores(found.image_only, mos).items()},
    }


def report(found: Predictions, rows: Sequence[Row], folds: Sequence[Mapping[str, float]] = ()) -> Report:
    """Metrics with intervals of predictions on `rows`."""
    mos = [row.mos for row in rows]
    return Report(
        len(rows), metrics.estimates(found.text, mos), metrics.estimates(found.image_only, mos), tuple(folds)
    )


def write_predictions(run: RunFolder, name: str, rows: Sequence[Row], found: Predictions) -> None:
    """CSV with filename, mos, predicted, predicted_image_only."""
    run.write_csv(
        name,
        [
            {
                "filename": row.filename,
                "mos": row.mos,
                "predicted": round(float(text), 6),
                "predicted_image_only": round(float(image_only), 6),
            }
            for row, text, image_only in zip(rows, found.text, found.image_only, strict=True)
        ],
    )


def write_report(folder: RunFolder, rows: Sequence[Row], found: Predictions, result: Report) -> None:
    """metrics.json, predictions.csv and scatter.png."""
    folder.write_json("metrics.json", result.to_json())
    write_predictions(folder, "predictions.csv", rows, found)
    _scatter(folder, rows, found, result)


def _scatter(folder: RunFolder, rows: Sequence[Row], found: Predictions, result: Report) -> None:
    from matplotlib.figure import Figure

    mos = [row.mos for row in rows]
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    panels = (("with text", found.text, result.text), ("image only", found.image_only, result.image_only))
    for axis, (title, predicted, part) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
        axis.scatter(mos, predicted, s=14, alpha=0.6)
        ends = [min(mos), max(mos)]
        axis.plot(ends, ends, color="grey", linewidth=1)
        axis.set_title(f"{title}: SROCC {part['srocc'].value:.3f}, PLCC {part['plcc'].value:.3f}")
        axis.set_xlabel("MOS")
        axis.grid(alpha=0.3)
    figure.axes[0].set_ylabel("predicted MOS")
    with replacing(folder.path / "scatter.png") as temporary:
        figure.savefig(temporary, dpi=110, format="png")
