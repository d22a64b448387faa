"""Random changes of a training image that leave its realness alone. Validation never comes through here."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from realm_engine.arrays import Float32, Float64, UInt8
from realm_train.errors import ConfigError
from realm_train.raise_td import resize

_GREY = np.array([0.2989, 0.587, 0.114], np.float32)  # ITU-R 601-2 luma, as in PIL and torchvision


@dataclass(frozen=True)
class AugmentConfig:
    """Strengths; the defaults change nothing.

    Attributes:
        flip: Probability of a horizontal flip.
        rotation_deg: Rotation by a uniform angle of at most this many degrees either way.
        crop_scale: Smallest share of the image's area that a crop keeps, (0, 1]; 1 takes no crop.
        crop_ratio: Largest factor by which a crop's aspect ratio departs from the image's, at least 1.
        brightness: Factor drawn from [1 - b, 1 + b]; contrast and saturation likewise.
        contrast: See brightness.
        saturation: See brightness.
        hue: Shift of the hue in turns, drawn from [-h, h], at most 0.5.
        border: What a rotation brings in from outside: "black" or "reflect".
        interpolation: "nearest" or "bilinear".
    """

    flip: float = 0.0
    rotation_deg: float = 0.0
    crop_scale: float = 1.0
    crop_ratio: float = 1.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    border: str = "reflect"
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        for name, low, high in (
            ("flip", 0, 1),
            ("rotation_deg", 0, 180),
            ("crop_scale", 0.01, 1),
            ("crop_ratio", 1, 10),
            ("brightness", 0, 1),
            ("contrast", 0, 1),
            ("saturation", 0, 1),
            ("hue", 0, 0.5),
        ):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"augmentation: {name} is {getattr(self, name)}, expected {low} to {high}")
        if self.border not in _BORDERS:
            raise ConfigError(f"augmentation: border is {self.border!r}, expected black or reflect")
        if self.interpolation not in _INTERPOLATIONS:
            raise ConfigError(
                f"augmentation: interpolation is {self.interpolation!r}, expected nearest or bilinear"
            )

    @property
    def margin(self) -> float:
        """How much more resolution than the model's a crop can make use of."""
        return min(1.0 / math.sqrt(self.crop_scale), 1.5)


_BORDERS = {"black": cv2.BORDER_CONSTANT, "reflect": cv2.BORDER_REFLECT_101}
_INTERPOLATIONS = {"nearest": cv2.INTER_NEAREST, "bilinear": cv2.INTER_LINEAR}


def augment(
    pixels: UInt8, height_px: int, width_px: int, config: AugmentConfig, generator: np.random.Generator
) -> UInt8:
    """Crop, rotate, flip and recolour at random, and bring to the model's size.

    Args:
        pixels: uint8 RGB (H, W, 3), of the model's size or larger.
        height_px: Height of the result.
        width_px: Width of the result.
        config: Strengths.
        generator: Every draw comes from it, so that its seed decides the result.

    Returns:
        uint8 RGB (height_px, width_px, 3).
    """
    matrix = geometry((pixels.shape[0], pixels.shape[1]), (height_px, width_px), config, generator)
    pixels, matrix = _shrink(pixels, matrix)
    if pixels.shape[:2] != (height_px, width_px) or not np.allclose(matrix, np.eye(2, 3), rtol=0, atol=1e-9):
        pixels = _warp(pixels, matrix, height_px, width_px, config)
    return recolour(pixels, config, generator)


