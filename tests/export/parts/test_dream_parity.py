"""Maps of the engine on an exported bundle against the published loop."""

from __future__ import annotations

import json
from pathlib import Path

import models
import numpy as np
import open_clip
import pytest
import reference
import torch
from PIL import Image
from repository import ROOT

from export.bundle import Photographs, Variants, export_bundle
from export.errors import ExportError
from export.manifest import FORMAT_VERSION, BundleInfo
from export.parts.dream import Dream
from export.towers.clip_model import ClipModel, open_clip_model
from realm_engine import DreamConfig, Engine
from realm_engine.bundle.bundle import Bundle

SAMPLES = sorted((ROOT / "samples").glob("*.jpg"))
TEXT = "Yes, the edge of the hand melts into the background."


def photo(width: int, height: int, sample: int = 0, shrink: float = 0.5) -> np.ndarray:
    """A crop of a real photograph."""
    with Image.open(SAMPLES[sample % len(SAMPLES)]) as image:
        side = max(width / image.width, height / image.height, shrink)
        resized = image.convert("RGB").resize((round(image.width * side) + 1, round(image.height * side) + 1))
    return np.array(resized)[:height, :width].copy()


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> ClipModel:
    return open_clip_model(str(models.native_clip(tmp_path_factory.mktemp("clip"))), "random")


@pytest.fixture(scope="module")
def bundle(clip, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / "native"
    export_bundle(
        path,
        BundleInfo("native"),
        [Dream(clip)],
        Photographs(SAMPLES[:2]),
        Variants(("fp32", "fp16")),
        report=lambda _: None,
    )
    return path


@pytest.fixture(scope="module")
def engine(bundle):
    with Engine.open(bundle, device="cpu", precision="fp32", threads=1) as opened:
        yield opened


@torch.no_grad()
def text_embedding(clip: ClipModel, text: str) -> torch.Tensor:
    return torch.nn.functional.normalize(clip.model.encode_text(open_clip.tokenize(text)), dim=-1)[0]


def arguments(clip: ClipModel) -> tuple:
    return clip.image_size_px, clip.mean, clip.std


@pytest.mark.parametrize(
    ("width", "height", "window", "stride"),
    [
        (96, 72, 64, 8),  # the released preset; the stride divides
        (101, 77, 64, 8),  # odd sizes: a strip at the right and bottom stays 0
        (77, 131, 64, 16),  # portrait
        (48, 40, 16, 8),
        (61, 45, 16, 7),
        (90, 80, 33, 13),
        (128, 128, 128, 4),  # exactly one window
        (200, 130, 130, 25),  # as high as the image
        (240, 230, 224, 8),  # no resize
        (300, 260, 256, 20),  # shrinks
        (100, 60, 24, 40),  # gaps between windows
    ],
)
def test_released_map(engine, clip, width, height, window, stride):
    image = photo(width, height, sample=window)
    expected = reference.released_map(
        clip.model.encode_image, text_embedding(clip, TEXT), image, *arguments(clip), window, stride
    )
    config = DreamConfig((window,), stride, "mean", "similarity")
    ours = engine.map(image, TEXT, config).values
    assert ours.shape == (height, width) and ours.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(ours), expected == 0)
    assert np.nanmax(np.abs(ours - expected)) <= 1e-4


@pytest.mark.parametrize(("width", "height"), [(140, 132), (129, 150)])
def test_paper_map(engine, clip, width, height):
    image = photo(width, height, sample=1)
    embedding = text_embedding(clip, TEXT)
    expected = reference.paper_map(clip.model.encode_image, embedding, image, *arguments(clip), stride=12)
    ours = engine.map(image, TEXT, DreamConfig((128, 64, 32), 12, "max", "realness")).values
    np.testing.assert_array_equal(np.isnan(ours), expected == 0)
    assert np.nanmax(np.abs(ours - expected)) <= 1e-4


def test_presets_are_the_published_ones(engine):
    presets = engine.presets()
    assert presets["released"] == DreamConfig((64,), 8, "mean")
    assert presets["paper"] == DreamConfig((128, 64, 32), 4, "max")


def test_random_weights_are_named(bundle):
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    assert manifest["weights"] == "random (seed 0)"
    assert manifest["graphs"]["clip_text"]["inputs"] == [
        {"name": "input_ids", "dtype": "int64", "shape": ["batch", 77]}
    ]
    # bf16 is the arithmetic of a runtime, measured where OpenVINO and the processor have it
    assert set(manifest["fidelity"]) - {"bf16"} == {"fp32", "fp16"}
    assert manifest["fidelity"]["fp32"]["dream"]["similarity_max_abs_diff"] <= 1e-4
    assert manifest["fidelity"]["fp16"]["dream"]["image_cosine_min"] >= 0.9995
    assert set(manifest["files"]) == {
        "clip_text.fp16.onnx",
        "clip_text.onnx",
        "clip_tokenizer.json",
        "dream.fp16.onnx",
        "dream.onnx",
    }


def test_every_graph_repeats_what_a_host_needs(bundle):
    import onnx

    section = Bundle.open(bundle).manifest["dream"]
    for name in ("clip_text", "dream"):
        model = onnx.load(bundle / f"{name}.onnx", load_external_data=False)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        assert metadata["realm.graph"] == name
        assert metadata["realm.bundle"] == "native"
        assert metadata["realm.format_version"] == FORMAT_VERSION
        assert json.loads(metadata["realm.config"]) == section


