"""What a score means, from predictions for pictures that no model of a cross-validation had seen.

How far the true rating lies from the prediction, and how predictions are spread over photographs and over generated
pictures. The model that ships has seen every one of these pictures, and more of them than a fold's model: the numbers
are those of models like it, not its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from realm_engine.arrays import Bool, Float64
from realm_train.core.predict import Predictions
from realm_train.raise_td import Row

SHARE = 0.9
LEVELS = tuple(range(0, 101, 5))
"""Percent of predictions below, at which a curve has its points."""

LEAST_TO_RANK = 10
"""With fewer pictures of a kind there is no curve of it."""


def scale(rows: Sequence[Row], found: Predictions, photographs: str) -> dict[str, Any]:
    """The object of scale.json.

    Args:
        rows: Of all folds.
        found: Predictions by models that had not seen the row.
        photographs: Pattern of the file names of photographs; what does not match was generated.

    Returns:
        "half_width": of the interval that holds `SHARE` of true MOS, "with_text" and "image_only", as z-scores.
        "percentiles": by kind, "photographs" and "generated", a curve from MOS to the percentage of predictions
        below, of both. A kind with less than `LEAST_TO_RANK` pictures, or whose predictions are all equal, is absent.
    """
    mos = np.array([row.mos for row in rows])
    described = np.array([bool(row.description.strip()) for row in rows])
    real = np.array([Path(row.filename).match(photographs) for row in rows])
    answers = {
        "with_text": (np.asarray(found.text, np.float64), described if described.any() else ~described),
        "image_only": (np.asarray(found.image_only, np.float64), np.ones(len(rows), bool)),
    }
    result: dict[str, Any] = {
        "images": len(rows),
        "photographs": photographs,
        "share": SHARE,
        "half_width": {
            name: half_width(np.abs(predicted - mos)[used], SHARE)
            for name, (predicted, used) in answers.items()
        },
        "percentiles": {},
    }
    for kind, members in (("photographs", real), ("generated", ~real)):
        curves = {name: _curve(predicted, members) for name, (predicted, _) in answers.items()}
        if all(curves.values()):
            result["percentiles"][kind] = {"images": int(members.sum()), **curves}
    return result


def half_width(errors: Float64, share: float) -> float:
    """What at least `share` of errors do not exceed, with the correction of split conformal prediction.

    The ceil((n + 1) * share)-th smallest of n absolute errors (Lei et al. 2018); the largest where there are too few.
    """
    rank = min(math.ceil((len(errors) + 1) * share), len(errors))
    return round(float(np.sort(errors)[rank - 1]), 6)


def _curve(predicted: Float64, members: Bool) -> dict[str, list[float]] | None:
    """Points of the share of predictions below, x rising strictly; None where there is nothing to rank."""
    if members.sum() < LEAST_TO_RANK:
        return None
    x: list[float] = []
    y: list[float] = []
    for level, value in zip(LEVELS, np.quantile(predicted[members], np.array(LEVELS) / 100), strict=True):
        place = round(float(value), 6)
        if not x or place > x[-1]:
            x.append(place)
            y.append(float(level))
    return {"x": x, "y": y} if len(x) > 1 else None