def geometry(
    size: tuple[int, int], target: tuple[int, int], config: AugmentConfig, generator: np.random.Generator
) -> Float64:
    """Draw the affine map from the target's pixel coordinates to the source's, (2, 3), (x, y) order.

    Pixel centres lie at integers. The target's corners map to those of a crop, rotated about its centre.
    """
    height, width = size
    area = generator.uniform(config.crop_scale, 1.0)
    ratio = math.exp(generator.uniform(-1, 1) * math.log(config.crop_ratio))
    crop_w = width * min(1.0, math.sqrt(area * ratio))
    crop_h = height * min(1.0, math.sqrt(area / ratio))
    centre_x = generator.uniform(crop_w, 2 * width - crop_w) / 2 - 0.5
    centre_y = generator.uniform(crop_h, 2 * height - crop_h) / 2 - 0.5
    angle = math.radians(generator.uniform(-1, 1) * config.rotation_deg)
    mirror = -1.0 if generator.random() < config.flip else 1.0

    scale_x, scale_y = mirror * crop_w / target[1], crop_h / target[0]
    cos, sin = math.cos(angle), math.sin(angle)
    linear = np.array([[cos * scale_x, -sin * scale_y], [sin * scale_x, cos * scale_y]])
    middle = np.array([(target[1] - 1) / 2, (target[0] - 1) / 2])
    return np.column_stack([linear, np.array([centre_x, centre_y]) - linear @ middle])


def recolour(pixels: UInt8, config: AugmentConfig, generator: np.random.Generator) -> UInt8:
    """Brightness, contrast, saturation and hue by random amounts in a random order; uint8 RGB in and out."""
    limits = (config.brightness, config.contrast, config.saturation)
    factors = [generator.uniform(max(0.0, 1 - limit), 1 + limit) for limit in limits]
    shift = generator.uniform(-config.hue, config.hue)
    order = generator.permutation(4)
    if not any(limits) and not config.hue:
        return pixels
    values = pixels.astype(np.float32) / np.float32(255)
    for step in order:
        if step == 3:
            values = adjust_hue(values, shift) if config.hue else values
        elif limits[step]:
            values = _ADJUST[step](values, factors[step])
    return np.asarray(values * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def adjust_brightness(values: Float32, factor: float) -> Float32:
    """RGB in [0, 1] times a factor, clipped."""
    return np.asarray(np.clip(values * np.float32(factor), 0, 1), np.float32)


def adjust_contrast(values: Float32, factor: float) -> Float32:
    """Blend RGB in [0, 1] with its mean grey, clipped."""
    return _blend(values, np.float32((values @ _GREY).mean()), factor)


def adjust_saturation(values: Float32, factor: float) -> Float32:
    """Blend RGB in [0, 1] with its greyscale version, clipped."""
    return _blend(values, (values @ _GREY)[..., None], factor)


def adjust_hue(values: Float32, turns: float) -> Float32:
    """Turn the hue of RGB in [0, 1] by a share of the full circle."""
    hsv = cv2.cvtColor(np.ascontiguousarray(values), cv2.COLOR_RGB2HSV)  # hue in degrees
    hsv[..., 0] = (hsv[..., 0] + np.float32(360 * turns)) % np.float32(360)
    return np.clip(np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.float32), 0, 1)


_ADJUST = (adjust_brightness, adjust_contrast, adjust_saturation)


def _blend(values: Float32, other: "Float32 | np.float32", factor: float) -> Float32:
    mixed = values * np.float32(factor) + other * np.float32(1 - factor)
    return np.asarray(np.clip(mixed, 0, 1), np.float32)


def _shrink(pixels: UInt8, matrix: Float64) -> tuple[UInt8, Float64]:
    """Take away resolution the target has no room for, with the filter that validation images pass through.

    `warpAffine` does not antialias; without this, training images would be sharper than those of validation,
    and sharpness is one of the things that realness is read from.
    """
    height, width = pixels.shape[:2]
    factor_x, factor_y = np.maximum(np.hypot(matrix[0, :2], matrix[1, :2]), 1.0)
    new_w, new_h = max(1, round(width / factor_x)), max(1, round(height / factor_y))
    scale = np.array([new_w / width, new_h / height])
    matrix = matrix * scale[:, None]
    matrix[:, 2] += 0.5 * scale - 0.5
    return resize(pixels, new_h, new_w), matrix


def _warp(pixels: UInt8, matrix: Float64, height_px: int, width_px: int, config: AugmentConfig) -> UInt8:
    flags = _INTERPOLATIONS[config.interpolation] | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(
        pixels, matrix, (width_px, height_px), flags=flags, borderMode=_BORDERS[config.border]
    )
    return np.asarray(warped, np.uint8)
