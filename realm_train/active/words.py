"""Curves of acquisitions in words, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from realm_train.active.acquisitions import UNIFORM
from realm_train.active.compare import Curve


def lines(found: Mapping[str, Curve]) -> list[str]:
    """A table of areas, and whether anything beats asking at random."""
    rows = [("acquisition", "area under AUC", "above uniform (95 %)", "AUC at the end")]
    for name, curve in found.items():
        gain = "" if curve.gain is None else "{:+.4f} ({:+.4f} to {:+.4f})".format(*curve.gain)
        rows.append((name, f"{curve.area:.4f}", gain, f"{curve.auc[1, -1]:.4f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    better = [name for name, curve in found.items() if curve.beats_uniform]
    if UNIFORM not in found:
        return table
    return [*table, f"better than asking at random: {', '.join(better) or 'none'}"]