def test_the_same_export_gives_the_same_bytes(bundle, tmp_path):
    clip = open_clip_model(str(models.native_clip(tmp_path)), "random")
    export_bundle(
        tmp_path / "native",
        BundleInfo("native"),
        [Dream(clip)],
        Photographs(SAMPLES[:2]),
        Variants(("fp32", "fp16")),
        report=lambda _: None,
    )
    for file in sorted(bundle.iterdir()):
        if file.name != "bundle.json":
            assert (tmp_path / "native" / file.name).read_bytes() == file.read_bytes(), file.name
    first, again = (json.loads((path / "bundle.json").read_text()) for path in (bundle, tmp_path / "native"))
    # the last digit of what a runtime computes on several threads may differ
    del first["fidelity"], again["fidelity"]
    assert first == again


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 2e-3)])
def test_embeddings_are_those_of_pytorch(bundle, clip, precision, tolerance):
    import onnxruntime

    from realm_engine.pictures.resample import resample_matrix

    opened = Bundle.open(bundle)
    session = onnxruntime.InferenceSession(
        opened.path("dream", precision), providers=["CPUExecutionProvider"]
    )
    image = photo(150, 120, sample=1)
    top, left = np.array([0, 8, 56]), np.array([3, 80, 0])
    feeds = {
        "image": image,
        "top": top,
        "left": left,
        "resample": resample_matrix(64, clip.image_size_px, "bicubic").astype(np.float32),
        "text": text_embedding(clip, TEXT).unsqueeze(0).numpy(),
    }
    similarity, embedding = session.run(["similarity", "embedding"], feeds)
    crops = [Image.fromarray(image[y : y + 64, x : x + 64]) for y, x in zip(top, left, strict=True)]
    size = (clip.image_size_px, clip.image_size_px)
    pixels = torch.stack(
        [torch.from_numpy(np.array(crop.resize(size, Image.Resampling.BICUBIC))) for crop in crops]
    )
    pixels = (
        pixels.permute(0, 3, 1, 2).float() / 255 - torch.tensor(clip.mean).view(3, 1, 1)
    ) / torch.tensor(clip.std).view(3, 1, 1)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(clip.model.encode_image(pixels), dim=-1).numpy()
    assert embedding.dtype == np.float32 and embedding.shape == (3, clip.embed_dim)
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(embedding, expected, atol=tolerance)
    np.testing.assert_allclose(similarity, embedding @ feeds["text"].T, atol=1e-6)
    assert opened.manifest["graphs"]["dream"]["outputs"][1] == {
        "name": "embedding",
        "dtype": "float32",
        "shape": ["windows", clip.embed_dim],
    }


def test_half_maps_correlate(bundle, engine):
    image = photo(150, 120, sample=2)
    config = DreamConfig((64,), 8)
    with Engine.open(bundle, device="cpu", precision="fp16", threads=1) as half:
        ours = half.map(image, TEXT, config).values
    full = engine.map(image, TEXT, config).values
    covered = np.isfinite(full)
    assert np.corrcoef(ours[covered], full[covered])[0, 1] >= 0.999


def test_convolutional_clip_with_a_hugging_face_text_tower(tmp_path):
    text = models.text_tower(tmp_path / "text")
    clip = open_clip_model(str(models.convolutional_clip(tmp_path, text)), "random")
    assert (clip.image_size_px, clip.max_tokens, clip.fixed_length) == (64, 40, False)
    export_bundle(
        tmp_path / "b", BundleInfo("b"), [Dream(clip)], Photographs(SAMPLES[:1]), report=lambda _: None
    )
    image = photo(80, 70)
    with Engine.open(tmp_path / "b", device="cpu", threads=1) as engine, torch.no_grad():
        graph = engine.bundle.graphs["clip_text"]
        assert graph.input_names == ("input_ids", "attention_mask")
        ids = torch.tensor([engine.maps.dream._text._tokenizer.tokens(TEXT)])
        embedding = torch.nn.functional.normalize(clip.model.encode_text(ids), dim=-1)[0]
        ours = engine.map(image, TEXT, DreamConfig((32,), 8, "mean", "similarity")).values
    expected = reference.released_map(clip.model.encode_image, embedding, image, *arguments(clip), 32, 8)
    assert np.nanmax(np.abs(ours - expected)) <= 1e-4


def test_a_missed_gate_leaves_no_bundle(clip, tmp_path):
    broken = models.tampered(clip)
    with pytest.raises(ExportError, match="no bundle was written"):
        export_bundle(
            tmp_path / "b", BundleInfo("b"), [Dream(broken)], Photographs(SAMPLES[:1]), report=lambda _: None
        )
    assert list(tmp_path.iterdir()) == []


def test_real_vit_b_32_random_weights(tmp_path):
    clip = open_clip_model("ViT-B-32-quickgelu", "random")
    from export.graph.model import count_nodes, serialize
    from export.graph.to_onnx import tidy, to_onnx
    from export.parts.dream import dream_export

    model = tidy(to_onnx(dream_export(clip)))
    assert count_nodes(model, "LayerNormalization") == 26
    assert count_nodes(model, "Softmax") == 12
    file = tmp_path / "dream.onnx"
    file.write_bytes(serialize(model, {}))
    import onnxruntime

    from realm_engine.pictures.resample import resample_matrix

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    image = photo(90, 70, sample=3)
    embedding = text_embedding(clip, TEXT)
    values = reference.window_similarities(
        clip.model.encode_image, embedding, image, 64, 20, *arguments(clip)
    )
    origins = np.array(list(values), dtype=np.int64)
    (ours,) = session.run(
        ["similarity"],
        {
            "image": image,
            "top": origins[:, 0],
            "left": origins[:, 1],
            "resample": resample_matrix(64, 224, "bicubic").astype(np.float32),
            "text": embedding.unsqueeze(0).numpy(),
        },
    )
    assert np.abs(ours[:, 0] - list(values.values())).max() <= 1e-4
