"""Contact sheets: the maps of many pictures side by side, so many on a sheet that each is still seen.

A sheet holds at most `COLUMNS` x `ROWS` pictures of `PICTURE_PX`: it has less than 1700 x 2100 pixels and takes 10 MB
while it is drawn, however many pictures there are. The next ones are on the next sheet.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

from PIL import Image

from realm_engine.arrays import UInt8
from realm_engine.maps.figure import Caption, draw, paste_outlined
from realm_engine.maps.picture_map import NOTHING, Mapped, PictureMap
from realm_engine.maps.render import PAPER, Limits, colour_limits
from realm_engine.maps.words import Words

COLUMNS, ROWS = 6, 6
PER_SHEET = COLUMNS * ROWS
PICTURE_PX = 256
_WORDS_PX = 70
_MOST_VALUES = 4  # in one row
_GAP = 8
_NO_PICTURE = (232, 232, 232)


def cell(
    result: PictureMap,
    image: UInt8,
    limits: Limits | None = None,
    regions: int | None = None,
    caption: Caption | None = None,
) -> Image.Image:
    """A map as a sheet shows it: the small picture, its name and score, and whether nothing stands out.

    See `figure.draw`; `limits` None: the map's own.
    """
    limits = limits or result.own_limits or colour_limits(result.values, result.covered)
    drawing = draw(result, image, limits, regions, PICTURE_PX)
    caption = caption or Caption(result.name)
    words = _words(caption.title, caption.score)
    words.row(drawing.values[:_MOST_VALUES], "")
    if result.stands_out is False:
        words.text(NOTHING, 1)
    return _cell(Image.fromarray(drawing.painted), words)


def empty_cell(title: str, why: str) -> Image.Image:
    """The place of a picture that could not be mapped."""
    words = _words(title, "")
    words.text(why, 2)
    return _cell(Image.new("RGB", (PICTURE_PX, PICTURE_PX * 3 // 4), _NO_PICTURE), words)


def sheets(cells: Iterable[Image.Image], words: str) -> Iterator[Image.Image]:
    """Sheets of cells in order, one in memory at a time. `words`: at the foot of each."""
    each = iter(cells)
    while part := list(itertools.islice(each, PER_SHEET)):
        yield _sheet(part, words)


def contact_sheets(
    maps: Iterable[Mapped[PictureMap]], limits: Limits | None = None, regions: int | None = None
) -> Iterator[Image.Image]:
    """Contact sheets of maps, such as `Engine.iter_maps` gives: one map and one sheet in memory at a time.

    Args:
        maps: Those that failed have a place with their error.
        limits: The values at the ends of the colours of all maps; None: each map's own.
        regions: How many of the most unreal regions to frame; None: as many as the bundle says.
    """
    pending: list[Image.Image] = []
    words = ""
    for each in maps:
        if each.map is None or each.image is None:
            pending.append(empty_cell(each.name, each.error or "not mapped"))
        else:
            legend = each.map.legend
            words = words or footer(
                legend.quantity, legend.covered, legend.plain, each.map.value_meaning, limits
            )
            pending.append(cell(each.map, each.image, limits, regions, Caption(each.name)))
        if len(pending) == PER_SHEET:
            yield from sheets(pending, words)
            pending = []
    yield from sheets(pending, words)


def footer(quantity: str, covered: str, plain: str, numbers: str, limits: Limits | None) -> str:
    """What the colours and numbers of a sheet mean, in the words of a `Legend` and `PictureMap.value_meaning`."""
    span = "each map by its own values" if limits is None else f"from {limits[0]:g} to {limits[1]:g}"
    return f"{quantity}, {span}: magenta is {covered}, what shows bare is {plain}; numbers are {numbers}"


def _words(title: str, score: str) -> Words:
    words = Words(PICTURE_PX + 2 * _GAP, 1.0)
    words.name(title)
    words.text(score, 1)
    return words


def _cell(picture: Image.Image, words: Words) -> Image.Image:
    """A picture of at most `PICTURE_PX` above its words: as high as it needs, all of one width."""
    canvas = Image.new("RGB", (words.width_px, _GAP + picture.height + _WORDS_PX), PAPER)
    canvas.paste(words.drawn(), (0, _GAP + picture.height))
    paste_outlined(canvas, picture, (_GAP + (PICTURE_PX - picture.width) // 2, _GAP))
    return canvas


def _sheet(cells: Sequence[Image.Image], about: str) -> Image.Image:
    """Cells in rows, each as high as its highest cell, the words of a row on one line."""
    columns = min(COLUMNS, math.ceil(math.sqrt(1.5 * len(cells))))
    rows = [cells[first : first + columns] for first in range(0, len(cells), columns)]
    heights = [max(each.height for each in row) for row in rows]
    words = Words(columns * cells[0].width, 1.0)
    words.text(about, 2)
    canvas = Image.new("RGB", (words.width_px, sum(heights) + words.height_px), PAPER)
    bottom = 0
    for row, height in zip(rows, heights, strict=True):
        bottom += height
        for column, each in enumerate(row):
            canvas.paste(each, (column * each.width, bottom - each.height))
    canvas.paste(words.drawn(), (0, bottom))
    return canvas
