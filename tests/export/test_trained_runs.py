"""What `realm-train` leaves behind, exported: a fitted kernel head and realm-tiny's window trunk."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import reference
import torch
from clip_data import clip_config, picture, write_clip_text_tower, write_pictures
from train_data import tiny_config, write_data

from export.bundle import Photographs, Variants, export_bundle
from export.manifest import BundleInfo
from export.parts.core import Core
from export.parts.core_columns import Scale
from export.parts.dream import Dream, MapOptions
from export.terms import Terms
from export.towers.clip_model import open_clip_model
from export.towers.core_source import open_core
from realm_engine import DreamConfig, Engine
from realm_engine.bundle.columns import ByText, Curve
from realm_train import raise_td
from realm_train.clip.judge import bundle_maps, judge_maps, window_maps
from realm_train.clip.model import open_clip_run
from realm_train.clip.train import train_clip
from realm_train.core.checkpoint import load_core
from realm_train.core.kernel import KernelHead
from realm_train.core.train import train_core
from realm_train.defects.planted import planted_defects

TEXTS = ["Yes, the face looks warped.", "No.", "", None, "somewhat odd , the hand is warped"]


LINE = Curve((-1.0, 0.0, 1.0), (0.0, 60.0, 100.0))
SCALE = Scale(0.9, ByText(0.5, 0.8), {"photographs": ByText(LINE, LINE)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_pictures(folder / "data", 9)
    text = str(write_clip_text_tower(folder / "bert"))
    config = tiny_config(Path(text), freeze_text=True, freeze_image="all", svr_c=3.0)
    model = dataclasses.replace(config.model, head="kernel", image_pooling="stages", missing_text="none")
    rows = raise_td.read_split(write_data(folder / "rated", 24))
    train_core(rows, dataclasses.replace(config, model=model), folder / "core", cpu=True, show_progress=False)
    tiny = clip_config(
        "realm-tiny", text_tower=text, text_layers=1, embed_dim=16, image_size_px=32, validation_photographs=0
    )
    train_clip(folder / "data", folder / "clip", tiny)
    return folder


@pytest.fixture(scope="module", params=["fp32", "int8-embeddings"])
def bundle(request, folder) -> Path:
    """Both runs in one bundle; the export refuses what differs from PyTorch."""
    path = folder / f"bundle-{request.param}"
    core, clip = open_core(folder / "core"), open_clip_model(str(folder / "clip"))
    photographs = sorted((folder / "data" / "train" / "images").glob("*.png"))[:2]
    presets = {"tiny": {"windows_px": [48], "stride_px": 16, "aggregate": "mean"}}
    precisions = ("fp32", "fp16") if request.param == "fp32" else ("fp32",)
    export_bundle(
        path,
        BundleInfo("runs", terms_of={"dream": Terms("Apache-2.0", commercial_use=True)}),
        [Core(core, SCALE), Dream(clip, MapOptions(presets, "tiny"))],
        Photographs(photographs),
        Variants(precisions, request.param),
        report=lambda _: None,
    )
    return path


def test_manifest(bundle):
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    assert manifest["weights"] == "trained"
    assert manifest["core"]["missing_text"] == "trained"  # the kernel head answers for images alone
    assert manifest["dream"]["image_size_px"] == 32
    if bundle.name.endswith("fp32"):
        half = manifest["fidelity"]["fp16"]
        assert half["core"]["mos_max_abs_diff"] <= 0.01
        assert half["dream"]["map_pearson_min"] >= 0.999
    # The towers' text transformer is one and the same, but for a layer.
    graphs = manifest["graphs"]
    assert graphs["core_text"]["variants"]["fp32"] == graphs["clip_text"]["variants"]["fp32"] == "text.onnx"


def test_a_shared_text_tower_has_the_terms_of_each_part(bundle):
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    free = {name for name, graph in manifest["graphs"].items() if graph["licence"]["commercial_use"]}
    assert free == {"clip_text", "dream"} and manifest["dream"]["licence"]["commercial_use"]
    assert not manifest["licence"]["commercial_use"]
    assert not manifest["measures"]["core"]["licence"]["commercial_use"]


@torch.no_grad()
def test_scores_of_a_kernel_head(folder, bundle):
    loaded = load_core(folder / "core")
    assert isinstance(loaded.model.head, KernelHead)
    rng = np.random.default_rng(0)
    # Of CORE's own size: a random tower magnifies the last bit of a resize, which test_core.py is about.
    noise = [rng.normal(128, 15 + 12 * i, (32, 48, 3)) for i in range(len(TEXTS))]
    images = [np.clip(values, 0, 255).astype(np.uint8) for values in noise]
    expected = []
    for image, text in zip(images, TEXTS, strict=True):
        ids = torch.tensor([loaded.tokenizer.encode(text or "").ids])
        pixels = reference.core_pixels(image, 32, 48)
        has_text = torch.tensor([float(bool(text))])
        expected.append(float(loaded.model(pixels, ids, torch.ones_like(ids), has_text)))
    with Engine.open(bundle, device="cpu", precision="fp32", threads=1) as engine:
        found = [score.mos for score in engine.score(images, TEXTS)]
        alone = [score.mos for score in engine.score(images, [None] * len(images))]
    assert np.ptp(expected) > 0.01
    exact = bundle.name.endswith("fp32")
    np.testing.assert_allclose(found, expected, atol=1e-4 if exact else 0.01)
    same = [a == pytest.approx(b, abs=1e-6) for a, b in zip(found, alone, strict=True)]
    assert same == [False, False, True, True, False]


@torch.no_grad()
def test_how_sure_a_score_is(folder, bundle):
    loaded = load_core(folder / "core")
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (32, 48, 3)).astype(np.uint8), np.full((32, 48, 3), 128, np.uint8)]
    encoded = [loaded.model.encode_image(reference.core_pixels(image, 32, 48)) for image in images]
    expected = [float(loaded.model.distance(features)) for features in encoded]
    small = np.full((3, 3, 3), 128, np.uint8)  # smaller than any stage of the tower: grey all the same
    with Engine.open(bundle, device="cpu", precision="fp32", threads=1) as engine:
        rows = engine.score([*images, small], [TEXTS[0], None, None])
    exact = bundle.name.endswith("fp32")
    np.testing.assert_allclose([row.unlike for row in rows[:2]], expected, rtol=1e-3 if exact else 0.02)
    assert rows[2].unlike == pytest.approx(rows[1].unlike, rel=0.02)
    for row, width in zip(rows, (0.5, 0.8, 0.8), strict=True):
        assert row.flags == (("unlike",) if row.unlike > 1 else ())
        assert row.interval("mos") == pytest.approx((row.mos - width, row.mos + width))
        assert row.percentile_photographs == pytest.approx(np.interp(row.mos, LINE.x, LINE.y))
    core = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))["measures"]["core"]
    assert [column["name"] for column in core["columns"]] == ["mos", "unlike"]
    assert core["more_columns"][0]["curve"] == {"any": {"x": list(LINE.x), "y": list(LINE.y)}}


def test_maps_of_the_window_trunk(folder, bundle):
    image = picture(31, 100, 120)
    clip = open_clip_run(folder / "clip")
    text = "Yes, the hand is warped."
    expected = window_maps(clip, (48,), 16)(image, [text])[0]
    with Engine.open(bundle, device="cpu", precision="fp32", threads=1) as engine:
        mapped = engine.map(image, text, DreamConfig((48,), 16, "mean", "similarity"))
    found, expected = mapped.values[mapped.covered], expected[mapped.covered]
    exact = bundle.name.endswith("fp32")
    np.testing.assert_allclose(found, expected, atol=1e-4 if exact else 0.02)
    assert np.corrcoef(found, expected)[0, 1] > 0.999


def test_judge_of_a_bundle_is_that_of_its_run(folder, bundle):
    planted = planted_defects([picture(5, 96, 112), picture(6, 96, 112)], seed=1, per_photograph=1)
    expected = judge_maps(planted, window_maps(open_clip_run(folder / "clip"), (48,), 16)).to_json()
    found = judge_maps(planted, bundle_maps(bundle)).to_json()
    assert found.pop("by_kind") == pytest.approx(expected.pop("by_kind"), abs=0.01)
    assert found == pytest.approx(expected, abs=0.05)
