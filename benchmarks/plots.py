"""Pictures of a book: the trade-off of fewer windows. PNG, without a display."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import PercentFormatter

from benchmarks import names
from benchmarks.results import Book

STYLES = {
    names.FRACTION: ("#4c72b0", "o-"),
    names.STRIDE: ("#8c8c8c", "s--"),
    names.PRESET: ("#c44e52", "*"),
}


def draw(book: Book, output: Path) -> None:
    """Write the pictures that the book has data for, each named after its table."""
    if records := book.records(names.CURVE):
        _fast(records, output / f"{names.CURVE}.png")


def _fast(records: list[dict[str, Any]], path: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2))
    for method, (color, style) in STYLES.items():
        rows = sorted((r for r in records if r["method"] == method), key=lambda r: float(r["share"]))
        share = [row["share"] for row in rows]
        size = 14 if method == names.PRESET else 5
        options: dict[str, Any] = {"color": color, "markersize": size}
        left.plot(share, [row["pearson_median"] for row in rows], style, label=f"{method}, median", **options)
        if method != names.PRESET:
            left.plot(
                share, [row["pearson_min"] for row in rows], ":", color=color, label=f"{method}, worst image"
            )
        right.plot(share, [row["max_abs_diff"] for row in rows], style, label=method, **options)
    left.set(xlabel="share of the windows encoded", ylabel="Pearson with the full grid")
    right.set(xlabel="share of the windows encoded", ylabel="largest difference of a pixel")
    for axes in (left, right):
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
