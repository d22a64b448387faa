"""Backbones: penultimate features of torchvision, timm and open_clip, against those libraries' own whole models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision.transforms import v2

from realm_engine.arrays import UInt8
from realm_engine.errors import RealmError
from realm_engine.machine import online
from realm_train.errors import TowerError
from realm_train.probe.backbones import IMAGENET, OPENAI, PUBLISHED_WIDTHS, backbone
from realm_train.probe.looks import PUBLISHED, CentreCrop


@pytest.fixture(scope="module")
def picture() -> UInt8:
    return np.random.default_rng(0).integers(0, 256, (230, 320, 3), dtype=np.uint8)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv(online.OFFLINE_VARIABLE, "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    yield


def seen_by_torchvision(picture: UInt8, normalisation: Any = IMAGENET) -> torch.Tensor:
    """The published test transform, by torchvision: [1, 3, 224, 224]."""
    steps = v2.Compose([v2.Resize(256), v2.CenterCrop(224), v2.PILToTensor()])
    pixels = steps(Image.fromarray(picture)).float() / 255
    return v2.functional.normalize(pixels, normalisation.mean, normalisation.std)[None]


def penultimate(whole: nn.Module, layer: nn.Module, seen: torch.Tensor) -> np.ndarray:
    """What goes out of a layer of a whole classifier, [1, F]."""
    found: list[torch.Tensor] = []
    layer.register_forward_hook(lambda module, given, gives: found.append(gives))
    with torch.no_grad():
        whole.eval()(seen)
    return found[0].flatten(1).numpy()


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "vit_b_16"])
def test_penultimate_features_of_torchvision(name: str, picture: UInt8, tmp_path: Path) -> None:
    """A whole state_dict of torchvision, classifier and all, is loaded; what its last layer would get comes out."""
    whole: Any = torchvision.models.get_model(name, weights=None)
    save_file(whole.state_dict(), tmp_path / "weights.safetensors")
    layer = {"resnet18": "avgpool", "vgg11": "classifier.4", "vit_b_16": "heads"}[name]
    if name == "vit_b_16":
        whole.heads = nn.Identity()
    expected = penultimate(whole, whole.get_submodule(layer), seen_by_torchvision(picture))
    found = backbone(name, str(tmp_path / "weights.safetensors"))
    assert found.look == PUBLISHED
    features = found.features([picture])
    assert features.shape == (1, found.width) == (1, PUBLISHED_WIDTHS[name])
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)


def test_clips_features_are_not_normalised(picture: UInt8, tmp_path: Path) -> None:
    """Against open_clip, whose whole state_dict is loaded; with its own preprocessing, bicubic."""
    whole: Any = open_clip.create_model("RN50-quickgelu").eval()
    torch.save(whole.state_dict(), tmp_path / "weights.pt")
    found = backbone("CLIP:RN50", str(tmp_path / "weights.pt"))
    assert found.look == CentreCrop(224, 224, "bicubic")
    assert found.normalisation == OPENAI
    seen = open_clip.image_transform(224, is_train=False)(Image.fromarray(picture))[None]
    with torch.no_grad():
        expected = whole.encode_image(seen).numpy()
    features = found.features([picture])
    assert features.shape == (1, PUBLISHED_WIDTHS["CLIP:RN50"])
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)
    assert not np.isclose(np.linalg.norm(features), 1, atol=0.01)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "timm:test_efficientnet"])
def test_any_network_of_timm(name: str, picture: UInt8) -> None:
    """Seen as timm's own evaluation sees it."""
    torch.manual_seed(0)
    found = backbone(name, "none")
    whole = timm.create_model(name.removeprefix("timm:"), num_classes=0).eval()
    whole.load_state_dict(found.network.state_dict())
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(whole))
    with torch.no_grad():
        expected = whole(transform(Image.fromarray(picture))[None]).numpy()
    features = found.features([picture])
    assert features.shape == expected.shape == (1, found.width)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)


def test_a_whole_network_of_timm_is_loaded_without_its_classifier(tmp_path: Path) -> None:
    whole = timm.create_model("test_efficientnet")
    save_file(whole.state_dict(), tmp_path / "weights.safetensors")
    found = backbone("test_efficientnet", str(tmp_path / "weights.safetensors")).network.state_dict()
    assert "classifier.weight" in whole.state_dict() and "classifier.weight" not in found
    assert all(torch.equal(value, whole.state_dict()[key]) for key, value in found.items())


def test_a_batch_equals_its_pictures_alone(picture: UInt8) -> None:
    found = backbone("test_resnet", "none").train()
    pictures = [picture, picture[:, ::-1], picture[:200], 255 - picture, picture[::2]]
    together = found.features(pictures, batch_size=3)
    alone = np.concatenate([found.features([each]) for each in pictures])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    assert not found.training
    assert found.features([]).shape == (0, found.width)


def test_the_published_look_is_224_of_256(picture: UInt8) -> None:
    assert backbone("test_vit", "none").look != PUBLISHED
    with pytest.raises(TowerError, match="sees 160 px, the published recipe 224; take --recipe linear"):
        backbone("test_vit", "none", published=True)
    found = backbone("resnet18", "none", published=True)
    assert found.look.of(picture).shape == (224, 224, 3)


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("resnet51", "none", "did you mean resnet"),
        ("swin-tiny", "none", "backbone swin-tiny|image tower 'swin-tiny': unknown"),
        ("CLIP:RN51", "none", "backbone CLIP:RN51: unknown to open_clip; did you mean RN50"),
        ("CLIP:RN50", "nosuchtag", "no weights 'nosuchtag'; give a path or one of openai, yfcc15m, cc12m"),
        ("resnet18", "nowhere.pth", "nowhere.pth: no such weights file"),
    ],
)
def test_what_is_not_known_is_refused(name: str, weights: str, message: str) -> None:
    with pytest.raises(TowerError, match=message) as caught:
        backbone(name, weights)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["resnet18", "vgg19", "CLIP:ViT-L/14", "test_vit"])
def test_offline_nothing_is_fetched(name: str, offline: None) -> None:
    with pytest.raises(RealmError, match="--offline or REALM_OFFLINE is set; give the path of") as caught:
        backbone(name)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file(backbone("test_resnet", "none").network.state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(TowerError, match=r"does not fit ResNet: .* keys missing"):
        backbone("resnet18", str(tmp_path / "weights.safetensors"))
