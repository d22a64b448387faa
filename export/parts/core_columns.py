"""The columns of CORE: its score, how sure that is, and where it lies among those of the training data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from export.errors import ExportError
from realm_engine.bundle.columns import ByText, Column, Curve, Interval

# rating = offset + slope * MOS, the 0-100 scale that RAISE-TD's z-scores were made from.
RATING = {"offset": 64.010578006, "slope": 17.349906357}

MOS = Column("mos", "mos", -3.0, 2.0, "high", "mean opinion score as a z-score", tolerance=0.01)
REALNESS = Column(
    name="realness",
    output="mos",
    low=0.0,
    high=100.0,
    better="high",
    meaning="the 0-100 rating behind the score",
    line=(RATING["offset"], RATING["slope"]),
    decimals=4,
)
UNLIKE = Column(
    name="unlike",
    output="unlike",
    low=0.0,
    high=4.0,
    better="low",
    meaning="how far the picture is from any that the model has seen, 1 = further than 99 % of such pictures",
    decimals=3,
    flag_above=1.0,
)
KINDS = {"photographs": "photographs", "generated": "generated pictures"}


@dataclass(frozen=True)
class Scale:
    """What a cross-validation says of scores: scale.json of `realm-train core --cross-validate`.

    `half_width`: of the interval that holds `share` of true MOS. `percentiles`: MOS to a percentage, by kind.
    """

    share: float
    half_width: ByText[float]
    percentiles: Mapping[str, ByText[Curve]]


def read_scale(path: Path) -> Scale:
    """Read scale.json.

    Raises:
        ExportError: it is none.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Scale(
            float(data["share"]),
            ByText(*(float(data["half_width"][name]) for name in ("with_text", "image_only"))),
            {
                kind: ByText(*(_curve(curves[name]) for name in ("with_text", "image_only")))
                for kind, curves in data["percentiles"].items()
                if kind in KINDS
            },
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(
            f"{path}: is no scale.json of realm-train core --cross-validate ({type(error).__name__}: {error})"
        ) from None


def core_columns(raise_td: bool, scale: Scale | None, unlike: bool) -> tuple[Column, ...]:
    """The columns that every reader reads. `raise_td`: scores have a place on its 0-100 scale."""
    columns = [MOS, REALNESS] if raise_td else [MOS]
    if scale is not None:
        last = columns[-1]
        unit = abs(last.line[1]) if last.line is not None else 1.0
        width = ByText(
            *(round(unit * value, 6) for value in (scale.half_width.with_text, scale.half_width.image_only))
        )
        columns[-1] = replace(last, interval=Interval(scale.share, width))
    return (*columns, *([UNLIKE] if unlike else []))


def percentile_columns(scale: Scale | None) -> Sequence[Column]:
    """Where a score lies among predictions for photographs and for generated pictures."""
    return [
        Column(
            name=f"percentile_{kind}",
            output="mos",
            low=0.0,
            high=100.0,
            better="high",
            meaning=f"percent of the {KINDS[kind]} of the training data score lower",
            decimals=1,
            curve=curve,
        )
        for kind, curve in (scale.percentiles if scale is not None else {}).items()
    ]


def _curve(points: Mapping[str, Any]) -> Curve:
    return Curve(tuple(map(float, points["x"])), tuple(map(float, points["y"])))
