"""Flaws of light, colour and added things (form: see `geometry`)."""

from __future__ import annotations

import cv2
import numpy as np

from realm_engine.arrays import Float32, UInt8
from realm_train.defects.geometry import Painted, mix, take
from realm_train.defects.regions import Region, elsewhere, smooth_noise


def hard_seam(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """A strip that was joined badly: shifted a little and in another light, with straight hard edges."""
    columns, rows = region.grid()
    reach = mix(5, 26, severity) * region.unit
    turn = rng.uniform(0, 2 * np.pi)
    strip = take(image, columns + reach * np.cos(turn), rows + reach * np.sin(turn)).astype(np.float32)
    gain = 1 + float(rng.choice((-1, 1))) * mix(0.06, 0.3, severity)
    tint = 1 + rng.uniform(-1, 1, 3).astype(np.float32) * np.float32(mix(0.02, 0.1, severity))
    return strip * np.float32(gain) * tint, region.alpha(0)


def impossible_shadow(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """A dark soft shape that nothing casts."""
    here = image[region.window].astype(np.float32)
    dark = here * np.array([0.92, 0.96, 1.0], np.float32) * np.float32(mix(0.6, 0.18, severity))
    return dark, region.alpha(rng.uniform(8, 30) * region.unit)


def inconsistent_lighting(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Lit from another side and by another lamp: a gradient of gain and another colour temperature."""
    here = image[region.window].astype(np.float32)
    columns, rows = region.grid()
    turn = rng.uniform(0, 2 * np.pi)
    ramp: Float32 = (columns - region.x) / region.w * np.cos(turn) + (rows - region.y) / region.h * np.sin(
        turn
    )
    ramp = (ramp - ramp.min()) / max(float(np.ptp(ramp)), 1e-6)
    warm = float(rng.choice((-1, 1))) * mix(0.08, 0.28, severity)
    colour = np.array([1 + warm, 1.0, 1 - warm], np.float32)
    gain = (1 + mix(0.25, 0.9, severity) * ramp)[:, :, None].astype(np.float32)
    return (here + 8) * gain * colour, region.alpha(rng.uniform(4, 14) * region.unit)


def unnatural_glow(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Things shine by themselves: a bloom of a saturated colour, strongest along edges and in highlights."""
    here = image[region.window].astype(np.float32)
    luma = here.mean(axis=2)
    spread = 9 * max(region.unit, 0.3)
    edges = np.abs(luma - cv2.GaussianBlur(luma, (0, 0), spread / 3))
    bloom = cv2.GaussianBlur(np.asarray(edges * 3 + 0.35 * luma, np.float32), (0, 0), spread / 2)
    bloom = np.asarray(bloom, np.float32) * np.float32(255 / max(float(bloom.max()), 1.0))
    hue = np.array([[[rng.integers(180), rng.integers(90, 220), 255]]], np.uint8)
    colour = cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32) / 255
    light = np.clip(bloom[:, :, None] * colour * np.float32(mix(0.65, 1.3, severity)), 0, 255)
    return 255 - (255 - here) * (255 - light) / 255, region.alpha(14 * region.unit)


def colour_bleeding(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Colours run over their outlines, are far too strong, or turn to a foreign hue; brightness stays."""
    lab = cv2.cvtColor(image[region.window], cv2.COLOR_RGB2LAB).astype(np.float32)
    unit = max(region.unit, 0.3)
    style = rng.integers(3)
    chroma = lab[:, :, 1:] - 128
    if style == 0:
        x, y = elsewhere(region, rng, 0.3)
        other = cv2.cvtColor(image[y : y + region.h, x : x + region.w], cv2.COLOR_RGB2LAB).astype(np.float32)
        run = cv2.GaussianBlur(other[:, :, 1:] - 128, (0, 0), 6 * unit)
        chroma = run * mix(1.6, 3.0, severity) + rng.uniform(-1, 1, 2).astype(np.float32) * mix(
            12, 30, severity
        )
    elif style == 1:
        chroma = chroma * mix(2.0, 4.0, severity)
    else:
        turn = rng.uniform(0, 2 * np.pi)
        push = mix(22, 62, severity) * np.array([np.cos(turn), np.sin(turn)], np.float32)
        blotch = np.clip(0.8 + 0.5 * smooth_noise(region.h, region.w, 40 * unit, rng), 0, 1.3)
        chroma = 0.5 * chroma + blotch[:, :, None] * push
    lab[:, :, 1:] = np.clip(chroma, -127, 127) + 128
    painted = cv2.cvtColor(np.clip(lab, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)
    return np.asarray(painted, np.uint8), region.alpha(rng.uniform(3, 12) * unit)


def _glyph(canvas: UInt8, x: float, y: float, size: float, pen: int, rng: np.random.Generator) -> None:
    """Two to four strokes that look like a letter of no alphabet, drawn with 255 into uint8 (h, w)."""
    w, h = 0.62 * size, size
    for _ in range(int(rng.integers(2, 5))):
        style = rng.integers(4)
        if style == 0:  # stem
            at = x + w * rng.choice((0.1, 0.5, 0.9))
            ends = (at, y + h * rng.uniform(0, 0.3)), (at + w * rng.uniform(-0.2, 0.2), y + h)
        elif style == 1:  # bar
            at = y + h * rng.choice((0.05, 0.5, 0.95))
            ends = (x, at), (x + w * rng.uniform(0.5, 1.0), at + h * rng.uniform(-0.1, 0.1))
        elif style == 2:  # diagonal
            ends = (x + w * rng.uniform(0, 1), y), (x + w * rng.uniform(0, 1), y + h)
        else:  # bowl
            centre = (round(x + w * rng.uniform(0.3, 0.7)), round(y + h * rng.uniform(0.3, 0.7)))
            axes = (max(1, round(w * rng.uniform(0.25, 0.5))), max(1, round(h * rng.uniform(0.2, 0.5))))
            start = float(rng.uniform(0, 360))
            cv2.ellipse(canvas, centre, axes, 0, start, start + rng.uniform(120, 330), 255, pen, cv2.LINE_AA)
            continue
        (x0, y0), (x1, y1) = ends
        cv2.line(canvas, (round(x0), round(y0)), (round(x1), round(y1)), 255, pen, cv2.LINE_AA)


def garbled_text(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Lines of letter-like strokes that cannot be read, bent as generators bend them; some on a panel."""
    h, w = region.h, region.w
    ink = np.zeros((h, w), np.uint8)
    lines = int(rng.integers(1, 4))
    size = float(np.clip(0.78 * h / lines, 7, 52))
    pen = max(1, round(size * rng.uniform(0.08, 0.17)))
    latin = rng.random() < 0.4
    for line in range(lines):
        x, y = 0.04 * w, (line + 0.5) * h / lines - size / 2
        while x + 0.6 * size < 0.97 * w:
            if rng.random() < 0.1:
                x += 0.4 * size  # a gap between words
                continue
            if latin:
                letter = "ABEGHKMNPQRSTUXYZaegkmqrstwy"[int(rng.integers(28))]
                font = int(rng.choice((cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_TRIPLEX)))
                place = (round(x), round(y + 0.85 * size))
                cv2.putText(ink, letter, place, font, size / 30, 255, pen, cv2.LINE_AA)
            else:
                _glyph(ink, x, y + 0.05 * size, 0.85 * size, pen, rng)
            x += size * rng.uniform(0.66, 0.86)
    columns, rows = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    bend = size * (0.16 if latin else 0.08)
    bent = cv2.remap(
        ink,
        columns + bend * smooth_noise(h, w, 0.6 * size, rng),
        rows + bend * smooth_noise(h, w, 0.6 * size, rng),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    cover = np.asarray(bent, np.float32) / 255
    here = image[region.window].astype(np.float32)
    mean = here[region.inside].mean(axis=0)
    dark_ground = float(mean.mean()) < 118
    panel = rng.random() < 0.45
    if panel:  # a sign or a label, of a colour near the place's own
        ground = np.clip(mean * rng.uniform(0.85, 1.15, 3) + rng.uniform(-30, 30, 3), 0, 255).astype(
            np.float32
        )
        shade = 0.75 * ground + 0.25 * cv2.GaussianBlur(here, (0, 0), 5)
        here = np.asarray(shade, np.float32)
        dark_ground = float(ground.mean()) < 118
    colour = rng.uniform(195, 255, 3) if dark_ground else rng.uniform(0, 60, 3)
    if rng.random() < 0.3:
        colour[int(rng.integers(3))] = 255 - colour[int(rng.integers(3))]
    opacity = np.float32(mix(0.6, 1.0, severity)) * cover[:, :, None]
    painted = here * (1 - opacity) + colour.astype(np.float32) * opacity
    return np.asarray(painted, np.float32), region.alpha(1.5) if panel else region.alpha(0)


def extra_limb(image: UInt8, region: Region, rng: np.random.Generator, severity: float) -> Painted:
    """Finger-like, tapering growths of the colours nearby, shaded round, that belong to nothing."""
    h, w = region.h, region.w
    shape = np.zeros((h, w), np.uint8)
    heading = (0.0 if w >= h else np.pi / 2) + float(rng.choice((0.0, np.pi)))
    length = 0.85 * max(h, w)
    count = int(rng.integers(1, 5))
    for i in range(count):  # fingers of one hand: the same root, headings that fan out
        turn = heading + rng.uniform(-0.15, 0.15) + (i - (count - 1) / 2) * 0.3
        x = w / 2 - np.cos(heading) * length / 2 + rng.uniform(-0.05, 0.05) * w
        y = h / 2 - np.sin(heading) * length / 2 + rng.uniform(-0.1, 0.1) * h
        thick = rng.uniform(0.16, 0.26) * min(h, w)
        reach = length * rng.uniform(0.8, 1.05)
        curl = rng.uniform(-1.0, 1.0)
        for step in range(24):
            cv2.circle(shape, (round(x), round(y)), max(2, round(thick * (1 - 0.5 * step / 23))), 1, -1)
            x += np.cos(turn) * reach / 24
            y += np.sin(turn) * reach / 24
            turn += curl / 24
    shape &= region.inside.astype(np.uint8)
    depth = cv2.distanceTransform(cv2.copyMakeBorder(shape, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 3)
    depth = np.asarray(depth[1:-1, 1:-1], np.float32)
    height = np.sqrt(np.clip(depth / max(float(depth.max()), 1.0), 0, 1))  # a round cross-section
    height = np.asarray(cv2.GaussianBlur(height, (0, 0), 1.5 * max(region.unit, 0.4)), np.float32)
    slope = cv2.Sobel(height, cv2.CV_32F, 1, 0) + cv2.Sobel(height, cv2.CV_32F, 0, 1)
    slope = np.clip(
        slope / max(float(np.percentile(np.abs(slope), 98)), 1e-6), -1, 1
    )  # light from the upper left
    # The growth is made of one material: the most even of some places nearby that is not black.
    places = [elsewhere(region, rng, 0.2) for _ in range(4)]
    patches = [image[y0 : y0 + h, x0 : x0 + w].astype(np.float32) for x0, y0 in places]
    source = min(patches, key=lambda patch: float(patch.std()) - 0.6 * float(patch.mean()))
    here = image[region.window].astype(np.float32)
    colour = 0.45 * source + 0.55 * source.reshape(-1, 3).mean(axis=0)
    gap = np.float32(colour.mean() - here[shape > 0].mean()) if shape.any() else np.float32(0)
    if abs(gap) < 30:  # would be lost on its ground
        colour = colour + np.float32(np.copysign(30, gap) - gap)
    shade = (0.78 + 0.27 * height + 0.25 * slope)[:, :, None]
    limb = colour * shade + rng.normal(0, 2.5, (h, w, 1)).astype(np.float32)
    alpha = np.clip(depth / max(1.0, 2.0 * region.unit), 0, 1) * mix(0.75, 1.0, severity)
    return np.asarray(limb, np.float32), np.asarray(alpha, np.float32)
