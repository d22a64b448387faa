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
