"""Pictures of a map for people: an overlay with its legend and words, and a panel.

Both show the picture with its map and the numbered regions, and say what a viewer asks: which picture, what its score
is, for which text, what the numbered regions are worth, and where the map says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from realm_engine.arrays import Bool, Float32, UInt8
from realm_engine.maps import render
from realm_engine.maps.colour_bar import LEAST_HEIGHT, colour_bar
from realm_engine.maps.picture_map import Box, PictureMap
from realm_engine.maps.words import TITLE, Words

LEAST_LONGEST_PX = 256
"""A picture that is smaller is enlarged by a whole factor, so that words beside it are in proportion."""
_UNIT_OF = 768  # pixels of the longer side for a line of one pixel and letters of twelve
_UNIT_AT_MOST = 1 / 128  # of the shorter side
_LEAST_WIDTH = 360  # of an overlay with words
_WORDS_WIDTH = 230  # in a panel
_PANEL_HEIGHT = 300  # at least
_GAP = 8
_EDGE = (210, 210, 210)
_LINES = 3  # of a text under an overlay
_LINES_OF_PANEL = 30


@dataclass(frozen=True)
class Caption:
    """What the words beside a map begin with: the name of the picture and its score, each "" for none."""

    title: str = ""
    score: str = ""


@dataclass(frozen=True)
class Drawing:
    """A map at the size at which it is drawn.

    `original` and `painted`, with frames: uint8 RGB of one size. `unit`: pixels that a line is wide. `values`: of each
    region, and `places`, in pixels of the picture that was mapped.
    """

    original: UInt8
    painted: UInt8
    unit: float
    values: tuple[str, ...]
    places: tuple[str, ...]


def draw(
    result: PictureMap,
    image: UInt8,
    limits: render.Limits,
    regions: int | None = None,
    longest_px: int | None = None,
) -> Drawing:
    """Lay a map over its picture and frame its regions.

    Args:
        result: The map.
        image: uint8 RGB (H, W, 3), the picture of the map.
        limits: The values at the ends of the colours.
        regions: How many of the most unreal regions to frame; None: as many as the bundle says.
        longest_px: The longer side that is drawn at most; None: the picture's own.
    """
    boxes = result.regions(regions)
    values, covered, step_px = result.values, result.covered, result.step_px
    longest = max(image.shape[:2])
    scale: float = 1
    if longest_px is not None and longest > longest_px:
        scale = longest_px / longest
        size = tuple(max(1, round(scale * side)) for side in image.shape[1::-1])
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))  # type: ignore[arg-type]
        values, covered = _smaller(values, covered, size)
        step_px = max(1, round(scale * step_px))
    picture = render.painted(image, values, result.legend, covered, limits, step_px)
    if longest < LEAST_LONGEST_PX:
        times = -(-LEAST_LONGEST_PX // longest) if longest_px is None else max(1, longest_px // longest)
        scale *= times
        image, picture = (each.repeat(times, axis=0).repeat(times, axis=1) for each in (image, picture))
    shorter, longer = sorted(picture.shape[:2])
    unit = max(1.0, min(longer / _UNIT_OF, shorter * _UNIT_AT_MOST))
    return Drawing(
        image,
        render.framed(picture, [_scaled(box, scale, picture.shape) for box in boxes], unit),
        unit,
        tuple(f"{result.value_of(box):.3f}" for box in boxes),
        tuple(f"{box.width} x {box.height} px at {box.x}, {box.y}" for box in boxes),
    )


def _smaller(values: Float32, covered: Bool, size: tuple[int, ...]) -> tuple[Float32, Bool]:
    """A map at a smaller size (width, height): means of what is covered."""
    total, weight = (
        cv2.resize(each, size, interpolation=cv2.INTER_AREA)
        for each in (np.where(covered, values, np.float32(0.0)), covered.astype(np.float32))
    )
    return np.asarray(total / np.maximum(weight, 1e-12), dtype=np.float32), np.asarray(weight >= 0.5)


def _scaled(box: Box, scale: float, shape: Sequence[int]) -> render.Box:
    """A box in pixels of what is drawn, of at least one, inside it."""
    left, top = (min(round(scale * at), side - 1) for at, side in ((box.x, shape[1]), (box.y, shape[0])))
    right = min(round(scale * (box.x + box.width)), shape[1])
    bottom = min(round(scale * (box.y + box.height)), shape[0])
    return left, top, max(1, right - left), max(1, bottom - top)


def overlay(drawing: Drawing, result: PictureMap, limits: render.Limits, caption: Caption) -> Image.Image:
    """The picture with its map; the colour bar to its right, words below.

    The picture's own corner is that of the figure: where it is not enlarged, a pixel of one is that pixel of the other.
    """
    picture, unit = drawing.painted, drawing.unit
    bar = colour_bar(max(picture.shape[0], round(LEAST_HEIGHT * unit)), unit, result.legend, limits)
    width = max(picture.shape[1] + bar.shape[1], round(_LEAST_WIDTH * unit))
    beside = picture.shape[0] < bar.shape[0]  # of a wide picture: there is room for words left of the bar
    words = Words(width - bar.shape[1] * beside, unit)
    words.title(caption.title, caption.score)
    words.text(result.wording, _LINES)
    words.row(drawing.values, result.value_meaning)
    for note in result.notes():
        words.text(note, 2)
    block = words.drawn()
    top = picture.shape[0]
    canvas = Image.new("RGB", (width, max(bar.shape[0], top + block.height)), render.PAPER)
    canvas.paste(Image.fromarray(bar), (width - bar.shape[1], 0))
    canvas.paste(block, (0, top))
    paste_outlined(canvas, Image.fromarray(picture), (0, 0), unit)
    return canvas


def panel(drawing: Drawing, result: PictureMap, limits: render.Limits, caption: Caption) -> Image.Image:
    """The picture, the same with its map, and the legend with all words, side by side."""
    height, width, _ = drawing.painted.shape
    unit = drawing.unit
    tall, gap = max(height, round(_PANEL_HEIGHT * unit)), round(_GAP * unit)
    bar = colour_bar(tall, unit, result.legend, limits)
    words = Words(round(_WORDS_WIDTH * unit), unit)
    words.text(caption.title, 2, TITLE)
    words.text(caption.score, 2)
    rest = Words(words.width_px, unit)
    rest.table(drawing.values, drawing.places, result.value_meaning)
    for note in result.notes():
        rest.text(note, 3)
    words.text(result.wording, words.lines_within(tall - rest.height_px, _LINES_OF_PANEL))
    blocks = [Image.fromarray(each) for each in (drawing.original, drawing.painted, bar)] + [words.drawn()]
    lefts = [0, width + gap, 2 * width + gap, 2 * width + gap + bar.shape[1]]
    size = (lefts[-1] + words.width_px, max(tall, words.height_px + rest.height_px))
    canvas = Image.new("RGB", size, render.PAPER)
    for left, block in zip(lefts, blocks, strict=True):
        canvas.paste(block, (left, 0))
    canvas.paste(rest.drawn(), (lefts[-1], words.height_px))
    for left, block in list(zip(lefts, blocks, strict=True))[:2]:
        paste_outlined(canvas, block, (left, 0), unit)
    return canvas


def paste_outlined(
    canvas: Image.Image, picture: Image.Image, corner: tuple[int, int], unit: float = 1.0
) -> None:
    """Paste a picture with a faint line round it, outside: a light one would have no edge on paper."""
    line = max(1, round(unit / 2))
    left, top = corner
    around = (left - line, top - line, left + picture.width + line - 1, top + picture.height + line - 1)
    ImageDraw.Draw(canvas).rectangle(around, outline=_EDGE, width=line)
    canvas.paste(picture, corner)
