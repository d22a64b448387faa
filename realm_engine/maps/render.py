"""The colours of a map: a heat map, and a picture with its map laid over it.

Colours are for looking, values are in the .npy file. Whichever quantity a map holds, what looks real shows the
picture untouched, and the less real a place looks, the more it is covered: faintly with yellow, then with pink,
the worst with magenta; which end of the values that is the map's `Legend` says. The table (colours.csv, for every
host) is written by recipes/colours.py, which says why. Values that come in blocks are joined by straight lines.
Pure functions on arrays.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from realm_engine.arrays import Bool, Float32, UInt8
from realm_engine.maps.picture_map import Legend

Limits = tuple[float, float]
Box = tuple[int, int, int, int]

# A map without contrast must look flat: stretching less than this to the full range would show only noise.
MINIMUM_SPAN = 0.02
INK, PAPER = (30, 30, 30), (255, 255, 255)
BADGE = 16  # units that the number of a region is wide and high
_TABLE = Path(__file__).with_name("colours.csv")
_UNCOVERED = (128, 128, 128)
_STRIP_PX = (
    1 << 20
)  # pixels that are coloured at once: what is in between takes ten times the memory of the picture


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


def interpolated(values: Float32, step_px: int, covered: Bool | None = None) -> Float32:
    """A map that comes in blocks, with straight lines from the middle of a block to that of the next: float32 (H, W).

    That is the mean over a box as wide as a block; along the borders values stay what they are.

    Args:
        values: float (H, W).
        step_px: The width of a block; of 1 nothing changes.
        covered: bool (H, W); pixels that are not count for nothing, and are NaN. None: all are covered.
    """
    step_px = min(step_px, max(values.shape))
    if step_px <= 1:
        return values
    box = np.full(step_px + 1 - step_px % 2, 1.0 / step_px)
    if step_px % 2 == 0:  # as wide, but with a pixel in its middle
        box[[0, -1]] /= 2.0
    known = np.ones(values.shape, bool) if covered is None else covered
    total, weight = (
        cv2.sepFilter2D(each, cv2.CV_32F, box, box, borderType=cv2.BORDER_CONSTANT)
        for each in (np.where(known, values, np.float32(0.0)).astype(np.float32), known.astype(np.float32))
    )
    return np.where(known, total / np.maximum(weight, 1e-12), np.float32(np.nan)).astype(np.float32)


def heatmap(
    values: Float32,
    legend: Legend,
    covered: Bool | None = None,
    limits: Limits | None = None,
    step_px: int = 1,
) -> UInt8:
    """Colour a map on white: uint8 RGB, H x W x 3, magenta at the covered end.

    Args:
        values: float (H, W).
        legend: Which end of the values colours cover.
        covered: bool (H, W), False where no window was; those pixels are grey. None: all are covered.
        limits: The values at the ends of the colour map; by default `colour_limits` of the map.
        step_px: The blocks that values come in; they are `interpolated`.
    """
    picture = np.full((*values.shape, 3), PAPER, np.uint8)
    _colour(picture, values, legend, covered, limits or colour_limits(values, covered), step_px)
    if covered is not None:
        picture[~covered] = _UNCOVERED
    return picture


def painted(
    image: UInt8,
    values: Float32,
    legend: Legend,
    covered: Bool | None = None,
    limits: Limits | None = None,
    step_px: int = 1,
) -> UInt8:
    """Lay a map over its image, the denser the less real: uint8 RGB, H x W x 3.

    Args:
        image: uint8 RGB, H x W x 3.
        values: The map, float (H, W); `legend`, `limits` and `step_px` as for `heatmap`.
        covered: Pixels that no window covered show the bare image.
    """
    picture = np.array(image)
    _colour(picture, values, legend, covered, limits or colour_limits(values, covered), step_px)
    return picture


def _colour(
    picture: UInt8, values: Float32, legend: Legend, covered: Bool | None, limits: Limits, step_px: int
) -> None:
    """Lay a map over a picture in place, some rows at a time."""
    half = step_px // 2
    for rows in _strips(*values.shape):
        above, below = max(0, rows.start - half), rows.stop + half  # what the box of these rows reaches
        known = None if covered is None else covered[above:below]
        smooth = interpolated(values[above:below], step_px, known)[rows.start - above :][
            : rows.stop - rows.start
        ]
        levels = _unrealness(smooth, legend, limits)
        if known is not None:
            levels[~covered[rows]] = 0.0  # type: ignore[index]
        picture[rows] = lay_over(picture[rows], levels)


def _strips(height: int, width: int) -> Iterator[slice]:
    """Rows from the first to the last, so many at a time that they hold `_STRIP_PX`."""
    step = max(1, _STRIP_PX // max(1, width))
    for first in range(0, height, step):
        yield slice(first, min(height, first + step))


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


def framed(picture: UInt8, boxes: Sequence[Box], unit: float) -> UInt8:
    """Draw numbered frames, light with a dark edge so that they show on any ground: uint8 RGB, H x W x 3.

    Args:
        picture: uint8 RGB, H x W x 3.
        boxes: (x, y, width, height) in pixels of the picture.
        unit: The width of a line, in pixels.
    """
    if not boxes:
        return picture
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    line, edge = max(1, round(unit)), max(1, round(unit / 2))
    for x, y, width, height in boxes:
        right, bottom = x + width - 1, y + height - 1
        draw.rectangle((x, y, right, bottom), outline=INK, width=line + 2 * edge)
        if min(width, height) > 2 * edge:
            draw.rectangle((x + edge, y + edge, right - edge, bottom - edge), outline=PAPER, width=line)
    half = BADGE * unit / 2
    for number, (x, y, _, _) in enumerate(boxes, start=1):  # above all frames, and inside the picture
        middle = (min(x + half, canvas.width - half), min(y + half, canvas.height - half))
        badge(draw, middle, number, unit)
    return np.asarray(canvas)


def badge(draw: ImageDraw.ImageDraw, middle: tuple[float, float], number: int, unit: float) -> None:
    """Draw the number of a region, white on dark."""
    half = BADGE * unit / 2
    (x, y), font = middle, ImageFont.load_default(11 * unit)
    around = (x - half, y - half, x + half, y + half)
    draw.rounded_rectangle(around, 3 * unit, fill=INK, outline=PAPER, width=max(1, round(unit / 2)))
    draw.text(middle, str(number), fill=PAPER, font=font, anchor="mm")
