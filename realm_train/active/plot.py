"""Curves of active learning as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from realm_train.active.acquisitions import UNIFORM
from realm_train.active.compare import Curve
from realm_train.runs import replacing

COLUMNS = 4


def draw_curves(path: Path, found: Mapping[str, Curve]) -> None:
    """AUC after how many labels, a panel for each acquisition with asking at random behind it: median, 5 to 95 %."""
    from matplotlib.figure import Figure

    names = [name for name in found if name != UNIFORM] or list(found)
    lines = -(-len(names) // COLUMNS)
    figure = Figure(figsize=(3.1 * min(COLUMNS, len(names)), 2.7 * lines), layout="constrained")
    panels = figure.subplots(lines, min(COLUMNS, len(names)), sharex=True, sharey=True, squeeze=False).ravel()
    for axis, name in zip(panels, names, strict=False):
        for shown, colour in ((UNIFORM, "tab:gray"), (name, "tab:blue")):
            if shown in found:
                low, median, high = found[shown].auc
                axis.fill_between(found[shown].labels, low, high, color=colour, alpha=0.2, linewidth=0)
                axis.plot(found[shown].labels, median, color=colour, label=shown)
        axis.set_title(name)
        axis.set_xlabel("labels")
        axis.grid(alpha=0.3)
        axis.legend(loc="lower right")
    for axis in panels[len(names) :]:
        axis.set_visible(False)
    panels[0].set_ylabel("AUC on held-out pictures")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
