"""Put one local, describable flaw into a photograph, and say where it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from realm_engine.arrays import Bool, UInt8
from realm_train.defects import geometry, light, texture
from realm_train.defects.regions import Region, draw_region
from realm_train.defects.wordings import WORDINGS, describe

Apply = Callable[[UInt8, Region, np.random.Generator, float], geometry.Painted]

SMALLEST_SIDE_PX = 64
AREA_BOUNDS = (0.008, 0.25)
"""Area of a finished mask as a fraction of the image."""

_LEAST_SHARE = 0.2  # of the intended region must have changed
_LEAST_CHANGE = 8.0  # mean over the mask of the largest channel's change: below this a flaw is invisible
_ATTEMPTS_PER_KIND = 10


@dataclass(frozen=True)
class DefectKind:
    """One kind of flaw: how it is put into a picture and how it is worded.

    Attributes:
        name: as in `KINDS`.
        wordings: sentence patterns with the fields {thing} and {where}, six or more.
        phrases: short forms that stand alone.
        apply: paints the flaw into a region; see `realm_train.defects.geometry` for its form.
        form: the form of region, see `regions.draw_region`.
        place: where it is preferred: "any", "textured", "flat" or "bright" (neither black nor white).
        gap_px: unchanged gaps up to this width count as changed, in pixels of a 512 x 384 image.
    """

    name: str
    wordings: tuple[str, ...]
    phrases: tuple[str, ...]
    apply: Apply
    form: str = "blob"
    place: str = "any"
    gap_px: float = 12.0


@dataclass(frozen=True, eq=False)
class Defect:
    """A photograph with a flaw.

    Attributes:
        image: uint8 (H, W, 3) RGB.
        mask: bool (H, W), true where pixels were visibly changed.
        description: at most 33 words about the flaw.
        kind: name of the kind.
        severity: strength in [0, 1] that the kind was asked for.
        box: x, y, width, height of the mask in pixels.
    """

    image: UInt8
    mask: Bool
    description: str
    kind: str
    severity: float
    box: tuple[int, int, int, int]


def _kind(apply: Apply, form: str = "blob", place: str = "any", gap_px: float = 12.0) -> DefectKind:
    name = apply.__name__
    wording = WORDINGS[name]
    return DefectKind(
        name, tuple(wording["sentences"]), tuple(wording["phrases"]), apply, form, place, gap_px
    )


KINDS: dict[str, DefectKind] = {
    kind.name: kind
    for kind in (
        _kind(geometry.melted_edges, "blob", "textured"),
        _kind(geometry.warped_part, "blob", "textured"),
        _kind(geometry.wavy_lines, "blob", "textured"),
        _kind(geometry.doubled_parts, "blob", "textured"),
        _kind(geometry.mirrored_part, "blob", "textured"),
        _kind(geometry.misaligned_slices, "blob", "textured"),
        _kind(geometry.merged_objects),
        _kind(geometry.pasted_object),
        _kind(geometry.cut_off_part, "blob", "textured"),
        _kind(texture.smeared_texture, "blob", "textured"),
        _kind(texture.scrambled_texture, "blob", "textured"),
        _kind(texture.dissolved_detail, "blob", "textured"),
        _kind(texture.broken_repetition, "blob", "textured"),
        _kind(texture.wrong_blur, "blob", "textured"),
        _kind(texture.waxy_surface, "blob", "textured"),
        _kind(texture.checkerboard_artifacts),
        _kind(texture.noisy_patch),
        _kind(texture.blocky_patch, "blob", "textured"),
        _kind(texture.posterised_patch, "blob", "textured"),
        _kind(texture.frozen_flow),
        _kind(light.hard_seam, "strip", "textured"),
        _kind(light.impossible_shadow, "long", "bright"),
        _kind(light.unnatural_glow, "blob", "textured"),
        _kind(light.colour_bleeding),
        _kind(light.garbled_text, "label", "flat", 36.0),
        _kind(light.extra_limb, "label"),
        _kind(geometry.stretched_proportions, "blob", "textured"),
        _kind(light.inconsistent_lighting, "blob", "bright"),
        _kind(texture.oversharpened_halo, "blob", "textured"),
    )
}

HELD_OUT_KINDS: tuple[str, ...] = ("stretched_proportions", "inconsistent_lighting", "oversharpened_halo")
"""One of shape, one of light, one of surface: kept from training, to measure what was learned beyond it."""

TRAINING_KINDS: tuple[str, ...] = tuple(name for name in KINDS if name not in HELD_OUT_KINDS)

PHRASES: tuple[dict[str, str], ...] = tuple(
    {"text": text, "kind": name} for name in TRAINING_KINDS for text in KINDS[name].phrases[:2]
)
"""Short wordings of the training kinds, for a bundle's phrase bank."""


def _detail(window: UInt8) -> float:
    """Mean step between pixels four steps away from each other: how much there is to distort."""
    luma = window[::4, ::4].mean(axis=2)
    return float(np.abs(np.diff(luma, axis=0)).mean() + np.abs(np.diff(luma, axis=1)).mean())


_PREFERENCES: dict[str, tuple[int, Callable[[UInt8], float]]] = {
    "any": (1, lambda _: 0.0),
    "textured": (3, _detail),
    "flat": (3, lambda window: -_detail(window)),
    "bright": (2, lambda window: -abs(float(window[::4, ::4].mean()) - 140)),
}


