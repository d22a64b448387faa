"""Whether a bundle calls a photograph with a planted flaw less real than the photograph, and a mild edit of it not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from realm_engine.arrays import Float64, UInt8
from realm_train.defects.generator import HELD_OUT_KINDS
from realm_train.defects.planted import Planted
from realm_train.errors import DataError

if TYPE_CHECKING:  # a training needs no engine
    from realm_engine import Engine

Edit = Callable[[UInt8], UInt8]


def _through_jpeg(image: UInt8) -> UInt8:
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


def _smaller(image: UInt8) -> UInt8:
    height, width = image.shape[:2]
    return np.asarray(
        cv2.resize(image, (round(0.8 * width), round(0.8 * height)), interpolation=cv2.INTER_AREA), np.uint8
    )


def _cropped(image: UInt8) -> UInt8:
    top, left = (round(0.025 * side) for side in image.shape[:2])
    return image[top : image.shape[0] - top, left : image.shape[1] - left]


def _brighter(image: UInt8) -> UInt8:
    return np.asarray(np.clip(image * 1.1 + 0.5, 0, 255), np.uint8)


def _sharpened(image: UInt8) -> UInt8:
    blurred = cv2.GaussianBlur(image, (0, 0), 1.0)
    return np.asarray(cv2.addWeighted(image, 1.5, blurred, -0.5, 0), np.uint8)


EDITS: dict[str, Edit] = {
    "JPEG 85": _through_jpeg,
    "resized by 0.8": _smaller,
    "cropped by 5 %": _cropped,
    "brighter by 10 %": _brighter,
    "blurred, sigma 0.7": lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), 0.7), np.uint8),
    "sharpened by half": _sharpened,
}
"""What makes no photograph less real."""


@dataclass(frozen=True)
class PairQuality:
    """Of pairs of a photograph and the same with a planted flaw, from the pixels alone.

    Attributes:
        pairs: how many.
        below: share of pairs whose flawed picture scores below its original; a coin gives 0.5.
        below_unseen_kinds: the same of the kinds that nothing was trained on.
        drop: mean of the original's score less the flawed one's, in MOS.
        edits_below: by mild edit, the share of edited photographs that score below the original.
        edits_drop: by mild edit, the mean of the original's score less the edited one's.
        clean_with_boxes: share of the photographs on whose map something stands out; None: the map has no scale.
        flawed_with_boxes: the same of the flawed pictures.
        by_kind: share of pairs in order for each kind of flaw.
    """

    pairs: int
    below: float
    below_unseen_kinds: float
    drop: float
    edits_below: dict[str, float]
    edits_drop: dict[str, float]
    clean_with_boxes: float | None
    flawed_with_boxes: float | None
    by_kind: dict[str, float]

    def to_json(self) -> dict[str, object]:
        """As plain values."""
        return asdict(self)


def judge_pairs(engine: Engine, planted: Sequence[Planted]) -> PairQuality:
    """Score the pictures, edit the photographs, and see whether maps stay silent.

    Raises:
        DataError: nothing is planted, or a picture cannot be scored.
        RealmError: the bundle cannot score or map.
    """
    if not planted:
        raise DataError("no flaw shows in any of the photographs: are they plain, or smaller than 64 px?")
    photographs = list({id(item.clean): item.clean for item in planted}.values())
    places = {id(photograph): index for index, photograph in enumerate(photographs)}
    original = _scores(engine, photographs)
    flawed = _scores(engine, [item.defect.image for item in planted])
    own = original[[places[id(item.clean)] for item in planted]]
    lower = flawed < own
    kinds = np.array([item.defect.kind for item in planted])
    unseen = np.isin(kinds, HELD_OUT_KINDS)
    edited = {
        name: _scores(engine, [np.ascontiguousarray(edit(each)) for each in photographs])
        for name, edit in EDITS.items()
    }
    return PairQuality(
        pairs=len(planted),
        below=float(lower.mean()),
        below_unseen_kinds=float(lower[unseen].mean()) if unseen.any() else float("nan"),
        drop=float((own - flawed).mean()),
        edits_below={name: float((found < original).mean()) for name, found in edited.items()},
        edits_drop={name: float((original - found).mean()) for name, found in edited.items()},
        clean_with_boxes=_with_boxes(engine, photographs),
        flawed_with_boxes=_with_boxes(engine, [item.defect.image for item in planted]),
        by_kind={str(kind): float(lower[kinds == kind].mean()) for kind in sorted(set(kinds))},
    )


def _scores(engine: Engine, pictures: Sequence[UInt8]) -> Float64:
    found = engine.score(list(pictures))
    bad = next((each.error for each in found if each.error is not None), None)
    if bad is not None:
        raise DataError(f"a picture cannot be scored: {bad}")
    return np.array([each["mos"] for each in found], np.float64)


def _with_boxes(engine: Engine, pictures: Sequence[UInt8]) -> float | None:
    """Share of the pictures whose map, of the phrases that the bundle chooses, has a region; None without a scale."""
    framed = 0
    for picture in pictures:
        found = engine.map(picture)
        if found.stands_out is None:
            return None
        framed += bool(found.regions())
    return framed / len(pictures)
