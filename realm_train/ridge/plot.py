"""The curve of a ridge as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from realm_train.ridge.curve import Point
from realm_train.runs import replacing

DRAWN = (("srocc", "SROCC"), ("plcc", "PLCC"))


def draw_curve(path: Path, points: Sequence[Point]) -> None:
    """Median agreement after how many ratings, and the band from the 5th to the 95th percentile over draws."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    labels = [point.labels for point in points]
    for axis, (name, title) in zip(figure.subplots(1, len(DRAWN), sharey=True), DRAWN, strict=True):
        spreads = [point.agreement[name] for point in points]
        axis.fill_between(labels, [s.low for s in spreads], [s.high for s in spreads], alpha=0.2)
        axis.plot(labels, [s.median for s in spreads], marker="o")
        axis.set_title(f"{title} on held-out pictures")
        axis.set_xlabel("ratings")
        axis.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
