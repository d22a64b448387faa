"""What happens to pictures on their way, done to training pictures so that a probe does not live on it.

A view is a function of uint8 RGB (H, W, 3) to the same of another size, perhaps. What is drawn at random depends on
the picture's own pixels and on a seed, not on the file's name, its place or what was drawn before.
"""

import io
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import cv2
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from realm_engine.arrays import UInt8
from realm_train.raise_td import resize

View = Callable[[UInt8], UInt8]

PROBABILITY = 0.5  # of each change in a degraded view
JPEG_QUALITY = (50, 95)
BLUR_SIGMA_PX = (0.0, 2.0)
RESIZE_FACTOR = (0.5, 1.5)
CROPPED_TO = 0.75  # of each side


def training_views(pixels: UInt8, count: int = 4, seed: int = 42) -> list[UInt8]:
    """The picture as it is, and `count` - 1 degraded versions of it; see `degraded`."""
    return [pixels] + [degraded(pixels, generator_of(pixels, seed, view)) for view in range(1, count)]


def generator_of(pixels: UInt8, seed: int, view: int) -> np.random.Generator:
    """The generator of one view of one picture."""
    return np.random.default_rng((seed, view, zlib.crc32(np.ascontiguousarray(pixels).data)))


def degraded(pixels: UInt8, generator: np.random.Generator) -> UInt8:
    """Each with p .5, in this order: mirrored, resized x .5-1.5, blurred by sigma 0-2, saved as JPEG 50-95."""
    does = generator.random(4) < PROBABILITY
    factor, sigma = generator.uniform(*RESIZE_FACTOR), generator.uniform(*BLUR_SIGMA_PX)
    quality = int(generator.integers(*JPEG_QUALITY, endpoint=True))
    steps: tuple[View, ...] = (
        mirrored,
        partial(resized_by, factor=factor),
        partial(blurred, sigma_px=sigma),
        partial(saved_as_jpeg, quality=quality),
    )
    for does_it, step in zip(does, steps, strict=True):
        if does_it:
            pixels = step(pixels)
    return pixels


def mirrored(pixels: UInt8) -> UInt8:
    """Left and right exchanged."""
    return np.ascontiguousarray(pixels[:, ::-1])


def resized_by(pixels: UInt8, factor: float) -> UInt8:
    """Both sides times a factor, by Pillow's antialiased bilinear resize."""
    height, width = (max(1, round(side * factor)) for side in pixels.shape[:2])
    return resize(pixels, height, width)


def blurred(pixels: UInt8, sigma_px: float) -> UInt8:
    """A Gaussian blur; sigma 0 leaves the picture as it is."""
    if sigma_px == 0:
        return pixels
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma_px), np.uint8)


def saved_as_jpeg(pixels: UInt8, quality: int) -> UInt8:
    """What is left after a JPEG of that quality (Pillow's, colour at half resolution)."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


def cropped(pixels: UInt8, share: float = CROPPED_TO) -> UInt8:
    """The centre: that share of each side."""
    height, width = pixels.shape[:2]
    new_h, new_w = max(1, round(height * share)), max(1, round(width * share))
    top, left = (height - new_h) // 2, (width - new_w) // 2
    return np.ascontiguousarray(pixels[top : top + new_h, left : left + new_w])


def as_it_is(pixels: UInt8) -> UInt8:
    """The picture itself."""
    return pixels


FIXED: Mapping[str, View] = MappingProxyType(
    {
        "clean": as_it_is,
        "jpeg90": partial(saved_as_jpeg, quality=90),
        "jpeg70": partial(saved_as_jpeg, quality=70),
        "jpeg50": partial(saved_as_jpeg, quality=50),
        "blur1": partial(blurred, sigma_px=1.0),
        "blur2": partial(blurred, sigma_px=2.0),
        "half": partial(resized_by, factor=0.5),
        "double": partial(resized_by, factor=2.0),
        "crop": cropped,
    }
)
"""The views of an evaluation, each a function of the picture alone."""

PUBLISHED_SHORT_PX, PUBLISHED_PX = 256, 224
_PUBLISHED_SIGMA_PX = (0.0, 3.0)
_PUBLISHED_QUALITY = (30, 100)


def published_training_view(pixels: UInt8, generator: np.random.Generator) -> UInt8:
    """The published augmentation: uint8 (224, 224, 3).

    The short side to 256, bilinear; blur with p .5, sigma uniform in 0-3; JPEG with p .5, quality uniform in 30-100,
    by OpenCV or Pillow at random; a crop anywhere; mirrored with p .5.
    """
    pixels = published_degraded(short_side_to(pixels, PUBLISHED_SHORT_PX), generator)
    top, left = (int(generator.integers(side - PUBLISHED_PX, endpoint=True)) for side in pixels.shape[:2])
    pixels = pixels[top : top + PUBLISHED_PX, left : left + PUBLISHED_PX]
    return mirrored(pixels) if generator.random() < PROBABILITY else np.ascontiguousarray(pixels)


def published_validation_view(pixels: UInt8, generator: np.random.Generator) -> UInt8:
    """What the published code validates on, uint8 (224, 224, 3): blurred and compressed at random as well."""
    return centre_crop(published_degraded(short_side_to(pixels, PUBLISHED_SHORT_PX), generator), PUBLISHED_PX)


def published_degraded(pixels: UInt8, generator: np.random.Generator) -> UInt8:
    """Blur and JPEG of the published augmentation. Between the blur's two passes, whole numbers are cut off."""
    if generator.random() < PROBABILITY:
        sigma = generator.uniform(*_PUBLISHED_SIGMA_PX)
        pixels = np.stack([gaussian_filter(pixels[..., channel], sigma) for channel in range(3)], axis=-1)
    if generator.random() < PROBABILITY:
        quality = int(generator.integers(*_PUBLISHED_QUALITY, endpoint=True))
        by_opencv = generator.random() < 0.5
        pixels = _jpeg_of_opencv(pixels, quality) if by_opencv else saved_as_jpeg(pixels, quality)
    return pixels


def short_side_to(pixels: UInt8, short_px: int, interpolation: str = "bilinear") -> UInt8:
    """Resized so that the short side is `short_px` and the long one int(short_px * long / short)."""
    height, width = pixels.shape[:2]
    short = min(height, width)
    return resize(pixels, short_px * height // short, short_px * width // short, interpolation)


def centre_crop(pixels: UInt8, size_px: int) -> UInt8:
    """The centre, (size_px, size_px, 3), of a picture that is at least as large."""
    top, left = (round((side - size_px) / 2) for side in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + size_px, left : left + size_px])


def _jpeg_of_opencv(pixels: UInt8, quality: int) -> UInt8:
    _, content = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])
