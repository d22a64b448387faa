"""Photographs before a flaw is put into them, and what happens to good ones on their way."""

import math

import cv2
import numpy as np

from realm_engine.arrays import UInt8

PICTURE_PX = 512
"""Longer side of the pictures that maps are judged on; flaws are put into photographs of about this size."""


def augment(image: UInt8, rng: np.random.Generator, least_px: int = 0) -> UInt8:
    """A random part of a photograph at a random scale, mirrored at random, its exposure varied.

    Its sides have `least_px` at least: a part that is smaller is enlarged, as others are now and then. A large
    photograph is first reduced to about `PICTURE_PX`, or to a part of it of that size or more.
    """
    image = usual_size(image, rng)
    height, width = image.shape[:2]
    share = rng.uniform(0.6, 1.0)
    h, w = max(96, int(height * share)), max(96, int(width * share))
    h, w = min(h, height), min(w, width)
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    part = image[y : y + h, x : x + w]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    if rng.random() < 0.6 or min(h, w) < least_px:
        scale = max(rng.uniform(0.8, 1.0) / share, least_px / min(h, w))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        size = (max(160, least_px, int(w * scale)), max(160, least_px, int(h * scale)))
        part = np.asarray(cv2.resize(part, size, interpolation=way), np.uint8)
    if rng.random() < 0.5:
        levels = np.arange(256) / 255
        curve = np.clip(levels ** rng.uniform(0.75, 1.33) * rng.uniform(0.85, 1.15), 0, 1)
        part = np.floor(curve * 255 + 0.5).astype(np.uint8)[part]
    return np.ascontiguousarray(part)


def usual_size(image: UInt8, rng: np.random.Generator) -> UInt8:
    """A part of a large photograph, its longer side about `PICTURE_PX`: a little of it in detail or all of it small.

    A photograph that is not much larger stays as it is.
    """
    longer = max(image.shape[:2])
    if longer <= 1.5 * PICTURE_PX:
        return image
    share = math.exp(rng.uniform(math.log(PICTURE_PX / longer), 0))
    height, width = (max(1, round(length * share)) for length in image.shape[:2])
    y, x = (
        int(rng.integers(length - part + 1))
        for length, part in zip(image.shape[:2], (height, width), strict=True)
    )
    scale = rng.uniform(1.0, 1.4) * PICTURE_PX / max(height, width)
    part = image[y : y + height, x : x + width]
    if scale >= 1:
        return part
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)


def enlarge(image: UInt8, least_px: int) -> UInt8:
    """The image, its shorter side `least_px` at least."""
    shorter = min(image.shape[:2])
    if shorter >= least_px:
        return image
    height, width = (max(least_px, round(length * least_px / shorter)) for length in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def compress(image: UInt8, rng: np.random.Generator) -> UInt8:
    """Through JPEG at a quality of 60 to 95."""
    quality = int(rng.integers(60, 96))
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


def edit(image: UInt8, rng: np.random.Generator) -> UInt8:
    """A mild blur, sharpening or noise over the whole image."""
    way = int(rng.integers(3))
    if way == 0:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.0)), np.uint8)
    if way == 1:
        blurred = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 2.0))
        amount = rng.uniform(0.2, 0.8)
        return np.asarray(cv2.addWeighted(image, 1 + amount, blurred, -amount, 0), np.uint8)
    noisy = image + rng.normal(0, rng.uniform(0.5, 4.0), image.shape)
    return np.asarray(np.clip(noisy + 0.5, 0, 255), np.uint8)


def benign(image: UInt8, rng: np.random.Generator) -> UInt8:
    """What makes no picture less real: JPEG, a smaller size, a cut edge, another exposure, or a mild `edit`."""
    height, width = image.shape[:2]
    way = int(rng.integers(6))
    if way == 0:
        return compress(image, rng)
    if way == 1:
        scale = rng.uniform(0.6, 0.95)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    if way == 2:
        top, bottom, left, right = (
            int(rng.uniform(0, 0.05) * side) for side in (height, height, width, width)
        )
        return image[top : height - bottom, left : width - right]
    if way == 3:
        lighter = image * rng.uniform(0.85, 1.15) + rng.uniform(-12, 12)
        return np.asarray(np.clip(lighter + 0.5, 0, 255), np.uint8)
    return edit(image, rng)
