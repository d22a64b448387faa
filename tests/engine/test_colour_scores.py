"""A picture in another colour space scores as its twin in sRGB does."""

from __future__ import annotations

import io

import numpy as np
import pytest
from colour_profiles import SPACES, converted, matrix_profile
from PIL import Image
from repository import ROOT

from realm_engine import Engine

SAMPLES = ROOT / "samples"


@pytest.fixture(scope="module")
def engine():
    with Engine.open("realm-tiny", device="cpu", precision="fp32", threads=1) as opened:
        yield opened


@pytest.mark.parametrize("space", [name for name in SPACES if name != "srgb"])
def test_a_picture_scores_as_its_twin(engine, space):
    with Image.open(SAMPLES / "flower.jpg") as image:
        pixels = np.asarray(image.convert("RGB"))
    there = converted(pixels, "srgb", space)
    file = io.BytesIO()
    Image.fromarray(there).save(file, "PNG", icc_profile=matrix_profile(space))
    scores = engine.score([pixels, there, converted(there, space), file.getvalue()])
    twin, taken_for_srgb, by_hand, told = (score.mos for score in scores)
    assert abs(told - by_hand) < 0.003
    # What is left is the rounding to 8 bits there: ProPhoto RGB has the coarsest levels.
    assert abs(told - twin) < {"p3": 0.003, "adobe": 0.005, "prophoto": 0.015}[space]
    if space != "prophoto":  # this picture happens to score the same without its colours
        assert abs(taken_for_srgb - twin) > 5 * abs(told - twin)
