"""The legend of a map's colours: which end is unreal, what the quantity is called, and the values."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from realm_engine.arrays import UInt8
from realm_engine.maps.picture_map import Legend
from realm_engine.maps.render import INK, PAPER, Limits, lay_over

LEAST_HEIGHT = 256
"""Pixels at a unit of 1 that the labels need."""
WIDTH = 92
"""Pixels at a unit of 1."""
_LEAST_FIXED = 1e-3  # smaller numbers have exponents
_MARGIN, _RAMP, _LINE = 14, 18, 17
_CHECKS = (255, 205)  # what image editors show behind what is transparent


def colour_bar(height: int, unit: float, legend: Legend, limits: Limits) -> UInt8:
    """The legend, uint8 RGB, `height` x `WIDTH` units: unreal end above, real (transparent) end below.

    A value stands at either end and in the middle, the name of the quantity along the bar. `height`: pixels, at least
    `LEAST_HEIGHT` units. `unit`: pixels that a line is wide.
    """
    width, margin, ramp_width, line = (round(pixels * unit) for pixels in (WIDTH, _MARGIN, _RAMP, _LINE))
    top, bottom = margin + line, height - margin - line
    canvas = Image.new("RGB", (width, height), PAPER)
    canvas.paste(Image.fromarray(_ramp(bottom - top, ramp_width)), (margin, top))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((margin - 1, top - 1, margin + ramp_width, bottom), outline=INK, width=max(1, round(unit)))
    label, small = ImageFont.load_default(14 * unit), ImageFont.load_default(12 * unit)
    draw.text((margin, top - 4 * unit), legend.covered, fill=INK, font=label, anchor="ls")
    draw.text((margin, bottom + 4 * unit), legend.plain, fill=INK, font=label, anchor="la")
    unreal, real = limits if legend.low_is_covered else limits[::-1]
    text_left = margin + ramp_width + 6 * unit
    digits = ".3f" if max(map(abs, limits)) >= _LEAST_FIXED else ".1e"
    for share, anchor in ((0.0, "la"), (0.5, "lm"), (1.0, "ls")):
        y = top + share * (bottom - top)
        value = unreal + share * (real - unreal)
        draw.text((text_left, y), f"{value:{digits}}", fill=INK, font=small, anchor=anchor)
    name = Image.new("RGB", (round(small.getlength(legend.quantity)) + 2, round(16 * unit)), PAPER)
    ImageDraw.Draw(name).text((1, name.height / 2), legend.quantity, fill=INK, font=small, anchor="lm")
    turned = name.rotate(90, expand=True)
    quarter = top + (bottom - top) // 4  # between two values, so that it touches neither
    canvas.paste(turned, (round(text_left), quarter - turned.height // 2))
    return np.asarray(canvas)


def _ramp(height: int, width: int) -> UInt8:
    """All colours from the unreal end down, on a chequered ground that shows through them: uint8 RGB."""
    check = max(1, width // 4)
    odd = (np.arange(height)[:, None] // check + np.arange(width) // check) % 2
    ground = np.array(_CHECKS, np.uint8)[odd][:, :, None].repeat(3, axis=2)
    return lay_over(ground, np.linspace(1.0, 0.0, height, dtype=np.float32)[:, None].repeat(width, axis=1))
