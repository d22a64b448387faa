"""A tower that was trained in one pass, from its run folder to maps of the engine."""

from __future__ import annotations

import json

import models
import numpy as np
import pytest
from repository import ROOT

from export.bundle import Photographs, Variants, export_bundle
from export.manifest import BundleInfo
from export.parts.dream import Dream
from export.towers.clip_model import open_clip_model
from realm_engine import DreamConfig, Engine
from realm_engine.verbs.verify import verify_bundle
from realm_train.clip.config import ONE_PASS
from realm_train.clip.judge import window_maps
from realm_train.clip.model import Clip, open_clip_run
from realm_train.clip.one_pass import picture_maps

SAMPLES = sorted((ROOT / "samples").glob("*.jpg"))
TEXTS = ["the face melts", "no"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The run folder of a training that has not begun."""
    folder = tmp_path_factory.mktemp("one-pass")
    models.window_clip(folder, encoder=ONE_PASS)
    return folder / "run"


@pytest.fixture(scope="module")
def clip(run) -> Clip:
    return open_clip_run(run)


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "one-pass"
    part = Dream(open_clip_model(str(run)))
    photographs = Photographs(SAMPLES[:1])
    export_bundle(
        folder, BundleInfo("one-pass"), [part], photographs, Variants(("fp32", "fp16")), report=print
    )
    return folder


def test_the_manifest_says_which_encoder(bundle, clip):
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    assert clip.encoder == ONE_PASS
    assert set(manifest["graphs"]) == {"clip_text", "dream", "trunk", "windows"}
    assert manifest["dream"]["one_pass"] == {"cells_px": [4, 8, 16], "halo_px": 416}
    assert {preset["encoder"] for preset in manifest["dream"]["presets"].values()} == {ONE_PASS}
    fidelity = manifest["fidelity"]["fp32"]["dream"]
    assert fidelity["one_pass_map_pearson_min"] > 0.9999
    assert -1 < fidelity["encoders_pearson"] < 0.999  # they are two functions


@pytest.mark.parametrize(
    ("encoder", "size", "config"),
    [
        ("one-pass", (101, 77), DreamConfig((64,), 8)),
        ("one-pass", (64, 96), DreamConfig((64, 32), 16)),
        ("each-window", (101, 77), DreamConfig((64,), 16)),
    ],
)
def test_maps_are_those_of_pytorch(bundle, clip, photo, encoder, size, config):
    image = photo(*size)
    make = picture_maps if encoder == ONE_PASS else window_maps
    expected = make(clip, config.windows_px, config.stride_px)(image, TEXTS)
    with Engine.open(bundle, device="cpu", precision="fp32", encoder=encoder) as engine:
        found = engine.map_texts(image, TEXTS, config)
    for each, similarity in zip(found, expected, strict=True):
        assert each.encoder == encoder
        covered = each.covered
        np.testing.assert_allclose(1 - each.values[covered], similarity[covered], atol=1e-4)


def test_verify_tells_how_alike_the_encoders_are(bundle):
    checks = list(verify_bundle(bundle, "cpu", 1))
    assert all(check.ok for check in checks), checks
    (found,) = (check.detail for check in checks if check.name == "encoders")
    assert found.startswith("each-window and one-pass correlate with ")


def test_half_precision_has_both(bundle, photo):
    with (
        Engine.open(bundle, device="cpu", precision="fp16") as half,
        Engine.open(bundle, device="cpu") as full,
    ):
        config = DreamConfig((64,), 16)
        maps = [each.map(photo(96, 128), TEXTS[0], config) for each in (half, full)]
    found, expected = (each.values[each.covered] for each in maps)
    assert np.corrcoef(found, expected)[0, 1] > 0.999
    assert not np.array_equal(found, expected)


def test_a_trunk_has_no_int8(run):
    assert "int8" not in Dream(open_clip_model(str(run))).precisions
