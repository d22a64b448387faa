"""Judge maps on the real flaws of generated pictures: an exam is a file with boxes drawn around them.

    {"pictures": [{"name": "f12", "boxes": [{"top": 0, "left": 64, "height": 32, "width": 48}]}]}

A name is that of a picture of the data without its extension; other keys (about, rules) are for readers. Boxes are
in pixels of the picture as it is in the data.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from realm_engine.arrays import Bool, UInt8
from realm_engine.pictures.decode import load_image
from realm_train.clip.judge import Agreement, Mapper, agreement, means
from realm_train.errors import DataError
from realm_train.metrics import bootstrap
from realm_train.raise_td import read_split

SIDES = ("top", "left", "height", "width")


@dataclass(frozen=True)
class Box:
    """Rows top to top + height - 1, columns left to left + width - 1, in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Drawn:
    """A picture with real flaws, a mask of them, the text that describes them, and that of another picture."""

    name: str
    image: UInt8
    mask: Bool
    description: str
    wrong_description: str


@dataclass(frozen=True)
class DrawnQuality(Agreement):
    """Means over pictures.

    Attributes:
        auc_low, auc_high: 95 % interval of the mean AUC, by bootstrap over pictures.
        by_picture: AUC of each picture.
    """

    auc_low: float
    auc_high: float
    by_picture: dict[str, float]


def read_exam(path: Path) -> dict[str, tuple[Box, ...]]:
    """Boxes by the names of pictures, in the order of the file.

    Raises:
        DataError: the file is missing or malformed; names the entry.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; give the JSON file of an exam") from error
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: cannot be read as JSON ({reason}); mend or replace it") from error
    entries = content.get("pictures") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise DataError(f'{path}: has no pictures; write {{"pictures": [{{"name": ..., "boxes": [...]}}]}}')
    exam: dict[str, tuple[Box, ...]] = {}
    for number, entry in enumerate(entries, 1):
        where = f"{path}: picture {number}"
        name, boxes = (entry.get("name"), entry.get("boxes")) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or not name:
            raise DataError(f'{where} has no name; write {{"name": ..., "boxes": [...]}}')
        if name in exam:
            raise DataError(f"{where}: {name} is there twice; put all its boxes into one entry")
        if not isinstance(boxes, list) or not boxes:
            raise DataError(f"{where}: {name} has no boxes; draw one, or take the picture out")
        exam[name] = tuple(_box(box, f"{path}: {name}") for box in boxes)
    return exam


def _box(value: Any, where: str) -> Box:
    numbers: list[Any] = [value.get(side) for side in SIDES] if isinstance(value, dict) else []
    # Not isinstance: true is an int, too.
    if not all(type(number) is int for number in numbers) or len(numbers) != len(SIDES):
        raise DataError(
            f"{where}: a box is {json.dumps(value)}; write top, left, height and width in whole pixels"
        )
    box = Box(*numbers)
    if min(box.height, box.width) < 1:
        raise DataError(f"{where}: a box of {box.height} x {box.width} px is empty; draw it again")
    return box


def load_exam(path: Path, data: Path, seed: int) -> list[Drawn]:
    """The pictures of an exam, each with a wrong text: that of another of them, drawn with the seed.

    Raises:
        DataError: the exam or the data are missing or malformed, or do not fit each other.
        ImageError: a picture cannot be decoded.
    """
    exam = read_exam(path)
    rows = {Path(row.filename).stem: row for row in read_split(data)}
    for name in exam:
        if name not in rows:
            raise DataError(f"{path}: {name} is not in {data}; give the data that the boxes were drawn for")
        if not rows[name].description:
            raise DataError(f"{path}: {name} has no description in {data}; give it one, or take it out")
    texts = [rows[name].description for name in exam]
    rng = np.random.default_rng(seed)
    drawn = []
    for (name, boxes), text in zip(exam.items(), texts, strict=True):
        others = [other for other in texts if other != text]
        if not others:
            raise DataError(f"{path}: all descriptions are one; an exam needs pictures with different flaws")
        image = load_image(rows[name].path)
        mask = _mask(boxes, image.shape[0], image.shape[1], f"{path}: {name}")
        drawn.append(Drawn(name, image, mask, text, str(rng.choice(others))))
    return drawn


def _mask(boxes: Sequence[Box], height_px: int, width_px: int, where: str) -> Bool:
    mask = np.zeros((height_px, width_px), bool)
    for box in boxes:
        bottom, right = box.top + box.height, box.left + box.width
        if min(box.top, box.left) < 0 or bottom > height_px or right > width_px:
            raise DataError(
                f"{where}: the box of rows {box.top} to {bottom - 1}, columns {box.left} to {right - 1} leaves the "
                f"picture of {height_px} x {width_px} px (height x width); draw it inside"
            )
        mask[box.top : bottom, box.left : right] = True
    if mask.all():
        raise DataError(f"{where}: its boxes cover all of it; draw tighter ones, or take the picture out")
    return mask


def judge_drawn(drawn: Sequence[Drawn], mapper: Mapper, seed: int = 0) -> DrawnQuality:
    """Measure maps of pictures, each for its own description, against the boxes.

    Args:
        drawn: at least one picture.
        mapper: what makes the maps.
        seed: of the bootstrap.
    """
    rows = []
    for item in drawn:
        right, wrong = mapper(item.image, [item.description, item.wrong_description])
        rows.append(agreement(item.image, item.mask, right, wrong))
    aucs = [row["auc"] for row in rows]
    interval = bootstrap(lambda values, _, axis=-1: values.mean(axis), aucs, aucs, seed=seed)
    return DrawnQuality(
        images=len(rows),
        **means(rows),
        auc_low=interval.low,
        auc_high=interval.high,
        by_picture={item.name: auc for item, auc in zip(drawn, aucs, strict=True)},
    )
