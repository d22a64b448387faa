"""What the command line needs before any work. Nothing heavy is imported: help must be there at once."""

from __future__ import annotations

from typing import Protocol

from realm_engine.measures import profiles
from realm_engine.runtimes.words import Device, Precision

DEFAULT_BUNDLE = "realm-tiny"
DEVICES = tuple(device.value for device in Device)
PRECISIONS = ("auto", *(precision.value for precision in Precision))
DEFAULT_PROFILE, PROFILES = profiles.DEFAULT, profiles.PROFILES
BUILDERS = (Device.TENSORRT.value, Device.TENSORRT_RTX.value)


class Advance(Protocol):
    """Takes how many of the total are done so far (fractions count), and what else there is to say."""

    def __call__(self, done: float, note: str = "") -> None:
        """Show it."""


def spoken(seconds: float) -> str:
    """A time as people say it, of its two largest units: "45 s", "3 min 20 s", "2 h 51 min", "3 d 4 h"."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    first = next(index for index, (_, size) in enumerate(units[:-1]) if whole >= size)
    (large, size), (small, part) = units[first], units[first + 1]
    # Rounded to the smaller unit, which may make one more of the larger.
    count = round(whole / part) * part
    rest = count % size // part
    return f"{count // size} {large}" + (f" {rest} {small}" if rest else "")
