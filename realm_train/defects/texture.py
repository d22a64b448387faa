"""Flaws of surface: the right thing in the right place with the wrong texture (form: see `geometry`)."""

from __future__ import annotations

import cv2
import numpy as np

from realm_engine.arrays import Float32, UInt8
from realm_train.defects.geometry import Painted, mix, take
from realm_train.defects.regions import Region, smooth_noise


def _odd(value: float, least: int = 3) -> int:
    return max(least, 2 * round((value - 1) / 2) + 1)


def _around(image: UInt8, region: Region, margin: int) -> tuple[UInt8, tuple[slice, slice]]:
    """The box with a margin, and the box inside it: so that a filter sees the neighbours of the region."""
    top, left = max(0, region.y - margin), max(0, region.x - margin)
    wide = image[top : region.y + region.h + margin, left : region.x + region.w + margin]
    y, x = region.y - top, region.x - left
    return wide, (slice(y, y + region.h), slice(x, x + region.w))


def smeared_texture(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Detail is dragged along one direction like wet paint."""
    length = _odd(mix(15, 61, severity) * region.unit, 5)
    kernel = np.zeros((length, length), np.float32)
    middle, turn = (length - 1) / 2, rng.uniform(0, np.pi)
    reach = np.array([np.cos(turn), np.sin(turn)]) * middle
    start, end = np.round(middle - reach).astype(int), np.round(middle + reach).astype(int)
    cv2.line(kernel, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 1.0, 1)
    wide, box = _around(image, region, length)
    smeared = cv2.filter2D(wide, cv2.CV_32F, kernel / kernel.sum())[box]
    return np.asarray(smeared, np.float32), region.alpha(4 * region.unit)


def scrambled_texture(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Small patches of the region change places."""
    cell = max(4, round(rng.uniform(8, 20) * region.unit))
    columns, rows = region.grid()
    across, down = -(-region.w // cell), -(-region.h // cell)
    column_cell = ((columns - region.x) // cell).astype(np.int64)
    row_cell = ((rows - region.y) // cell).astype(np.int64)
    source = np.arange(across * down)
    used = np.flatnonzero(
        np.bincount((row_cell * across + column_cell)[region.inside], minlength=source.size)
    )
    moved = used[rng.random(used.size) < mix(0.6, 1.0, severity)]
    source[moved] = rng.permutation(moved)
    chosen = source[row_cell * across + column_cell]
    within_x, within_y = (columns - region.x) % cell, (rows - region.y) % cell
    flip = (rng.random(source.size) < 0.5)[row_cell * across + column_cell]
    within_x = np.where(flip, cell - 1 - within_x, within_x)
    mixed = take(
        image, region.x + (chosen % across) * cell + within_x, region.y + (chosen // across) * cell + within_y
    )
    return mixed, region.alpha(1.5 * region.unit)


def dissolved_detail(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Pixels stray from their places, as through frosted glass: detail turns to mush."""
    columns, rows = region.grid()
    reach = mix(4, 14, severity) * region.unit
    stray_x = rng.normal(0, reach, (region.h, region.w)).astype(np.float32)
    stray_y = rng.normal(0, reach, (region.h, region.w)).astype(np.float32)
    mush = take(image, columns + stray_x, rows + stray_y)
    settled = cv2.medianBlur(mush, 5) if rng.random() < 0.6 else cv2.GaussianBlur(mush, (0, 0), 1.0)
    return np.asarray(settled, np.uint8), region.alpha(3 * region.unit)


def broken_repetition(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """One small tile repeats over the region, in rows that do not line up."""
    side = max(6, round(rng.uniform(18, 44) * region.unit))
    side = min(side, region.h, region.w)
    left, top, most = 0, 0, -1.0
    for _ in range(6):  # the most textured of a few places: a plain tile would repeat nothing
        x = int(rng.integers(max(0, region.x), max(1, min(region.x + region.w, region.width) - side + 1)))
        y = int(rng.integers(max(0, region.y), max(1, min(region.y + region.h, region.height) - side + 1)))
        spread = float(image[y : y + side, x : x + side].std(axis=(0, 1)).mean())
        if spread > most:
            left, top, most = x, y, spread
    columns, rows = region.grid()
    row_index = ((rows - region.y) // side).astype(np.int64)
    slip = (rng.uniform(0, 1, int(row_index.max()) + 1) * side * mix(0.2, 1.0, severity)).astype(np.float32)
    tiled = take(
        image,
        left + np.floor((columns - region.x + slip[row_index]) % side),
        top + np.floor((rows - region.y) % side),
    ).astype(np.float32)
    light = rng.normal(0, mix(2, 10, severity), (int(row_index.max()) + 1,)).astype(np.float32)
    return tiled + light[row_index][:, :, None], region.alpha(2 * region.unit)


def wrong_blur(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Out of focus where its surroundings, at the same distance, are sharp."""
    sigma = mix(2.2, 8.0, severity) * max(region.unit, 0.4)
    wide, box = _around(image, region, round(3 * sigma))
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), sigma)[box], np.uint8), region.alpha(
        rng.uniform(3, 12) * region.unit
    )


def waxy_surface(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Texture is gone while edges stay, with a sheen: skin like wax, leaves like plastic."""
    wide, box = _around(image, region, 12)
    size = _odd(mix(7, 17, severity) * max(region.unit, 0.4))
    plain = cv2.medianBlur(np.ascontiguousarray(wide), size)
    plain = cv2.bilateralFilter(plain, 7, mix(30, 80, severity), 5)[box].astype(np.float32)
    light = plain.mean(axis=2, keepdims=True)
    rich = light + (plain - light) * mix(1.1, 1.4, severity)  # plastic is more saturated than life
    broad = cv2.GaussianBlur(light[:, :, 0], (0, 0), 7 * max(region.unit, 0.3))[:, :, None]
    sheen = np.clip(light - broad, 0, None) * mix(0.4, 1.3, severity)
    return np.asarray(rich + sheen, np.float32), region.alpha(rng.uniform(3, 10) * region.unit)


def oversharpened_halo(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Unsharp masking far too strong: crisp grain and bright halos along edges."""
    sigma = rng.uniform(1.2, 3.0) * max(region.unit, 0.5)
    wide, box = _around(image, region, round(4 * sigma))
    here = wide[box].astype(np.float32)
    low = cv2.GaussianBlur(wide, (0, 0), sigma)[box].astype(np.float32)
    return here + mix(2.5, 7.0, severity) * (here - low), region.alpha(4 * region.unit)


def checkerboard_artifacts(
    image: UInt8, region: Region, rng: np.random.Generator, severity: float
) -> Painted:
    """The grid that an upsampling layer leaves behind."""
    here = image[region.window].astype(np.float32)
    columns, rows = region.grid()
    period = max(2, round(rng.uniform(3, 8) * max(region.unit, 0.5)))
    strength = mix(9, 34, severity)
    if rng.random() < 0.5:
        pattern = np.where((columns // period + rows // period) % 2 == 0, 1.0, -1.0)
    else:
        pattern = np.cos(2 * np.pi * columns / (2 * period)) * np.cos(2 * np.pi * rows / (2 * period)) * 1.3
    tint = np.float32(strength) * (1 + rng.uniform(-0.4, 0.4, 3).astype(np.float32))
    return here + pattern.astype(np.float32)[:, :, None] * tint, region.alpha(8 * region.unit)


def noisy_patch(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Grain or coloured speckle that the rest of the picture does not have."""
    h, w = region.h, region.w
    size = float(rng.choice((1.0, 2.0, 3.0)))
    small = (max(1, round(h / size)), max(1, round(w / size)), 3 if rng.random() < 0.6 else 1)
    grain = rng.standard_normal(small, np.float32) * np.float32(mix(14, 55, severity))
    blotches = cv2.resize(grain, (w, h), interpolation=cv2.INTER_LINEAR).reshape(h, w, -1).astype(np.float32)
    return image[region.window].astype(np.float32) + blotches, region.alpha(5 * region.unit)


def blocky_patch(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Compression blocks or coarse mosaic pixels in one place only."""
    here = image[region.window]
    if rng.random() < 0.5:
        quality = round(mix(9, 1, severity))
        _, data = cv2.imencode(".jpg", np.ascontiguousarray(here), [cv2.IMWRITE_JPEG_QUALITY, quality])
        # Encoded and decoded as if it were BGR: the roles of red and blue change places twice.
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8), region.alpha(0)
    cell = max(3, round(mix(5, 15, severity) * region.unit))
    small = cv2.resize(
        here, (max(1, region.w // cell), max(1, region.h // cell)), interpolation=cv2.INTER_AREA
    )
    mosaic = cv2.resize(small, (region.w, region.h), interpolation=cv2.INTER_NEAREST)
    return np.asarray(mosaic, np.uint8), region.alpha(0)


def posterised_patch(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Flat steps of colour with drawn outlines: a cartoon inside a photograph."""
    wide, box = _around(image, region, 10)
    flat = cv2.medianBlur(np.ascontiguousarray(wide), _odd(9 * max(region.unit, 0.4)))[box].astype(np.float32)
    step = mix(36, 84, severity)
    poster = (
        np.floor(flat / step + 0.5) * step
    )  # black stays black, so that plain dark places stay as they are
    luma = flat.mean(axis=2).astype(np.float32)
    slope = np.abs(cv2.Sobel(luma, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(luma, cv2.CV_32F, 0, 1))
    ink: Float32 = np.clip((slope - 70) / 90, 0, 1)[:, :, None] * np.float32(mix(20, 90, severity))
    return np.asarray(poster - ink, np.float32), region.alpha(3 * region.unit)


def frozen_flow(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Invented, hair-like streams over blurred colours: the line integral of noise along a smooth flow."""
    wide, box = _around(image, region, 8)
    base = cv2.GaussianBlur(wide, (0, 0), 4 * max(region.unit, 0.3))[box].astype(np.float32)
    columns, rows = region.grid()
    heading = smooth_noise(region.h, region.w, 46 * region.unit, rng) * np.pi
    grain = rng.standard_normal((region.h, region.w), np.float32)
    grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), 1.1), np.float32)
    total = np.zeros_like(grain)
    local_x, local_y = columns - region.x, rows - region.y
    for step in range(-6, 7, 2):
        x = np.asarray(local_x + step * np.cos(heading), np.float32)
        y = np.asarray(local_y + step * np.sin(heading), np.float32)
        total += cv2.remap(grain, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    strands = total / max(float(total.std()), 1e-6) * mix(9, 26, severity)
    return base + strands[:, :, None].astype(np.float32), region.alpha(6 * region.unit)
