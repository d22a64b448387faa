"""A query for a person: a table to fill in, and a picture of all its pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from realm_engine.machine.csv_files import csv_line, defused
from realm_engine.pictures.decode import load_image
from realm_train.runs import replacing

HEADER = ("number", "filename", "label")
THUMBNAIL_PX, TEXT_PX, GAP_PX, COLUMNS = 160, 18, 8, 8
MOST_ON_SHEET = 1000
_GROUND, _INK = (255, 255, 255), (30, 30, 30)


def write_query(table: Path, names: Sequence[str]) -> None:
    """The CSV, whose column `label` is empty; what the head thinks is left out, as it would sway whoever labels.

    Raises RunError where it cannot be written.
    """
    lines = [HEADER, *((str(number), defused(name), "") for number, name in enumerate(names, 1))]
    with replacing(table) as temporary:
        temporary.write_text("".join(map(csv_line, lines)), encoding="utf-8", newline="\n")


def write_sheet(path: Path, pictures: Sequence[Path]) -> None:
    """The pictures side by side with their numbers in the table, a JPEG; of more than `MOST_ON_SHEET` the first ones.

    Raises ImageError for one that cannot be read, RunError where it cannot be written.
    """
    shown = pictures[:MOST_ON_SHEET]
    width, height = THUMBNAIL_PX + GAP_PX, THUMBNAIL_PX + TEXT_PX + GAP_PX
    columns = min(COLUMNS, len(shown))
    sheet = Image.new(
        "RGB", (columns * width + GAP_PX, math.ceil(len(shown) / columns) * height + GAP_PX), _GROUND
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT_PX - 4)
    for place, file in enumerate(shown):
        left, top = GAP_PX + place % columns * width, GAP_PX + place // columns * height
        thumbnail = Image.fromarray(load_image(file))
        thumbnail.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        draw.text((left, top), str(place + 1), fill=_INK, font=font)
        sheet.paste(thumbnail, (left, top + TEXT_PX))
    with replacing(path) as temporary:
        sheet.save(temporary, "JPEG", quality=85)