def _choose_region(image: UInt8, kind: DefectKind, rng: np.random.Generator) -> Region:
    """Draw as many regions as the kind's preference says and take the best."""
    count, merit = _PREFERENCES[kind.place]
    regions = [draw_region((image.shape[0], image.shape[1]), kind.form, rng) for _ in range(count)]
    return max(regions, key=lambda region: merit(image[region.window]))


def _paint(
    image: UInt8, region: Region, kind: DefectKind, rng: np.random.Generator, severity: float
) -> UInt8:
    patch, alpha = kind.apply(image, region, rng, severity)
    opacity = (alpha * region.inside)[:, :, None].astype(np.float32)
    here = image[region.window].astype(np.float32)
    blended = here + (np.clip(patch, 0, 255).astype(np.float32) - here) * opacity
    return np.asarray(np.floor(blended + 0.5), np.uint8)


def _tidy(mask: Bool, least_px: float) -> Bool:
    """Fill holes and drop islands smaller than `least_px`: a person who marks a flaw draws neither."""
    for value in (False, True):
        count, labels, stats, _ = cv2.connectedComponentsWithStats(
            (mask == value).astype(np.uint8), connectivity=4
        )
        if count > 2:
            x, y, w, h, area = (stats[:, i] for i in range(5))
            small = area < least_px
            if not value:  # what touches the side of the box is outside, no hole
                small &= (x > 0) & (y > 0) & (x + w < mask.shape[1]) & (y + h < mask.shape[0])
            small[0] = False
            mask = np.where(small[labels], not value, mask)
    return mask


def _changed(before: UInt8, after: UInt8, region: Region, gap_px: float) -> Bool | None:
    """Where the box was visibly changed, bool (h, w); None if that is too little to be called a flaw.

    A pixel counts from a change of 5 levels, or of an eighth of the strongest ones if that is more, so that
    the faint tail of a soft edge does not. Gaps up to about `gap_px` between changed pixels (strokes of text,
    dots of noise) are closed.
    """
    change = cv2.absdiff(before, after).max(axis=2)
    strong = float(np.percentile(change[region.inside], 90))
    seen = (change >= max(5.0, strong / 8)).astype(np.uint8)
    reach = max(1, round(gap_px / 2 * region.unit))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    padded = np.pad(seen, 2 * reach)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)
    lone = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))  # no specks
    inner = slice(2 * reach, -2 * reach)
    mask = _tidy(lone[inner, inner].astype(bool) & region.inside, 0.03 * float(region.inside.sum()))
    area = int(mask.sum())
    least, most = (bound * region.height * region.width for bound in AREA_BOUNDS)
    least = max(least, _LEAST_SHARE * int(region.inside.sum()))
    if not least <= area <= most or float(change[mask].mean()) < _LEAST_CHANGE:
        return None
    return mask


def make_defect(
    image: UInt8,
    rng: np.random.Generator,
    kind: str | None = None,
    severity: float | None = None,
    kinds: Sequence[str] | None = None,
) -> Defect:
    """Put one flaw into a photograph.

    Args:
        image: uint8 (H, W, 3) RGB, both sides 64 px or more; left as it is.
        rng: source of every choice: the same generator state gives the same result.
        kind: name of a kind, or None to draw one.
        severity: strength in [0, 1], or None to draw one from [0.1, 1].
        kinds: names to draw from when `kind` is None; by default `TRAINING_KINDS`.

    Returns:
        The flawed picture with its mask, description, kind, severity and box.

    Raises:
        ValueError: for another kind of array, an unknown name, a severity out of range, or a picture in which
            the flaw cannot be seen (blurring a plain grey one changes nothing).
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"a defect needs a uint8 (H, W, 3) image, got {image.dtype} {image.shape}")
    if min(image.shape[:2]) < SMALLEST_SIDE_PX:
        raise ValueError(f"a defect needs sides of {SMALLEST_SIDE_PX} px or more, got {image.shape[:2]}")
    pool = (kind,) if kind is not None else tuple(TRAINING_KINDS if kinds is None else kinds)
    unknown = [name for name in pool if name not in KINDS]
    if unknown or not pool:
        wrong = ", ".join(map(str, unknown)) or "(none given)"
        raise ValueError(f"unknown kind of defect {wrong}; known: {', '.join(KINDS)}")
    if severity is not None and not 0 <= severity <= 1:
        raise ValueError(f"severity must be in [0, 1], got {severity}")
    for name in (pool[i] for i in rng.permutation(len(pool))):
        for _ in range(_ATTEMPTS_PER_KIND):
            strength = float(rng.uniform(0.1, 1.0)) if severity is None else float(severity)
            region = _choose_region(image, KINDS[name], rng)
            after = _paint(image, region, KINDS[name], rng, strength)
            inside = _changed(image[region.window], after, region, KINDS[name].gap_px)
            if inside is None:
                continue
            out = image.copy()
            out[region.window] = after
            mask = np.zeros(image.shape[:2], bool)
            mask[region.window] = inside
            x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
            centre = ((x + w / 2) / image.shape[1], (y + h / 2) / image.shape[0])
            return Defect(out, mask, describe(name, centre, strength, rng), name, strength, (x, y, w, h))
    raise ValueError(
        f"no visible defect of kind {' or '.join(pool)} fits this image: is it plain or nearly so?"
    )
