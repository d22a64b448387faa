"""`realm-engine map` with a bundle that knows photographs: what it says, draws and records."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from one_pass_bundle import build_one_pass_bundle
from photographs_bundle import add_photographs
from PIL import Image

from realm_engine.maps import render


@pytest.fixture
def bundle(tmp_path) -> Path:
    """Nothing reaches `tiny` with a text, everything does with phrases; `released` knows nothing."""
    folder = build_one_pass_bundle(tmp_path / "bundle", recommended_preset="tiny")
    return add_photographs(folder, (16, 24), "one-pass", {"tiny": {"text": 1e6, "phrases": 1e-6}})


@pytest.fixture
def picture(photo, tmp_path) -> Path:
    path = tmp_path / "p.png"
    Image.fromarray(photo(256, 264)).save(path)
    return path


def drawn(picture: Path, out: Path) -> tuple[np.ndarray, np.ndarray, dict]:
    """The picture, the same place of its overlay, and the record."""
    image = np.asarray(Image.open(picture))
    overlay = np.asarray(Image.open(out / "p.overlay.png"))[: image.shape[0], : image.shape[1]]
    return image, overlay, json.loads((out / "p.json").read_text(encoding="utf-8"))


def test_nothing_stands_out(cli, bundle, picture, tmp_path):
    result = cli("map", picture, "--text", "yes the face", "--output", tmp_path / "m", bundle=bundle)
    assert result.exit_code == 0, result.stderr
    assert "nothing stands out in 1 of 1 maps" in result.stderr
    image, overlay, record = drawn(picture, tmp_path / "m")
    np.testing.assert_array_equal(overlay, image)  # the picture as it is, without a box
    assert record["regions"] == [] and record["photographs"]["stands_out"] is False
    known = record["photographs"]
    assert record["photographs"]["z_max"] < known["threshold"] == 1e6
    low, high = (1 - known["mean"] - known["std"] * z for z in (1.25e6, 1e6))
    assert record["colour_limits"] == pytest.approx([low, high])


def test_something_stands_out(cli, bundle, picture, tmp_path):
    result = cli("map", picture, "--output", tmp_path / "m", bundle=bundle)
    assert result.exit_code == 0, result.stderr
    assert "nothing stands out in 0 of 1 maps" in result.stderr
    assert "phrases chosen" in result.stderr and "; nothing stands out" not in result.stderr
    image, overlay, record = drawn(picture, tmp_path / "m")
    assert (overlay != image).any() and record["regions"]
    known = record["photographs"]
    assert known["stands_out"] is True and known["z_max"] > known["threshold"] == 1e-6
    assert record["colour_limits"][0] == pytest.approx(record["statistics"]["min"], abs=1e-6)
    assert record["colour_limits"][1] == pytest.approx(1 - known["mean"], abs=1e-6)


def test_a_range_that_is_given_wins(cli, bundle, picture, tmp_path):
    options = ["--text", "yes the face", "--range", 0.9, 1.1, "--output", tmp_path / "m"]
    assert cli("map", picture, *options, bundle=bundle).exit_code == 0
    image, overlay, record = drawn(picture, tmp_path / "m")
    assert record["colour_limits"] == [0.9, 1.1] and record["regions"] == []
    values = np.load(tmp_path / "m" / "p.npy")
    expected = render.lay_over(image, 1 - np.clip((values - np.float32(0.9)) / np.float32(0.2), 0, 1))
    covered = values != 0
    assert np.abs(overlay[covered].astype(int) - expected[covered]).max() <= 1


def test_nothing_is_said_where_nothing_is_known(cli, bundle, picture, tmp_path):
    options = ["--text", "yes the face", "--preset", "released", "--output", tmp_path / "m"]
    result = cli("map", picture, *options, bundle=bundle)
    assert result.exit_code == 0 and "stands out" not in result.stderr
    *_, record = drawn(picture, tmp_path / "m")
    assert record["photographs"] is None  # windows of 64 px are not known


def test_phrases_of_a_picture_on_which_nothing_stands_out(cli, picture, tmp_path):
    folder = build_one_pass_bundle(tmp_path / "silent", recommended_preset="tiny")
    add_photographs(folder, (16, 24), "one-pass", {"tiny": {"phrases": 1e6}})
    result = cli("map", picture, picture, "--format", "json", "--output", tmp_path / "m", bundle=folder)
    assert "; nothing stands out\n" in result.stderr
    assert "nothing stands out in 1 of 1 maps" in result.stderr


def test_info_and_verify(cli, bundle):
    text = cli("info", bundle).stdout
    assert "stands out" in text and "photographs" in text
    facts = json.loads(cli("info", bundle, "--json").stdout)["bundle"]["dream"]
    assert facts["photographs"] == {"windows_px": [16, 24], "encoder": "one-pass"}
    assert facts["presets"]["tiny"]["stands_out"] == {"text": 1e6, "phrases": 1e-6}
    assert facts["presets"]["released"]["stands_out"] == {"text": None, "phrases": None}
    result = cli("verify", bundle)
    assert result.exit_code == 0, result.stdout
    (line,) = [line for line in result.stdout.splitlines() if "standard deviation 0." in line]
    assert "photographs" in line and "similarity -" in line
