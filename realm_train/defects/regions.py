"""Where a flaw goes: organic regions of an image, and soft edges for them (pure numpy and OpenCV)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from realm_engine.arrays import Bool, Float32, UInt8

REFERENCE_SIDE_PX = 384
"""Lengths in this package are meant for an image whose shorter side is this long."""

AREA_RANGE = (0.03, 0.20)
"""Intended area of a region as a fraction of the image."""


@dataclass(frozen=True, eq=False)
class Region:
    """A region of an image, cropped to its box.

    Attributes:
        x: left edge of the box in pixels.
        y: top edge of the box in pixels.
        inside: bool (h, w), true where the region is.
        height: height of the whole image.
        width: width of the whole image.
    """

    x: int
    y: int
    inside: Bool
    height: int
    width: int

    @property
    def h(self) -> int:
        """Height of the box in pixels."""
        return int(self.inside.shape[0])

    @property
    def w(self) -> int:
        """Width of the box in pixels."""
        return int(self.inside.shape[1])

    @property
    def unit(self) -> float:
        """Pixels of this image per pixel of the reference image."""
        return min(self.height, self.width) / REFERENCE_SIDE_PX

    @property
    def window(self) -> tuple[slice, slice]:
        """The box as an index of the whole image."""
        return slice(self.y, self.y + self.h), slice(self.x, self.x + self.w)

    def depth(self) -> Float32:
        """Distance in pixels to the outside of the region, float32 (h, w); the image border is no outside."""
        left, top = int(self.x > 0), int(self.y > 0)
        right, bottom = int(self.x + self.w < self.width), int(self.y + self.h < self.height)
        padded = cv2.copyMakeBorder(
            self.inside.astype(np.uint8), top, bottom, left, right, cv2.BORDER_CONSTANT, value=0
        )
        if padded.all():  # the region fills the image: there is no outside to measure to
            return np.full((self.h, self.w), float(max(self.h, self.w)), np.float32)
        distance = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
        return np.asarray(distance[top : top + self.h, left : left + self.w], np.float32)

    def alpha(self, feather_px: float) -> Float32:
        """Opacity float32 (h, w) in [0, 1]: 0 outside, rising over `feather_px` from the edge inwards."""
        if feather_px < 1:
            return self.inside.astype(np.float32)
        ramp = np.clip(self.depth() / np.float32(feather_px), 0, 1)
        return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)

    def grid(self) -> tuple[Float32, Float32]:
        """Column and row of every pixel of the box in the whole image, two float32 (h, w)."""
        columns = np.arange(self.x, self.x + self.w, dtype=np.float32)
        rows = np.arange(self.y, self.y + self.h, dtype=np.float32)
        return np.tile(columns, (self.h, 1)), np.repeat(rows[:, None], self.w, axis=1)


def smooth_noise(h: int, w: int, cell_px: float, rng: np.random.Generator) -> Float32:
    """Smooth noise float32 (h, w), about in [-1, 1], whose blobs are about `cell_px` pixels across."""
    rows = int(np.clip(np.ceil(h / max(cell_px, 1.0)), 1, h)) + 2
    columns = int(np.clip(np.ceil(w / max(cell_px, 1.0)), 1, w)) + 2
    coarse = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC), np.float32)


def elsewhere(region: Region, rng: np.random.Generator, distance_share: float = 0.6) -> tuple[int, int]:
    """Left and top of a box of the region's size, elsewhere in the image if it fits.

    `distance_share` is the wanted distance as a fraction of the box; the farthest of a few draws is taken.
    """
    best, best_distance = (region.x, region.y), -1.0
    for _ in range(8):
        x = int(rng.integers(0, region.width - region.w + 1))
        y = int(rng.integers(0, region.height - region.h + 1))
        distance = max(abs(x - region.x) / region.w, abs(y - region.y) / region.h)
        if distance > best_distance:
            best, best_distance = (x, y), distance
        if distance >= distance_share:
            break
    return best


def _centre(rng: np.random.Generator) -> tuple[float, float]:
    """Relative (x, y): mostly near the centre, as the subject of a photograph is, a quarter anywhere."""
    if rng.random() < 0.25:
        return float(rng.uniform(0.05, 0.95)), float(rng.uniform(0.05, 0.95))
    x, y = np.clip(rng.normal(0.5, 0.22, 2), 0.05, 0.95)
    return float(x), float(y)


def _crop(mask: UInt8) -> Region | None:
    x, y, w, h = cv2.boundingRect(mask)
    if w < 8 or h < 8:
        return None
    return Region(x, y, mask[y : y + h, x : x + w].astype(bool), mask.shape[0], mask.shape[1])


def _ellipse_axes(area_px: float, rng: np.random.Generator, elongation: float) -> tuple[float, float]:
    ratio = float(np.exp(rng.uniform(-elongation, elongation)))
    return float(np.sqrt(area_px * ratio / np.pi)), float(np.sqrt(area_px / ratio / np.pi))


def _blob(shape: tuple[int, int], area: float, rng: np.random.Generator, elongation: float) -> Region | None:
    """Ellipse, noisy polygon or blob of smooth noise: what a melted or smeared part looks like from afar."""
    height, width = shape
    cx, cy = _centre(rng)
    cx, cy = cx * width, cy * height
    a, b = _ellipse_axes(area * height * width, rng, elongation)
    turn = float(rng.uniform(0, np.pi))
    mask = np.zeros(shape, np.uint8)
    style = rng.choice(3, p=(0.2, 0.45, 0.35))
    if style == 0:
        cv2.ellipse(mask, ((cx, cy), (2 * a, 2 * b), np.degrees(turn)), 1, -1)
        return _crop(mask)
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    if style == 1:  # a few harmonics of the radius
        radius = np.ones_like(angle)
        for order in range(2, 7):
            radius += rng.normal(0, 0.22 / order**0.5) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
        radius = np.clip(radius, 0.35, 1.8)
        radius /= np.sqrt(np.mean(radius**2))
    else:
        radius = np.full_like(angle, 1.35)  # a wide rim, from which noise bites pieces below
    u, v = a * radius * np.cos(angle), b * radius * np.sin(angle)
    points = np.stack([cx + u * np.cos(turn) - v * np.sin(turn), cy + u * np.sin(turn) + v * np.cos(turn)], 1)
    cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1)
    if style == 2:
        region = _crop(mask)
        if region is None:
            return None
        depth = region.depth()
        noise = smooth_noise(region.h, region.w, max(8.0, 0.45 * min(region.h, region.w)), rng)
        level = depth / max(float(depth.max()), 1.0) + 0.45 * noise
        keep = (level > 0.28) & region.inside
        count, labels, stats, _ = cv2.connectedComponentsWithStats(keep.astype(np.uint8), connectivity=4)
        if count < 2:
            return None
        largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        mask[:] = 0
        mask[region.window] = labels == largest
    return _crop(mask)


def _rectangle(
    shape: tuple[int, int], area: float, rng: np.random.Generator, aspect: float, tilt_degrees: float
) -> Region | None:
    """Rotated rectangle, `aspect` = width / height."""
    height, width = shape
    cx, cy = _centre(rng)
    w = float(np.sqrt(area * height * width * aspect))
    h = w / aspect
    if w > 0.85 * width:
        w, h = 0.85 * width, h * w / (0.85 * width)
    if h > 0.85 * height:
        w, h = w * h / (0.85 * height), 0.85 * height
    cx = float(np.clip(cx * width, w / 2, width - w / 2)) if w < width else width / 2
    cy = float(np.clip(cy * height, h / 2, height - h / 2)) if h < height else height / 2
    box = ((cx, cy), (w, h), float(rng.uniform(-tilt_degrees, tilt_degrees)))
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(cv2.boxPoints(box)).astype(np.int32)], 1)
    return _crop(mask)


def draw_region(shape: tuple[int, int], form: str, rng: np.random.Generator) -> Region:
    """Draw a region for an image of `shape` (height, width).

    `form` is "blob", "long" (an elongated blob), "label" (a wide rectangle, as a line of text) or
    "strip" (a long rectangle at any right angle). The area is log-uniform over `AREA_RANGE`.
    """
    makers: dict[str, Callable[[float], Region | None]] = {
        "blob": lambda area: _blob(shape, area, rng, 0.5),
        "long": lambda area: _blob(shape, area, rng, 1.1),
        "label": lambda area: _rectangle(shape, area, rng, float(rng.uniform(1.8, 4.5)), 9.0),
        "strip": lambda area: _rectangle(
            shape, area, rng, float(np.exp(rng.choice((-1, 1)) * rng.uniform(0.6, 1.6))), 6.0
        ),
    }
    least = AREA_RANGE[0] * shape[0] * shape[1]
    region: Region | None = None
    for _ in range(20):
        area = float(np.exp(rng.uniform(*np.log(AREA_RANGE))))
        region = makers[form](area)
        if region is not None and least <= region.inside.sum() <= AREA_RANGE[1] * shape[0] * shape[1]:
            return region
    fallback = np.zeros(shape, np.uint8)  # an image so odd that no draw fits: a plain rectangle at its centre
    h, w = max(8, round(0.32 * shape[0])), max(8, round(0.32 * shape[1]))
    top, left = (shape[0] - h) // 2, (shape[1] - w) // 2
    fallback[top : top + h, left : left + w] = 1
    return Region(left, top, np.ones((h, w), bool), shape[0], shape[1])
