"""The scale of maps: measured in PyTorch, exported, and the same in the engine."""

from __future__ import annotations

import json
from dataclasses import replace

import models
import numpy as np
import pytest
from PIL import Image
from repository import ROOT

from export.bundle import Photographs, Variants, export_bundle
from export.errors import ExportError
from export.manifest import BundleInfo
from export.parts.dream import Dream, MapOptions
from export.towers.clip_model import open_clip_model
from realm_engine import Engine
from realm_engine.verbs.verify import verify_bundle
from realm_train.clip.clean import (
    LEAST_STD,
    PROBE,
    CleanWindows,
    Geometry,
    high_z,
    measure_windows,
    random_descriptions,
    views,
    window_embeddings,
)
from realm_train.clip.config import ONE_PASS
from realm_train.clip.model import Clip, open_clip_run
from realm_train.errors import DataError

WINDOWS = (32, 64)
OWN = {"own": {"windows_px": [64, 32], "stride_px": 16, "aggregate": "mean"}}
GEOMETRY = Geometry((64, 32), 16, "mean")
SAMPLE = ROOT / "samples" / "cat.jpg"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scale")
    models.window_clip(folder, encoder=ONE_PASS)
    return folder / "run"


@pytest.fixture(scope="module")
def clip(run) -> Clip:
    return open_clip_run(run)


@pytest.fixture(scope="module")
def pictures():
    pixels = np.asarray(Image.open(SAMPLE).convert("RGB"))
    return [pixels[:120, :140], pixels[80:200, 100:260]]


@pytest.fixture(scope="module")
def clean(clip, pictures) -> CleanWindows:
    mean, factor, counts = measure_windows(clip, pictures, WINDOWS)
    probe = clip.encode_texts([PROBE])[0].detach().numpy()
    stands_out = {"own": {"text": 3.5, "phrases": 4.25}}
    measured = {"photographs": 2, "windows": counts}
    return CleanWindows(WINDOWS, ONE_PASS, mean, factor, probe, {"own": GEOMETRY}, stands_out, measured)


@pytest.fixture(scope="module")
def bundle(run, clean, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "scaled"
    path = folder.with_name("clean.safetensors")
    clean.save(path)
    options = MapOptions(OWN, "own", photographs=CleanWindows.load(path))
    part = Dream(open_clip_model(str(run)), options)
    variants = Variants(("fp32", "fp16"), storage="fp16")
    export_bundle(folder, BundleInfo("scaled"), [part], Photographs([SAMPLE]), variants, report=print)
    return folder


def test_mean_and_deviation_are_those_of_all_windows(clip, clean, pictures):
    """Whatever the text: similarities of every window, by themselves, and what they are held to vary at least."""
    texts = clip.encode_texts(random_descriptions(5, seed=1)).detach().numpy().astype(np.float64)
    means, stds = clean.scale(texts)
    assert means.shape == stds.shape == (5, 2)
    for column, size in enumerate(WINDOWS):
        each = [window_embeddings(clip, picture, size).numpy() for picture in pictures]
        similarity = np.concatenate(each).astype(np.float64) @ texts.T
        assert len(similarity) == clean.measured["windows"][str(size)] > 10
        np.testing.assert_allclose(means[:, column], similarity.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(stds[:, column], np.sqrt(similarity.var(axis=0) + LEAST_STD**2), rtol=1e-3)


def test_the_bundle_says_what_was_measured(bundle):
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    section = manifest["dream"]
    assert section["photographs"] == {"windows_px": list(WINDOWS), "encoder": ONE_PASS}
    assert section["presets"]["own"]["stands_out"] == {"text": 3.5, "phrases": 4.25}
    assert "stands_out" not in section["presets"]["released"]
    assert manifest["graphs"]["photographs"]["variants"] == {"fp32": "photographs.onnx"}
    assert manifest["files"]["photographs.onnx"]["size_bytes"] < 10_000
    for precision in ("fp32", "fp16"):
        assert 0 < manifest["fidelity"][precision]["dream"]["photographs_max_diff"] <= 0.01
    checks = {check.name: check for check in verify_bundle(bundle, "cpu", 1)}
    assert all(check.ok for check in checks.values()), checks
    assert "standard deviation" in checks["photographs"].detail
    assert "measured by the export" in checks["fidelity photographs"].detail


@pytest.mark.parametrize("count", [1, 2])
def test_the_engine_finds_the_heights_that_thresholds_are_made_of(bundle, clip, clean, pictures, count):
    texts = random_descriptions(count, seed=2)
    embedded = clip.encode_texts(texts).detach().numpy()
    with Engine.open(bundle, device="cpu", precision="fp32") as engine:
        for picture in pictures:
            found = engine.map(picture, texts)
            grids = found.config.grids(*picture.shape[:2])
            each = [window_embeddings(clip, picture, grid.window_px, 16).numpy() for grid in grids]
            expected = high_z(clean, each, grids, "mean", embedded)
            assert found.preset == "own" and found.photographs.threshold == 3.5
            assert found.z_high == pytest.approx(expected, abs=0.02)
            assert found.stands_out == (found.z_high > 3.5)


def test_other_towers_and_presets_are_refused(run, clean):
    other = open_clip_model(str(run))
    for wrong in (
        replace(clean, encoder="each-window"),
        replace(clean, probe=-clean.probe),
        replace(clean, mean=clean.mean[:, :-1], factor=clean.factor[:, :-1]),
    ):
        with pytest.raises(ExportError, match="measured with another CLIP"):
            Dream(other, MapOptions(OWN, "own", photographs=wrong))
    for presets in (
        {},
        {"own": OWN["own"] | {"stride_px": 8}},
        {"own": OWN["own"] | {"windows_px": [32, 64]}},
    ):
        with pytest.raises(ExportError, match="measured for a preset 'own'"):
            MapOptions(presets, photographs=clean)


def test_a_file_of_something_else_is_refused(tmp_path, run):
    (tmp_path / "text").write_text("no tensors")
    for path in (tmp_path / "text", tmp_path / "missing", run / "checkpoint.safetensors"):
        with pytest.raises(DataError, match=r"not a file of recipes/clean_maps\.py"):
            CleanWindows.load(path)


def test_views_are_whole_mirrored_and_cropped(pictures):
    found = list(views(pictures, 4, seed=0))
    assert len(found) == 8
    np.testing.assert_array_equal(found[0], pictures[0])
    np.testing.assert_array_equal(found[1], pictures[0][:, ::-1])
    for crop in found[2:4]:
        assert all(0.7 < now / before <= 1 for now, before in zip(crop.shape[:2], (120, 140), strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(found, views(pictures, 4, seed=0), strict=True))
