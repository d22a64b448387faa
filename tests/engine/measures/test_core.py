from __future__ import annotations

import logging

import numpy as np
import pytest
from bundles import RATING, build_bundle

from realm_engine import Engine

TEXTS = ["yes the face is melted", None, "no the image looks real", "  ", "yes the face is melted", ""]


def mos(engine, images, texts) -> np.ndarray:
    return np.array([row["mos"] for row in engine.score(images, texts, metrics="core")], dtype=np.float64)


def test_equals_the_reference_on_mixed_sizes_with_and_without_text(engine, reference, photo):
    # 24 x 32 is the model's own size: identity matrices
    sizes = [(72, 96), (30, 200), (72, 96), (24, 32), (20, 20), (90, 64)]
    images = [photo(*size, seed=seed) for seed, size in enumerate(sizes)]
    expected = [
        reference.mos(image, text if text and text.strip() else None)
        for image, text in zip(images, TEXTS, strict=True)
    ]
    np.testing.assert_allclose(
        mos(engine, images, TEXTS), expected, atol=2e-3
    )  # a level of float32 rounding moves a MOS by less
    assert np.ptp(expected) > 0.2


def test_a_batch_equals_its_singles(engine, photo):
    images = [photo(40, 56, seed=seed) for seed in range(5)]
    texts = TEXTS[:5]
    singles = [mos(engine, [image], [text])[0] for image, text in zip(images, texts, strict=True)]
    np.testing.assert_allclose(mos(engine, images, texts), singles, atol=1e-5)


def test_text_and_picture_both_count(engine, photo):
    image, other = photo(seed=1), photo(seed=2)
    with_text, without, changed = mos(engine, [image, image, other], ["the face", None, None])
    assert with_text != without
    assert without != changed


def test_the_rating_is_the_published_line_within_its_range(engine):
    (core,) = engine.measures
    realness = core.columns[1]
    assert (realness.name, realness.decimals) == ("realness", 4)
    assert realness.value(0.0) == pytest.approx(RATING["offset"])
    assert realness.value(-1.0) == pytest.approx(RATING["offset"] - RATING["slope"])
    assert realness.value(9.0) == 100.0
    assert realness.value(-9.0) == 0.0


def test_a_bundle_trained_with_text_only_says_so_once(tmp_path, photo, caplog):
    path = build_bundle(tmp_path / "b", dream=False, missing_text="empty-description")
    with (
        caplog.at_level(logging.WARNING, "realm_engine"),
        Engine.open(path, device="cpu", threads=1) as engine,
    ):
        engine.score([photo()], ["yes"])
        assert not caplog.records
        engine.score([photo(), photo()])
    (record,) = caplog.records
    assert "never trained without descriptions" in record.getMessage()
