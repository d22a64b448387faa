"""Flaws of shape: pixels that are taken from the wrong place.

Every function here has the form `(image, region, rng, severity) -> (patch, alpha)`: image uint8 (H, W, 3)
RGB, severity in [0, 1]; patch float32 or uint8 (h, w, 3) for the region's box, alpha float32 (h, w) its
opacity.
"""

from __future__ import annotations

import cv2
import numpy as np

from realm_engine.arrays import Float32, UInt8
from realm_train.defects.regions import Region, elsewhere, smooth_noise

Patch = UInt8 | Float32
Painted = tuple[Patch, Float32]


def mix(low: float, high: float, severity: float) -> float:
    """Value between `low` (severity 0) and `high` (severity 1)."""
    return low + (high - low) * severity


def take(image: UInt8, columns: Float32, rows: Float32) -> UInt8:
    """Pixels of the image at fractional places, mirrored at the border; uint8 (h, w, 3)."""
    taken = cv2.remap(
        image,
        np.ascontiguousarray(columns, np.float32),
        np.ascontiguousarray(rows, np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(taken, np.uint8)


def melted_edges(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Drips: columns are pulled downwards by unequal amounts, as if the thing were wax."""
    columns, rows = region.grid()
    unit = region.unit
    soft = region.alpha(0.25 * min(region.h, region.w))
    drip = smooth_noise(1, region.w, rng.uniform(10, 22) * unit, rng)[0]
    drip = np.clip(drip + 0.35, 0.0, None)  # only downwards
    reach = mix(26, 80, severity) * unit
    sway = smooth_noise(region.h, region.w, 26 * unit, rng) * mix(2, 9, severity) * unit
    shape = soft * (0.6 + 0.4 * smooth_noise(region.h, region.w, 40 * unit, rng))
    return take(image, columns + sway * soft, rows - reach * drip[None, :] * shape), region.alpha(2 * unit)


def warped_part(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """A swirl, a bulge, a pinch or a random flow."""
    columns, rows = region.grid()
    depth = region.depth()
    inner = np.clip(depth / max(float(depth.max()), 1.0), 0, 1)
    ease = inner * inner * (3 - 2 * inner)
    cy, cx = (float(v) for v in np.unravel_index(int(np.argmax(depth)), depth.shape))
    dx, dy = columns - (region.x + cx), rows - (region.y + cy)
    style = rng.integers(3)
    if style == 0:
        angle = float(rng.choice((-1, 1))) * mix(0.7, 3.0, severity) * ease
        cos, sin = np.cos(angle), np.sin(angle)
        return take(image, columns - dx + dx * cos - dy * sin, rows - dy + dx * sin + dy * cos), region.alpha(
            2
        )
    if style == 1:  # bulge draws from nearer the centre, pinch from farther away
        factor = (
            1 - mix(0.4, 0.8, severity) * ease if rng.random() < 0.6 else 1 + mix(0.6, 2.2, severity) * ease
        )
        return take(image, columns - dx + dx * factor, rows - dy + dy * factor), region.alpha(2)
    reach = mix(14, 48, severity) * region.unit
    cell = rng.uniform(24, 48) * region.unit
    flow_x = smooth_noise(region.h, region.w, cell, rng) * reach * ease
    flow_y = smooth_noise(region.h, region.w, cell, rng) * reach * ease
    return take(image, columns + flow_x, rows + flow_y), region.alpha(2)


def wavy_lines(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Straight things become wavy: a sine of displacement across a random direction."""
    columns, rows = region.grid()
    unit = region.unit
    soft = region.alpha(12 * unit)
    turn = rng.uniform(0, np.pi)
    along = columns * np.cos(turn) + rows * np.sin(turn)
    wave = np.sin(2 * np.pi * along / (rng.uniform(16, 38) * unit) + rng.uniform(0, 6.28))
    push = wave * mix(4, 12, severity) * unit * soft
    return take(image, columns - push * np.sin(turn), rows + push * np.cos(turn)), region.alpha(2)


def stretched_proportions(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Local anisotropic scaling about the middle of the region."""
    columns, rows = region.grid()
    cx, cy = region.x + region.w / 2, region.y + region.h / 2
    factor = 1 / mix(1.6, 3.2, severity)
    soft = region.alpha(10 * region.unit)
    if rng.random() < 0.5:
        return take(image, cx + (columns - cx) * factor, rows), soft
    return take(image, columns, cy + (rows - cy) * factor), soft


def doubled_parts(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """The same part twice: a solid second copy beside the first, or a see-through ghost of it."""
    columns, rows = region.grid()
    turn = rng.uniform(0, 2 * np.pi)
    if rng.random() < 0.5:
        shift = rng.uniform(0.12, 0.3) * min(region.h, region.w)
        opacity = mix(0.35, 0.6, severity)
        ghost = take(image, columns + shift * np.cos(turn), rows + shift * np.sin(turn))
        return ghost, opacity * region.alpha(6 * region.unit)
    shift = rng.uniform(0.35, 0.8) * min(region.h, region.w)
    copy = take(image, columns + shift * np.cos(turn), rows + shift * np.sin(turn))
    return copy, mix(0.8, 1.0, severity) * region.alpha(rng.uniform(3, 9) * region.unit)


def mirrored_part(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """One half is the mirror image of the other: too symmetrical to be true."""
    columns, rows = region.grid()
    soft = mix(0.75, 1.0, severity) * region.alpha(5 * region.unit)
    sign = float(rng.choice((-1, 1)))
    if rng.random() < 0.7:
        middle = region.x + region.w / 2
        return take(image, middle + sign * np.abs(columns - middle), rows), soft
    middle = region.y + region.h / 2
    return take(image, columns, middle + sign * np.abs(rows - middle)), soft


def misaligned_slices(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Parallel slices that are shifted against each other, so that outlines break into steps."""
    columns, rows = region.grid()
    thickness = rng.uniform(9, 24) * region.unit
    reach = mix(7, 28, severity) * region.unit
    upright = rng.random() < 0.5
    index = ((columns if upright else rows) // max(thickness, 2)).astype(np.int64)
    index -= int(index.min())
    count = int(index.max()) + 1
    sides = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
    push = (sides * rng.uniform(0.4, 1.0, count) * reach).astype(np.float32)[index]
    moved = take(image, columns, rows + push) if upright else take(image, columns + push, rows)
    return moved, region.alpha(0)


def merged_objects(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Something from elsewhere in the picture flows into what is here, without a clear border."""
    x, y = elsewhere(region, rng)
    columns, rows = region.grid()
    unit = region.unit
    bend_x = smooth_noise(region.h, region.w, 34 * unit, rng) * mix(6, 22, severity) * unit
    bend_y = smooth_noise(region.h, region.w, 34 * unit, rng) * mix(6, 22, severity) * unit
    other = take(image, columns + (x - region.x) + bend_x, rows + (y - region.y) + bend_y)
    cloud = 0.8 + 0.5 * smooth_noise(region.h, region.w, 30 * unit, rng)
    alpha = region.alpha(rng.uniform(14, 26) * unit) * np.clip(cloud, 0, 1) * mix(0.7, 1.0, severity)
    return other, np.asarray(alpha, np.float32)


def pasted_object(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """A cut-out from elsewhere, at another scale and in another light, with hard edges."""
    x, y = elsewhere(region, rng)
    columns, rows = region.grid()
    factor = float(rng.choice((rng.uniform(0.45, 0.75), rng.uniform(1.2, 1.6))))
    cx, cy = x + region.w / 2, y + region.h / 2
    turn = rng.uniform(-0.5, 0.5)
    dx, dy = columns - region.x - region.w / 2, rows - region.y - region.h / 2
    source_x = cx + factor * (dx * np.cos(turn) - dy * np.sin(turn))
    source_y = cy + factor * (dx * np.sin(turn) + dy * np.cos(turn))
    other = take(image, source_x, source_y).astype(np.float32)
    tint = 1 + rng.uniform(-1, 1, 3).astype(np.float32) * np.float32(mix(0.05, 0.16, severity))
    other = other * tint + np.float32(rng.choice((-1, 1)) * mix(8, 42, severity))
    if rng.random() < 0.35:  # the fringe of a bad cut-out
        rim = (region.depth() < 2.5 * region.unit + 0.5)[:, :, None]
        other = np.where(rim, np.float32(rng.choice((25, 235))), other)
    return other, region.alpha(0)


def cut_off_part(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """A part is missing: the place is filled with what surrounds it, and one side ends abruptly."""
    margin = max(4, min(region.h, region.w) // 4)
    top, left = max(0, region.y - margin), max(0, region.x - margin)
    wide = image[top : region.y + region.h + margin, left : region.x + region.w + margin]
    hole = np.zeros(wide.shape[:2], np.uint8)
    y, x = region.y - top, region.x - left
    hole[y : y + region.h, x : x + region.w] = region.inside
    factor = max(1, round(max(wide.shape[:2]) / 56))  # the fill is smooth: a small one is enough, and quick
    size = (max(8, wide.shape[1] // factor), max(8, wide.shape[0] // factor))
    small = cv2.resize(wide, size, interpolation=cv2.INTER_AREA)
    small_hole = cv2.resize(hole, size, interpolation=cv2.INTER_NEAREST)
    small_hole = cv2.dilate(small_hole, np.ones((3, 3), np.uint8))
    smooth = cv2.inpaint(small, small_hole, 3, cv2.INPAINT_TELEA)
    smooth = cv2.resize(smooth, (wide.shape[1], wide.shape[0]), interpolation=cv2.INTER_LINEAR)
    filled = smooth[y : y + region.h, x : x + region.w].astype(np.float32)
    filled += rng.normal(0, 2.0, (region.h, region.w, 1)).astype(np.float32)
    columns, rows = region.grid()
    turn = rng.uniform(0, 2 * np.pi)
    dx, dy = columns - region.x - region.w / 2, rows - region.y - region.h / 2
    side = dx * np.cos(turn) + dy * np.sin(turn)
    hard = side < rng.uniform(0, 0.2) * min(region.h, region.w)  # the cut: a straight edge through the region
    return np.asarray(filled, np.float32), np.asarray(
        region.alpha(6 * region.unit) * hard * mix(0.75, 1.0, severity), np.float32
    )
