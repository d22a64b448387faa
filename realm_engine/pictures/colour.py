"""Colour profiles: what a picture's file says of its colours, and what makes sRGB of them.

The models learnt from sRGB. The conversion is that of Little CMS through Pillow, 8 bits in and out, with the perceptual
intent, which is Pillow's default.
"""

from __future__ import annotations

import functools
import io
import logging
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

from realm_engine.arrays import UInt8

log = logging.getLogger("realm_engine")

LARGEST_BYTES = 16 << 20
"""Largest profile that is used; those of printers have a few megabytes."""

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # by the colour space of a profile
_NEAR_LEVELS = (
    1  # a profile that moves no colour further is sRGB under another name: rounding is no correction
)
_KEPT = 8


@dataclass(frozen=True)
class Conversion:
    """Makes sRGB of pictures with one profile. `mode`: of the Pillow images that the profile describes."""

    mode: str
    transform: ImageCms.ImageCmsTransform

    def rgb(self, image: Image.Image) -> UInt8:
        """The pixels of an image in sRGB, uint8 H x W x 3; alpha is left out. May be called from several threads."""
        colours = image if image.mode == self.mode else image.convert("RGB").convert(self.mode)
        return np.asarray(self.transform.apply(colours))


def conversion_of(image: Image.Image, name: str) -> Conversion | None:
    """What makes sRGB of an image; None where it is sRGB, or its profile cannot be used, which is logged."""
    if "icc_profile" not in image.info:
        return None
    try:
        return conversion_to_srgb(image.info["icc_profile"], image.mode)
    except ValueError as error:
        log.warning(
            "%s: its colour profile cannot be used (%s); its colours are read as sRGB",
            name,
            error,
            extra={"once": f"profile: {error}"},
        )
        return None


def conversion_to_srgb(profile: bytes | None, mode: str) -> Conversion | None:
    """What makes sRGB of a Pillow image of this mode with this ICC profile; None where it is sRGB already.

    Raises ValueError, with the cause in words, for a profile that is broken or describes other pictures.
    """
    if not profile:
        raise ValueError("it is broken")
    if len(profile) > LARGEST_BYTES:
        raise ValueError(f"it has {len(profile) >> 20} MB, the largest that is used {LARGEST_BYTES >> 20} MB")
    try:
        found, space = _conversion(bytes(profile))
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError) as error:
        raise ValueError(" ".join(str(error).split()) or "it is broken") from error
    except ImportError as error:
        raise ValueError("this Pillow was built without Little CMS") from error
    grey = mode in ("1", "L", "LA", "La") or mode.startswith(("I", "F"))
    describes = {
        "RGB": mode != "CMYK",
        "L": grey,
        "CMYK": mode == "CMYK",
    }  # grey is a colour, no colour is grey
    if not describes[space]:
        raise ValueError(f"it describes {space} and the picture is {mode}")
    return found


@functools.lru_cache(maxsize=_KEPT)
def _conversion(profile: bytes) -> tuple[Conversion | None, str]:
    """The conversion, None where it changes nothing, and the mode that the profile describes."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = source.profile.xcolor_space.strip()
    if space not in _MODES:
        raise ValueError(f"it describes {space}, which is none of {', '.join(_MODES)}")
    mode = _MODES[space]
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    found = Conversion(mode, transform)
    return (None if _changes_nothing(found) else found), mode


def _changes_nothing(conversion: Conversion) -> bool:
    if conversion.mode == "CMYK":
        return False
    levels = np.arange(256, dtype=np.uint8)
    if conversion.mode == "L":
        before = np.repeat(levels[None, :, None], 3, axis=2)
        after = conversion.rgb(Image.fromarray(levels[None]))
    else:
        steps = levels[::15]  # 0, 15, ... 255
        before = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
        after = conversion.rgb(Image.fromarray(before))
    return int(np.abs(after.astype(np.int16) - before).max()) <= _NEAR_LEVELS
