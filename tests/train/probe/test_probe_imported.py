"""Import of published checkpoints: their layout round-trips, and what is none is refused with its keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

from realm_train.errors import RunError, TowerError
from realm_train.probe.backbones import backbone
from realm_train.probe.checkpoint import backbone_of
from realm_train.probe.imported import import_probe


class Published(nn.Module):
    """As the published code has it: a whole network under `model`, one linear layer `fc`."""

    def __init__(self, model: nn.Module, width: int) -> None:
        super().__init__()
        self.model = model
        self.fc = nn.Linear(width, 1)


def save_published(path: Path, probe: Published, **changes: Any) -> Path:
    optimizer = torch.optim.AdamW(probe.fc.parameters(), lr=1e-4)
    probe.fc(torch.ones(2, probe.fc.in_features)).sum().backward()
    optimizer.step()
    state = {**probe.state_dict(), **changes}
    state = {key: value for key, value in state.items() if value is not None}
    torch.save({"model": state, "optimizer": optimizer.state_dict(), "total_steps": 7}, path)
    return path


@pytest.fixture(scope="module")
def resnet() -> Published:
    """Its batch norm has moved."""
    torch.manual_seed(0)
    model = torchvision.models.resnet18(weights=None).train()
    with torch.no_grad():
        model(torch.rand(2, 3, 64, 64))
    return Published(model, 512).eval()


def test_a_checkpoint_of_an_imagenet_network(resnet: Published, tmp_path: Path) -> None:
    """Logits of the run folder are those of the original, with the backbone of the checkpoint."""
    path = save_published(tmp_path / "best.pth", resnet)
    run = import_probe(path, "resnet18", tmp_path / "run")
    state = load_file(run.checkpoint)
    stem = backbone("resnet18", "none", published=True)
    stem.network.load_state_dict(backbone_of(state))
    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    found = stem.features([picture])[0] @ state["weight"].numpy() + state["bias"].numpy()
    whole: Any = resnet.model
    whole.fc = nn.Identity()
    seen = torch.from_numpy(picture[16:240, 16:240]).permute(2, 0, 1).float() / 255
    seen = torchvision.transforms.functional.normalize(seen, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.no_grad():
        expected = resnet.fc(whole(seen[None]))[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    about = json.loads((run.path / "config.json").read_text())
    assert (about["format"], about["recipe"], about["arch"], about["width"]) == (
        "realm-probe",
        "published",
        "resnet18",
        512,
    )
    assert about["config"]["file"] == "best.pth" and about["config"]["weights"] == "none"
    with pytest.raises(RunError, match="already holds a run"):
        import_probe(path, "resnet18", tmp_path / "run")


def test_a_checkpoint_of_a_clip(tmp_path: Path) -> None:
    """A whole CLIP lies under `model`; its text tower is left out."""
    clip: Any = open_clip.create_model("RN50-quickgelu")
    path = save_published(tmp_path / "best.pth", Published(clip, 1024))
    state = load_file(import_probe(path, "CLIP:RN50", tmp_path / "run").checkpoint)
    for key, value in clip.visual.state_dict().items():
        assert torch.equal(state[f"backbone.{key}"], value), key
    assert len(backbone_of(state)) == len(clip.visual.state_dict())
    with pytest.raises(
        TowerError, match=r"its head takes 1024 features .* CLIP:RN101 gives 512; name the backbone"
    ):
        import_probe(path, "CLIP:RN101", tmp_path / "other")


def test_a_bare_head_stands_on_the_backbones_own_weights(tmp_path: Path, resnet: Published) -> None:
    torch.save({"weight": resnet.fc.weight.data, "bias": resnet.fc.bias.data}, tmp_path / "fc.pth")
    torch.save(torchvision.models.resnet34(weights=None).state_dict(), tmp_path / "resnet34.pth")
    run = import_probe(tmp_path / "fc.pth", "resnet34", tmp_path / "run", str(tmp_path / "resnet34.pth"))
    state = load_file(run.checkpoint)
    assert torch.equal(state["weight"], resnet.fc.weight.data[0])
    own = torch.load(tmp_path / "resnet34.pth", weights_only=True)
    assert torch.equal(state["backbone.layer3.0.conv1.weight"], own["layer3.0.conv1.weight"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"fc.bias": None},
            "no probe, it has neither fc.weight and fc.bias nor weight and bias; found model.conv1",
        ),
        ({"more": torch.ones(1)}, "unexpected more; a probe holds fc.weight, fc.bias and model.*"),
        (
            {
                f"model.layer1.0.{name}": None
                for name in ("conv1.weight", "bn1.weight", "bn1.bias", "conv2.weight")
            },
            "its backbone is no resnet18: missing layer1.0.conv1.weight, layer1.0.bn1.weight, layer1.0.bn1.bias "
            "and 1 more",
        ),
        ({"model.conv0.weight": torch.ones(1)}, "its backbone is no resnet18: unexpected conv0.weight"),
        ({"model.bn1.weight": torch.ones(3)}, "of another shape bn1.weight"),
        (
            {"fc.weight": torch.ones(1, 768)},
            "its head takes 768 features ([1, 768], [1]), resnet18 gives 512",
        ),
        ({"fc.weight": torch.ones(2, 512)}, "([2, 512], [1]), resnet18 gives 512"),
    ],
)
def test_another_checkpoint_is_refused(
    changes: dict[str, Any], message: str, resnet: Published, tmp_path: Path
) -> None:
    path = save_published(tmp_path / "best.pth", resnet, **changes)
    with pytest.raises(TowerError) as caught:
        import_probe(path, "resnet18", tmp_path / "run")
    assert message in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


class Touch:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    torch.save(
        {"model": {"fc.weight": torch.ones(1, 512)}, "optimizer": Touch(tmp_path / "ran")}, tmp_path / "b.pth"
    )
    with pytest.raises(TowerError, match="refused, since loading it would run code"):
        import_probe(tmp_path / "b.pth", "resnet18", tmp_path / "run")
    assert not (tmp_path / "ran").exists()
