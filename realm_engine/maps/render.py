"""Pictures of a map: a heat map, and an overlay with a colour bar that says which end is unreal.

Colours are for looking, values are in the .npy file. Whichever quantity a map holds, what looks real shows the
picture untouched, and the less real a place looks, the more it is covered: faintly with yellow, then with pink,
the worst with magenta; which end of the values that is the map's `Legend` says. The table (colours.csv, for every
host) is written by recipes/colours.py, which says why.
Pure functions on arrays.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from realm_engine.arrays import Bool, Float32, UInt8
from realm_engine.maps.picture_map import Legend

Limits = tuple[float, float]
Box = tuple[int, int, int, int]

# A map without contrast must look flat: stretching less than this to the full range would show only noise.
MINIMUM_SPAN = 0.02
LEAST_FIXED = 1e-3  # smaller numbers at the colour bar have exponents
_TABLE = Path(__file__).with_name("colours.csv")
_MINIMUM_HEIGHT = 256  # the labels of the colour bar need as much
_UNCOVERED = (128, 128, 128)
_INK, _PAPER = (30, 30, 30), (255, 255, 255)
_CHECKS = (255, 205)  # what image editors show behind what is transparent


def colour_limits(values: Float32, covered: Bool | None = None) -> Limits:
    """Lowest and highest covered value of a map (H, W), widened to at least `MINIMUM_SPAN`.

    Returns (0, `MINIMUM_SPAN`) when nothing is covered.
    """
    used = values if covered is None else values[covered]
    if used.size == 0:
        return 0.0, MINIMUM_SPAN
    low, high = float(used.min()), float(used.max())
    missing = max(0.0, MINIMUM_SPAN - (high - low)) / 2.0
    return low - missing, high + missing


def heatmap(
    values: Float32, legend: Legend, covered: Bool | None = None, limits: Limits | None = None
) -> UInt8:
    """Colour a map on white: uint8 RGB, H x W x 3, magenta at the covered end.

    Args:
        values: float (H, W).
        legend: Which end of the values colours cover.
        covered: bool (H, W), False where no window was; those pixels are grey. None: all are covered.
        limits: The values at the ends of the colour map; by default `colour_limits` of the map.
    """
    paper = np.full((*values.shape, 3), _PAPER, np.uint8)
    coloured = lay_over(paper, _unrealness(values, legend, limits or colour_limits(values, covered)))
    if covered is not None:
        coloured[~covered] = _UNCOVERED
    return coloured


def overlay(
    image: UInt8,
    values: Float32,
    legend: Legend,
    covered: Bool | None = None,
    limits: Limits | None = None,
    boxes: Sequence[Box] = (),
) -> UInt8:
    """Lay a map over its image, the denser the less real, with a colour bar to the right.

    Args:
        image: uint8 RGB, H x W x 3.
        values: The map, float (H, W); `legend`, `covered` and `limits` as for `heatmap`.
        covered: Pixels that no window covered show the bare image.
        boxes: Regions to frame and number, (x, y, width, height) in pixels of the image.

    Returns:
        uint8 RGB, larger than the image by the colour bar; a small image is enlarged by a whole factor so
        that the labels stay legible.
    """
    limits = limits or colour_limits(values, covered)
    framed, unit = _painted(image, values, legend, covered, limits, boxes)
    height = max(framed.shape[0], _MINIMUM_HEIGHT)
    bar = _colour_bar(height, unit, legend, limits)
    canvas = np.full((height, framed.shape[1] + bar.shape[1], 3), 255, np.uint8)
    canvas[: framed.shape[0], : framed.shape[1]] = framed
    canvas[:, framed.shape[1] :] = bar
    return canvas


def painted(
    image: UInt8,
    values: Float32,
    legend: Legend,
    covered: Bool | None = None,
    limits: Limits | None = None,
    boxes: Sequence[Box] = (),
) -> UInt8:
    """The picture of an `overlay` without its colour bar, uint8 RGB."""
    return _painted(image, values, legend, covered, limits or colour_limits(values, covered), boxes)[0]


def _painted(
    image: UInt8, values: Float32, legend: Legend, covered: Bool | None, limits: Limits, boxes: Sequence[Box]
) -> tuple[UInt8, float]:
    """Map and frames on the image, and the width of a line there in pixels."""
    factor = -(-_MINIMUM_HEIGHT // image.shape[0]) if max(image.shape[:2]) < _MINIMUM_HEIGHT else 1
    # Blended at the image's own size: an enlarged pixel stays one colour.
    picture = lay_over(image, _unrealness(values, legend, limits))
    if covered is not None:
        picture[~covered] = image[~covered]
    picture = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    unit = max(1.0, min(picture.shape[:2]) / 384.0)
    return _frame(picture, [tuple(factor * edge for edge in box) for box in boxes], unit), unit  # type: ignore[misc]


def _unrealness(values: Float32, legend: Legend, limits: Limits) -> Float32:
    """Scale to 0 (real end of the limits) .. 1 (unreal end)."""
    low, high = limits
    known = np.nan_to_num(values.astype(np.float32), nan=low)  # uncovered: whoever draws leaves them out
    scaled: Float32 = np.clip((known - low) / max(high - low, 1e-12), 0.0, 1.0)
    return 1.0 - scaled if legend.low_is_covered else scaled


def lay_over(ground: UInt8, unrealness: Float32) -> UInt8:
    """Lay the colours of unrealness, float (H, W) in 0..1, over a ground, uint8 (H, W, 3): uint8 (H, W, 3).

    In integers and rounded to nearest, so that every host draws the same.
    """
    levels = np.floor(np.clip(unrealness, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    table = colours()[levels].astype(np.int32)
    colour, alpha = table[:, :, :3], table[:, :, 3:]
    return np.asarray((ground * (255 - alpha) + colour * alpha + 127) // 255, dtype=np.uint8)


@lru_cache(maxsize=1)
def colours() -> UInt8:
    """uint8 (256, 4), read-only: red, green, blue and alpha of the levels from real to unreal."""
    table = np.loadtxt(_TABLE, np.uint8, delimiter=",", skiprows=1)
    table.setflags(write=False)
    return table


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _frame(picture: UInt8, boxes: Sequence[Box], unit: float) -> UInt8:
    """Draw numbered frames, light with a dark edge so that they show on any ground."""
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    line = max(1, round(unit))
    font = _font(12 * unit)
    for number, (x, y, width, height) in enumerate(boxes, start=1):
        right, bottom = x + width - 1, y + height - 1
        draw.rectangle((x, y, right, bottom), outline=_INK, width=line + 2)
        if min(width, height) > 2:
            draw.rectangle((x + 1, y + 1, right - 1, bottom - 1), outline=_PAPER, width=line)
        draw.text(
            (x + 4 + line, y + 2 + line),
            str(number),
            fill=_PAPER,
            font=font,
            stroke_width=line,
            stroke_fill=_INK,
        )
    return np.asarray(canvas)


def _colour_bar(height: int, unit: float, legend: Legend, limits: Limits) -> UInt8:
    """The legend: unreal end above, real (transparent) end below, a value at either and in the middle."""
    width, margin, bar_width = (round(pixels * unit) for pixels in (92, 14, 18))
    line_height = round(17 * unit)
    top, bottom = margin + line_height, height - margin - line_height
    canvas = Image.new("RGB", (width, height), _PAPER)
    length, check = bottom - top, max(1, bar_width // 4)
    odd = (np.arange(length)[:, None] // check + np.arange(bar_width) // check) % 2
    ground = np.array(_CHECKS, np.uint8)[odd][:, :, None].repeat(3, axis=2)
    ramp = lay_over(
        ground, np.linspace(1.0, 0.0, length, dtype=np.float32)[:, None].repeat(bar_width, axis=1)
    )
    canvas.paste(Image.fromarray(ramp), (margin, top))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((margin - 1, top - 1, margin + bar_width, bottom), outline=_INK, width=max(1, round(unit)))
    label, small = _font(14 * unit), _font(12 * unit)
    draw.text((margin, top - 4 * unit), legend.covered, fill=_INK, font=label, anchor="ls")
    draw.text((margin, bottom + 4 * unit), legend.plain, fill=_INK, font=label, anchor="la")
    unreal, real = limits if legend.low_is_covered else limits[::-1]
    text_left = margin + bar_width + 6 * unit
    digits = ".3f" if max(map(abs, limits)) >= LEAST_FIXED else ".1e"
    for share, anchor in ((0.0, "la"), (0.5, "lm"), (1.0, "ls")):
        y = top + share * (bottom - top)
        value = unreal + share * (real - unreal)
        draw.text((text_left, y), f"{value:{digits}}", fill=_INK, font=small, anchor=anchor)
    name = Image.new("RGB", (round(small.getlength(legend.quantity)) + 2, round(16 * unit)), _PAPER)
    ImageDraw.Draw(name).text((1, name.height / 2), legend.quantity, fill=_INK, font=small, anchor="lm")
    turned = name.rotate(90, expand=True)
    quarter = top + (bottom - top) // 4  # between two values, so that it touches neither
    canvas.paste(turned, (round(text_left), quarter - turned.height // 2))
    return np.asarray(canvas)
