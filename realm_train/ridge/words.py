"""A ridge in words, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from realm_train.metrics import Estimate
from realm_train.ridge.curve import Point
from realm_train.ridge.examples import Examples
from realm_train.ridge.fit import Ridge
from realm_train.ridge.run import RidgeConfig, RidgeReport

_HEADER = ("ratings", "SROCC", "PLCC", "PLCC after a cubic fit", "alpha")


def lines(config: RidgeConfig, examples: Examples, ridge: Ridge, report: RidgeReport) -> list[str]:
    """What was fitted, and what it is worth on pictures that it has not seen."""
    found = [
        f"{config.name}: {report.rows} ratings, {examples.features.shape[1]} features ({config.features}), "
        f"alpha {ridge.alpha:.4g}",
        f"held out in 5 folds, 95 % intervals: {_agreement(report.held_out)}",
    ]
    if report.unseen:
        aside = len(examples.names) - report.rows
        found.append(f"of the {aside} other ratings: {_agreement(report.unseen)}")
    if report.curve:
        found += ["", f"on held-out fifths: median of {report.curve[0].draws} draws (5 to 95 %)"]
        rows = [_HEADER, *map(_row, report.curve)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
        found += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
    return found


def _row(point: Point) -> tuple[str, ...]:
    spreads = (point.agreement[name] for name in ("srocc", "plcc", "plcc_after_cubic"))
    labels = f"{point.labels} (all of four fifths)" if point.everything else str(point.labels)
    return labels, *map(str, spreads), f"{point.alpha:.4g}"


def _agreement(estimates: Mapping[str, Estimate]) -> str:
    return ", ".join(f"{name.upper()} {estimate}" for name, estimate in estimates.items())
