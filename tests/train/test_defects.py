"""The defect generator: what it promises about pixels, masks, words and seeds."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from repository import ROOT

from realm_train.defects import (
    HELD_OUT_KINDS,
    KINDS,
    PHRASES,
    TRAINING_KINDS,
    clean_description,
    make_defect,
)
from realm_train.defects.regions import AREA_RANGE, draw_region
from realm_train.defects.wordings import MAX_WORDS, WORDINGS, describe

ALL_KINDS = sorted(KINDS)


def photograph(height: int = 384, width: int = 512, seed: int = 0) -> np.ndarray:
    """A picture with the statistics that matter here: objects with edges, fine texture, and smooth ground."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    picture = np.stack([70 + 90 * y / height, 110 + 60 * x / width, 170 - 70 * y / height], axis=2)
    for _ in range(70):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(4, width // 8)), int(rng.integers(4, height // 8)))
        colour = tuple(float(c) for c in rng.uniform(15, 240, 3))
        cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    picture += 14 * np.sin(x / 2.7)[:, :, None] * np.sin(y / 3.9)[:, :, None]
    picture += rng.normal(0, 4, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_same_generator_state_same_result(kind: str) -> None:
    image = photograph()
    before = image.copy()
    one = make_defect(image, np.random.default_rng(5), kind=kind)
    two = make_defect(image, np.random.default_rng(5), kind=kind)
    assert np.array_equal(image, before), "the photograph itself must stay as it is"
    assert np.array_equal(one.image, two.image) and np.array_equal(one.mask, two.mask)
    assert (one.description, one.severity, one.box) == (two.description, two.severity, two.box)
    other = make_defect(image, np.random.default_rng(6), kind=kind)
    assert not np.array_equal(one.image, other.image)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_mask_says_where_pixels_changed(kind: str) -> None:
    image = photograph(seed=3)
    for seed in range(4):
        defect = make_defect(image, np.random.default_rng(seed), kind=kind)
        assert defect.image.dtype == np.uint8 and defect.image.shape == image.shape
        assert defect.mask.dtype == np.bool_ and defect.mask.shape == image.shape[:2]
        assert 0.008 <= defect.mask.mean() <= 0.25
        change = np.abs(defect.image.astype(int) - image.astype(int)).max(axis=2)
        assert change[defect.mask].mean() >= 8
        assert (change[defect.mask] >= 2).mean() > 0.4
        near = cv2.dilate(defect.mask.astype(np.uint8), np.ones((13, 13), np.uint8)).astype(bool)
        # Outside there may be the faint tail of a soft edge, and specks too small to be called a flaw.
        assert change[~near].mean() < 0.15
        assert change[~near].sum() < 0.04 * change.sum()
        x, y, w, h = defect.box
        columns, rows = np.flatnonzero(defect.mask.any(axis=0)), np.flatnonzero(defect.mask.any(axis=1))
        assert (x, x + w - 1, y, y + h - 1) == (columns[0], columns[-1], rows[0], rows[-1])


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_stronger_changes_more(kind: str) -> None:
    image = photograph(seed=9)

    def total(severity: float) -> float:
        changes = []
        for seed in range(12):
            defect = make_defect(image, np.random.default_rng(seed), kind=kind, severity=severity)
            change = np.abs(defect.image.astype(int) - image.astype(int)).max(axis=2)
            changes.append(change[defect.mask].mean())
        return float(np.mean(changes))

    assert total(1.0) > total(0.0)


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize(
    "image",
    [
        np.full((96, 128, 3), 128, np.uint8),
        np.zeros((70, 64, 3), np.uint8),
        np.full((64, 64, 3), 255, np.uint8),
        np.repeat(photograph()[:, :, :1], 3, axis=2),
        photograph(64, 64),
        photograph(65, 301),
        photograph(500, 90),
        np.asfortranarray(photograph(130, 170)),
    ],
    ids=["flat", "black", "white", "grey", "smallest", "wide", "tall", "fortran"],
)
def test_odd_images_work_or_say_why(kind: str, image: np.ndarray) -> None:
    try:
        defect = make_defect(image, np.random.default_rng(1), kind=kind)
    except ValueError as error:
        assert kind in str(error) and "\n" not in str(error)
        assert image.std() == 0, "only a plain image may be refused"
    else:
        assert defect.mask.any() and not np.array_equal(defect.image, image)


def test_plain_image_gets_a_kind_that_shows() -> None:
    defect = make_defect(np.full((200, 200, 3), 128, np.uint8), np.random.default_rng(0))
    assert defect.kind in TRAINING_KINDS


def test_refuses_what_is_no_photograph() -> None:
    rng = np.random.default_rng(0)
    for wrong in (np.zeros((96, 96), np.uint8), np.zeros((96, 96, 4), np.uint8), np.zeros((96, 96, 3))):
        with pytest.raises(ValueError, match="uint8"):
            make_defect(wrong, rng)
    with pytest.raises(ValueError, match="64 px"):
        make_defect(np.zeros((63, 200, 3), np.uint8), rng)
    with pytest.raises(ValueError, match=r"unknown kind.*melted_edges"):
        make_defect(photograph(), rng, kind="nonsense")
    with pytest.raises(ValueError, match="none given"):
        make_defect(photograph(), rng, kinds=())
    with pytest.raises(ValueError, match="severity"):
        make_defect(photograph(), rng, severity=1.5)


def test_held_out_kinds_are_never_drawn_by_default() -> None:
    assert len(HELD_OUT_KINDS) == 3 and not set(HELD_OUT_KINDS) & set(TRAINING_KINDS)
    assert set(HELD_OUT_KINDS) | set(TRAINING_KINDS) == set(KINDS)
    image, rng = photograph(192, 256), np.random.default_rng(0)
    drawn = {make_defect(image, rng).kind for _ in range(250)}
    assert not drawn & set(HELD_OUT_KINDS)
    assert len(drawn) >= 0.9 * len(TRAINING_KINDS)
    assert {make_defect(image, rng, kinds=HELD_OUT_KINDS).kind for _ in range(30)} == set(HELD_OUT_KINDS)
    assert all(phrase["kind"] in TRAINING_KINDS for phrase in PHRASES)


def test_wordings_are_many_and_unique() -> None:
    assert len(KINDS) >= 16 and set(WORDINGS) == set(KINDS)
    sentences = [text for kind in KINDS.values() for text in kind.wordings]
    phrases = [text for kind in KINDS.values() for text in kind.phrases]
    assert len(set(sentences)) == len(sentences) and len(set(phrases)) == len(phrases)
    for kind in KINDS.values():
        assert len(kind.wordings) >= 6 and len(kind.phrases) >= 3
        assert all(set(re.findall(r"{(\w*)}", text)) <= {"thing", "where"} for text in kind.wordings)
    assert len({phrase["text"] for phrase in PHRASES}) == len(PHRASES) >= 40


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_descriptions_keep_to_the_style(kind: str) -> None:
    rng = np.random.default_rng(0)
    texts = [describe(kind, (float(rng.random()), float(rng.random())), 0.6, rng) for _ in range(300)]
    assert all(0 < len(text.split()) <= MAX_WORDS and "{" not in text and "  " not in text for text in texts)
    assert not any(text.startswith("No") and not text.startswith("Nonsens") for text in texts)
    verdicts = sum(text.startswith(("Yes. ", "Somewhat. ")) for text in texts)
    assert 0.5 * len(texts) < verdicts < 0.9 * len(texts)
    assert len(set(texts)) > 150


def test_place_words_agree_with_the_place() -> None:
    rng = np.random.default_rng(0)
    texts = [describe("wrong_blur", (0.1, 0.5), 0.5, rng) for _ in range(200)]
    assert any(" left" in text for text in texts) and not any(" right" in text for text in texts)


def test_clean_descriptions() -> None:
    rng = np.random.default_rng(0)
    texts = [clean_description(rng) for _ in range(400)]
    assert len(set(texts)) > 150
    assert all(len(text.split()) <= MAX_WORDS and text.endswith(".") for text in texts)
    assert sum(text.startswith("No") for text in texts) > 200


@pytest.mark.parametrize("form", ["blob", "long", "label", "strip"])
@pytest.mark.parametrize("shape", [(384, 512), (64, 64), (90, 400)])
def test_regions_keep_to_their_area(form: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        region = draw_region(shape, form, rng)
        share = region.inside.sum() / (shape[0] * shape[1])
        assert AREA_RANGE[0] <= share <= AREA_RANGE[1]
        assert region.inside.any(axis=0).all() and region.inside.any(axis=1).all()
        alpha = region.alpha(6.0)
        assert alpha.dtype == np.float32 and alpha.min() >= 0 and alpha.max() <= 1
        assert not alpha[~region.inside].any()


def test_places_prefer_the_centre() -> None:
    rng = np.random.default_rng(0)
    heat = np.zeros((96, 128))
    for _ in range(1500):
        region = draw_region(heat.shape, "blob", rng)
        heat[region.window] += region.inside
    assert heat[40:56, 54:74].mean() > 1.8 * heat.mean()
    assert heat[:6, :6].mean() > 0, "corners happen too"


def test_samples_are_what_their_script_makes() -> None:
    root = ROOT
    spec = importlib.util.spec_from_file_location("make_samples", root / "samples" / "make_samples.py")
    assert spec is not None and spec.loader is not None
    make_samples = importlib.util.module_from_spec(spec)
    sys.modules["make_samples"] = make_samples  # dataclasses look their module up
    spec.loader.exec_module(make_samples)
    for flaw in make_samples.FLAWS:
        defect = make_samples.flawed(flaw)
        stored = np.asarray(Image.open(root / "samples" / flaw.target).convert("RGB"))
        mask = np.asarray(Image.open(make_samples.MASKS / f"{Path(flaw.target).stem}.png").convert("L")) > 0
        # Decoders of JPEG and versions of OpenCV may differ by a level here and there.
        assert np.abs(stored.astype(int) - defect.image).mean() < 0.5
        assert (mask & defect.mask).sum() / (mask | defect.mask).sum() > 0.97
        assert len(flaw.description.split()) <= MAX_WORDS
