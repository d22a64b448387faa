"""Scores of the engine on an exported bundle against PyTorch with Pillow."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import models
import numpy as np
import onnx
import pytest
import reference
import torch
from repository import ROOT
from tokenizers import Tokenizer

from export.bundle import Photographs, Variants, export_bundle
from export.graph.model import count_nodes, serialize
from export.graph.to_onnx import tidy, to_onnx
from export.manifest import BundleInfo
from export.parts.core import Core, core_export, core_text_export
from export.parts.dream import Dream
from export.towers.clip_model import open_clip_model
from export.towers.core_source import CoreSource, core_source
from export.towers.shared_text import shared_transformer
from realm_engine import Engine
from realm_train.core.config import CoreConfig, CoreModelConfig
from realm_train.core.loaded import LoadedCore
from realm_train.core.model import build_core

SAMPLES = sorted((ROOT / "samples").glob("*.jpg"))
TEXTS = [
    "Yes, the face melts.",
    None,
    "",
    "No",
    "somewhat " * 60,
    "the sign is garbled, the hand has too many fingers",
]
SMALL = {
    "normalisation": "imagenet",
    "image_pooling": "multi-stage",
    "stages": (1, 2),
    "text_pooling": "mean",
    "hidden": 16,
    "feature_normalisation": "standardise",
    "missing_text": "learned",
}
PAPER_LIKE = {"text_pooling": "pooler", "hidden": 24}


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    return models.text_tower(tmp_path_factory.mktemp("towers") / "text")


@pytest.fixture(scope="module", params=[SMALL, PAPER_LIKE], ids=["small", "paper-like"])
def core(request, text) -> CoreSource:
    return models.small_core(text, **request.param)


@torch.no_grad()
def eager(core: CoreSource, image: np.ndarray, text: str | None) -> float:
    """PyTorch without padding; blank texts count as missing, as the engine documents."""
    tokenizer = Tokenizer.from_str(core.tokenizer_json)
    missing = not (text or "").strip()
    ids = tokenizer.encode("" if missing else text).ids
    ids = torch.tensor([ids if len(ids) <= core.max_tokens else [*ids[: core.max_tokens - 1], ids[-1]]])
    features = core.model.encode_text(ids, torch.ones_like(ids))
    pixels = reference.core_pixels(image, core.height_px, core.width_px)
    has_text = torch.tensor([0.0 if missing and core.trained_without_text else 1.0])
    return float(core.model.fuse(core.model.encode_image(pixels), features, has_text))


@pytest.mark.parametrize("raise_td", [True, False])
def test_scores(core, tmp_path, raise_td):
    part = Core(dataclasses.replace(core, raise_td=raise_td))
    export_bundle(tmp_path / "b", BundleInfo("b"), [part], Photographs(SAMPLES[:2]), report=lambda _: None)
    rng = np.random.default_rng(0)
    sizes = [(96, 128), (384, 512), (77, 201), (300, 40), (96, 128), (512, 384)]
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    expected = [eager(core, image, text) for image, text in zip(images, TEXTS, strict=True)]
    with Engine.open(tmp_path / "b", device="cpu", threads=1) as engine:
        scores = engine.score(images, TEXTS)
        manifest = engine.bundle.manifest
    ours = [score.mos for score in scores]
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(ours, expected, atol=1e-3)
    for score in scores:
        # The 0-100 scale is that of RAISE-TD's ratings: no other CORE can say what its MOS would be on it.
        assert list(score.values) == (["mos", "realness"] if raise_td else ["mos"])
        if raise_td:
            rating = 64.010578006 + 17.349906357 * score.mos
            assert score.realness == pytest.approx(min(max(rating, 0), 100), abs=1e-3)
    expected_missing = "trained" if core.trained_without_text else "empty-description"
    assert manifest["core"]["missing_text"] == expected_missing
    assert manifest["core"]["image"] == {"height_px": 96, "width_px": 128, "interpolation": "bilinear"}


def test_trimmed_texts_have_the_same_features(core):
    import onnxruntime

    model = tidy(to_onnx(core_text_export(core)))
    session = onnxruntime.InferenceSession(serialize(model, {}), providers=["CPUExecutionProvider"])
    ids = np.random.default_rng(0).integers(5, 40, (3, 9))
    mask = np.ones_like(ids)
    (short,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
    padding = ((0, 0), (0, 31))
    (long,) = session.run(None, {"input_ids": np.pad(ids, padding), "attention_mask": np.pad(mask, padding)})
    assert np.abs(short - long).max() <= 1e-5
    assert count_nodes(model, "LayerNormalization") == 5
    assert count_nodes(model, "Gelu") == 2
    assert count_nodes(model, "IsNaN") == 0


def test_batch_norm_is_folded(core):
    model = tidy(to_onnx(core_export(core)))
    assert count_nodes(model, "Conv") == 20
    assert count_nodes(model, "BatchNormalization") == 0


def test_heads_see_every_stage_but_the_largest(core):
    import onnxruntime

    model = tidy(to_onnx(core_export(core)))
    session = onnxruntime.InferenceSession(serialize(model, {}), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (2, core.height_px, core.width_px, 3), generator=generator)
    feeds = {
        "pixels": pixels.numpy().astype(np.uint8),
        "resample_rows": np.eye(core.height_px, dtype=np.float32)[None, None],
        "resample_cols": np.eye(core.width_px, dtype=np.float32)[None, None],
        "text_features": torch.randn(2, core.model.text.config.hidden_size, generator=generator).numpy(),
        "has_text": np.ones(2, np.float32),
    }
    wanted = {each.name for each in session.get_inputs()}
    found = dict(zip(names, session.run(names, {k: v for k, v in feeds.items() if k in wanted}), strict=True))
    with torch.no_grad():
        _, (_, *stages) = core.model.encode_stages(pixels.permute(0, 3, 1, 2).float())
    assert names == ["mos", "features", *(f"stage_{i}" for i in range(1, len(stages) + 1))]
    moments = []
    for index, stage in enumerate(stages, 1):
        np.testing.assert_allclose(found[f"stage_{index}"], stage.numpy(), atol=1e-4)
        x = stage.double().numpy()
        moments += [x.mean(axis=(2, 3)), np.sqrt(x.var(axis=(2, 3)) + 1e-6)]
    np.testing.assert_allclose(found["features"], np.concatenate(moments, axis=1), atol=1e-4)


@pytest.mark.parametrize("storage", ["fp16", "int8-embeddings"])
def test_a_transformer_that_begins_another_shares_its_file(text, tmp_path, storage):
    core = models.small_core(text, **SMALL)
    shallow = models.text_tower(tmp_path / "shallow", layers=1)
    clip = open_clip_model(str(models.convolutional_clip(tmp_path, shallow)), "random")
    assert not shared_transformer(Core(core).text(), Dream(clip).text())  # random weights differ
    own = clip.model.text.transformer.state_dict()
    state = core.model.text.state_dict()
    clip.model.text.transformer.load_state_dict({key: state[key] for key in own})
    with torch.no_grad():  # equal numbers, but not equal bytes
        clip.model.text.transformer.embeddings.word_embeddings.weight[0] = 0.0
        core.model.text.embeddings.word_embeddings.weight[0] = -0.0
    assert shared_transformer(Core(core).text(), Dream(clip).text())
    export_bundle(
        tmp_path / "b",
        BundleInfo("b"),
        [Core(core), Dream(clip)],
        Photographs(SAMPLES[:1]),
        Variants(storage=storage),
        report=lambda _: None,
    )
    manifest = json.loads((tmp_path / "b" / "bundle.json").read_text(encoding="utf-8"))
    assert set(manifest["files"]) == {"text.onnx", "core.onnx", "dream.onnx", "tokenizer.json"}
    graphs = manifest["graphs"]
    assert graphs["core_text"]["variants"] == graphs["clip_text"]["variants"] == {"fp32": "text.onnx"}
    model = onnx.load(tmp_path / "b" / "text.onnx")
    assert [output.name for output in model.graph.output] == ["text_features", "text_embedding"]
    assert (
        count_nodes(model, "LayerNormalization") == 5
    )  # of two layers: the one layer of CLIP is the first of them
    assert manifest["fidelity"]["fp32"]["storage"] == storage
    assert manifest["fidelity"]["fp32"]["core"]["mos_max_abs_diff"] <= 0.01


def test_the_rating_is_a_column_only_where_it_was_learned_from(core, text):
    def columns(source: CoreSource) -> list[dict]:
        (measure,) = Core(source).measures().values()
        return measure.manifest({}, {})["columns"]

    assert not core.raise_td  # a run that does not say whose ratings it learned from
    assert [column["name"] for column in columns(core)] == ["mos"]
    mos, realness = columns(dataclasses.replace(core, raise_td=True))
    assert (mos["name"], realness["name"], realness["output"]) == ("mos", "realness", "mos")
    assert realness["line"] == {"offset": 64.010578006, "slope": 17.349906357}
    assert (realness["low"], realness["high"]) == (0.0, 100.0)
    config = CoreConfig(model=CoreModelConfig(text_tower=str(text)), ratings="raise-td")
    loaded = LoadedCore(core.model, config, Tokenizer.from_str(core.tokenizer_json), text)
    assert core_source(loaded).raise_td
    assert Core(core).section("t.json")["rating"] == realness["line"]  # 1.0 readers want it for every CORE


def test_half_core(core, tmp_path):
    export_bundle(
        tmp_path / "b",
        BundleInfo("b"),
        [Core(core)],
        Photographs(SAMPLES[:1]),
        Variants(("fp32", "fp16")),
        report=lambda _: None,
    )
    manifest = json.loads((tmp_path / "b" / "bundle.json").read_text(encoding="utf-8"))
    assert 0 < manifest["fidelity"]["fp16"]["core"]["mos_max_abs_diff"] <= 0.01
    core_files = (tmp_path / "b" / "core.fp16.onnx", tmp_path / "b" / "core.onnx")
    half, full = (file.stat().st_size for file in core_files)
    assert half < 0.55 * full


@torch.no_grad()
def test_upstream_checkpoint_of_the_published_size(tmp_path):
    """ResNet-50 and BERT-base with random weights, named as the published code names them."""
    import onnxruntime

    from export.towers.core_source import open_core
    from realm_engine.pictures.resample import resample_matrix

    torch.manual_seed(0)
    model, _ = build_core(CoreModelConfig())
    names = {"image.backbone.": "cnn.", "text.": "bert.", "head.": "fc."}
    state = {
        upstream + key.removeprefix(own): value
        for key, value in model.state_dict().items()
        for own, upstream in names.items()
        if key.startswith(own)
    }
    torch.save(state, tmp_path / "best_model.pth")
    core = open_core(tmp_path / "best_model.pth")
    assert core.raise_td  # the published weights
    assert (core.height_px, core.width_px, core.max_tokens, core.trained_without_text) == (
        384,
        512,
        128,
        False,
    )
    onnx_model = tidy(to_onnx(core_export(core)))
    assert count_nodes(onnx_model, "Conv") == 53
    assert count_nodes(onnx_model, "BatchNormalization") == 0
    session = onnxruntime.InferenceSession(serialize(onnx_model, {}), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    features = torch.randn(1, 768, generator=torch.Generator().manual_seed(0))
    (ours,) = session.run(
        ["mos"],
        {
            "pixels": image[None],
            "resample_rows": resample_matrix(300, 384, "bilinear").astype(np.float32)[None, None],
            "resample_cols": resample_matrix(400, 512, "bilinear").astype(np.float32)[None, None],
            "text_features": features.numpy(),
            "has_text": np.ones(1, dtype=np.float32),
        },
    )
    pixels = reference.core_pixels(image, 384, 512)
    expected = model.fuse(model.encode_image(pixels), features, torch.ones(1))
    assert np.abs(ours - expected.numpy()).max() <= 1e-3
