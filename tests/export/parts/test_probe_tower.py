"""A probe with its backbone as a bundle: what engines say is what the original would, for every published backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import timm
import torch
from bundles import read_manifest
from PIL import Image
from torchvision.transforms import v2

from export.bundle import Photographs, export_bundle
from export.graph.published_head import PublishedHead
from export.manifest import BundleInfo
from export.parts.probe_tower import PublishedTower
from export.terms import Terms
from export.towers.backbone_graph import backbone_export
from realm_engine import Engine
from realm_engine.bundle.manifest import GraphSpec, TensorSpec
from realm_engine.measures.look import View
from realm_engine.pictures.together import Together
from realm_train.errors import RunError
from realm_train.probe.backbones import IMAGENET, PUBLISHED_WIDTHS, Backbone, backbone
from realm_train.probe.checkpoint import open_probe
from realm_train.probe.imported import import_probe

ARCH = "lcnet_035"  # small, and takes 224 px


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """Of several sizes, one of them smaller than what the tower sees."""
    rng = np.random.default_rng(0)
    found = []
    for number, size in enumerate([(256, 256), (300, 411), (411, 300), (90, 130), (300, 411)]):
        colours = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(colours).resize(size[::-1], Image.Resampling.BICUBIC))
        noisy = smooth * rng.uniform(0.2, 1) + rng.normal(0, 15 * number, smooth.shape)
        found.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return found


def seen(picture: np.ndarray) -> torch.Tensor:
    """The published test transform, by torchvision: [1, 3, 224, 224]."""
    steps = v2.Compose([v2.Resize(256), v2.CenterCrop(224), v2.PILToTensor()])
    pixels = steps(Image.fromarray(picture)).float() / 255
    return v2.functional.normalize(pixels, IMAGENET.mean, IMAGENET.std)[None]


@pytest.fixture(scope="module")
def original(pictures: list[np.ndarray]) -> Any:
    """A network and a linear layer as the published code has them; its batch norm has moved, its logits are about 1."""
    torch.manual_seed(0)
    probe: Any = torch.nn.Module()
    probe.model = timm.create_model(ARCH, num_classes=0).train()
    every = torch.cat([seen(picture) for picture in pictures])
    with torch.no_grad():
        for layer in probe.model.modules():
            layer.momentum = 0.7  # or nothing of a picture is left behind so many random layers
        for _ in range(4):
            probe.model(every)
        features = probe.model.eval()(every)
        probe.fc = torch.nn.Linear(features.shape[1], 1)
        logits = probe.fc(features)
        probe.fc.weight /= logits.std()
        probe.fc.bias[:] = -(features @ probe.fc.weight[0]).mean()
    return probe


@pytest.fixture(scope="module")
def run(original: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probe")
    state = {"model": original.state_dict(), "optimizer": {}, "total_steps": 1}
    torch.save(state, folder / "best.pth")
    return import_probe(folder / "best.pth", ARCH, folder / "run").path


@pytest.fixture(scope="module")
def bundle(run: Path, pictures: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    for number, picture in enumerate(pictures[:2]):
        Image.fromarray(picture).save(folder / f"{number}.png")
    info = BundleInfo("probe", terms=Terms("MIT", training_data="noise"))
    photographs = Photographs(sorted(folder.glob("*.png")))
    export_bundle(folder / "b", info, [PublishedTower(open_probe(run))], photographs, report=lambda _: None)
    return folder / "b"


def as_published(original: Any, picture: np.ndarray) -> tuple[float, float]:
    """p(fake) by torchvision's transforms, timm's network and the linear layer; and the place of the word."""
    with torch.no_grad():
        p = float(torch.sigmoid(original.fc(original.model(seen(picture))))[0, 0])
    return p, float(p >= 0.5)


def test_engines_say_what_the_original_says(bundle: Path, original: Any, pictures: list[np.ndarray]) -> None:
    expected = [as_published(original, picture) for picture in pictures]
    assert {place for _, place in expected} == {0.0, 1.0}
    with Engine.open(bundle, device="cpu", threads=1) as engine:
        rows = engine.score(pictures, metrics="real-fake")
        for row, (p, place) in zip(rows, expected, strict=True):
            assert row["p_fake"] == pytest.approx(p, abs=1e-3)
            assert row["verdict"] == ("real", "fake")[int(place)]


def test_the_manifest_says_what_it_is(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    assert manifest["towers"]["real_fake_tower"] == {
        "graph": "real_fake_tower",
        "output": "features",
        "view": {"kind": "centre-crop", "size_px": 224, "short_px": 256, "interpolation": "bilinear"},
    }
    measure = manifest["measures"]["real-fake"]
    assert (measure["kind"], measure["tower"], measure["ranks"]) == ("head", "real_fake_tower", False)
    assert "a hint, not a proof" in measure["says"]
    assert manifest["fidelity"]["fp32"]["measures.real-fake"]["p_max_abs_diff"] <= 1e-3
    assert "test" not in measure["columns"][0]["meaning"]


def test_a_head_counts_as_numpy_does() -> None:
    rng = np.random.default_rng(0)
    weight, features = rng.normal(size=8).astype(np.float32), rng.normal(size=(5, 8)).astype(np.float32)
    features[0] = 0
    session = onnxruntime.InferenceSession(PublishedHead(weight, 0.0, "head").model().SerializeToString())
    p, place = session.run(["p_fake", "verdict"], {"features": features})
    logits = features.astype(np.float64) @ weight
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-logits)), atol=1e-6)
    np.testing.assert_array_equal(place, logits >= 0)
    assert place[0] == 1  # p = .5 is fake


def test_what_is_no_such_run_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"kind": "CoreConfig", "config": {}}')
    with pytest.raises(RunError, match="holds a run of kind 'CoreConfig'"):
        open_probe(tmp_path)
    (tmp_path / "config.json").write_bytes((run / "config.json").read_bytes())
    with pytest.raises(RunError, match=r"has no checkpoint\.safetensors"):
        open_probe(tmp_path)


def exported_features(stem: Backbone, picture: np.ndarray) -> np.ndarray:
    """Of the exported tower in ONNX Runtime, fed as engines feed it."""
    graph = backbone_export(stem, "probe_tower", "features")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(graph.model().SerializeToString(), options)
    look = stem.look
    view = View("centre-crop", look.size_px, look.size_px, look.interpolation, short_px=look.short_px)
    inputs = tuple(TensorSpec(port.name, port.dtype, port.shape) for port in graph.inputs)
    spec = GraphSpec(graph.name, {}, inputs, ())
    (features,) = session.run(None, view.feeds(Together.of_one_size([picture]), spec))
    return np.asarray(features)


def shortened(stem: Backbone) -> Backbone:
    """The same with at most two blocks of a kind: deeper ones repeat them, and take minutes to export."""
    network: Any = stem.network
    for layer in ("layer1", "layer2", "layer3", "layer4"):
        if hasattr(network, layer):
            setattr(network, layer, getattr(network, layer)[:2])
    if stem.name == "vit_b_16":
        network.encoder.layers = network.encoder.layers[:2]
    if stem.name == "CLIP:ViT-L/14":
        network.transformer.resblocks = network.transformer.resblocks[:2]
    return stem


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED_WIDTHS)
def test_every_published_backbone_is_exported_as_it_is(name: str, pictures: list[np.ndarray]) -> None:
    """Random weights, one picture."""
    torch.manual_seed(0)
    stem = shortened(backbone(name, "none", published=True))
    expected = stem.features([pictures[1]])
    assert expected.shape == (1, PUBLISHED_WIDTHS[name])
    limit = 1e-4 * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(exported_features(stem, pictures[1]), expected, rtol=0, atol=limit)
