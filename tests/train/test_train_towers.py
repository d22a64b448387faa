import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from train_data import write_text_tower

from realm_train import towers
from realm_train.errors import TowerError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_text_tower(tmp_path / "bert")


def test_text_tower_from_a_folder(folder: Path, tmp_path: Path) -> None:
    from transformers import BertModel

    tower = towers.text_tower(str(folder))
    reference = BertModel.from_pretrained(folder).eval()
    ids = torch.tensor([tower.tokenizer.encode("Yes, the face looks warped.").ids])
    assert tower.width == 16 and tower.tokenizer.decode(ids[0].tolist()) == "yes, the face looks warped."
    with torch.no_grad():
        assert torch.equal(tower.model(ids).pooler_output, reference(ids).pooler_output)
    towers.save_text_tower_config(tower, tmp_path / "copy")
    rebuilt = towers.text_tower_from_config(tmp_path / "copy", pooler=False)
    assert rebuilt.model.pooler is None
    assert rebuilt.tokenizer.to_str() == tower.tokenizer.to_str()


def test_text_tower_without_weights_needs_a_seed_only(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.manual_seed(0)
    first = towers.text_tower(str(folder), pretrained=False).model.state_dict()
    torch.manual_seed(0)
    again = towers.text_tower(str(folder), pretrained=False).model.state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    with pytest.raises(TowerError, match="not a loadable text tower"):
        towers.text_tower(str(folder))


def test_incomplete_text_weights_are_refused(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["encoder.layer.1.output.dense.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TowerError, match="1 weights missing"):
        towers.text_tower(str(folder))


def test_text_tower_errors(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(TowerError, match=r"neither tokenizer\.json nor vocab\.txt"):
        towers.text_tower(str(tmp_path))
    with pytest.raises(TowerError, match="no such folder"):
        towers.text_tower("./nowhere")
    (folder / "tokenizer.json").unlink()  # the vocabulary is enough
    assert towers.text_tower(str(folder)).tokenizer.encode("no").ids == [2, 6, 3]


def test_without_a_network_the_cure_is_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(TowerError, match="give a local folder"):
        towers.text_tower("bert-base-uncased")
    with pytest.raises(TowerError, match=r"give the path of a \.safetensors"):
        towers.image_tower("tf_efficientnetv2_b0", "pretrained")


@pytest.mark.parametrize(
    ("name", "stages"), [("resnet18", (0, 3)), ("test_efficientnet", (1, 4)), ("test_resnet", (0, 2))]
)
def test_image_tower_widths_and_stages(name: str, stages: tuple[int, int]) -> None:
    tower = towers.image_tower(name, "none")
    x = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        maps, pooled = tower.stages(x, stages)
        assert torch.equal(pooled, tower(x))
    assert pooled.shape == (2, tower.width)
    assert [m.shape[1] for m in maps] == [tower.stage_widths[stage] for stage in stages]
    levels = tower.parameter_stages()
    assert set(levels) >= {name for name, _ in tower.backbone.named_parameters()}
    assert min(levels.values()) == 0 and levels[next(iter(levels))] == 0
    assert sorted(set(levels.values())) == list(range(max(levels.values()) + 1))


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_image_weights_from_a_path(tmp_path: Path, kind: str) -> None:
    import timm

    full = timm.create_model("test_efficientnet")
    path = tmp_path / f"weights.{kind}"
    if kind == "safetensors":
        save_file(full.state_dict(), path)
    else:
        torch.save({"state_dict": full.state_dict()}, path)
    tower = towers.image_tower("test_efficientnet", str(path))
    assert torch.equal(tower.backbone.conv_stem.weight, full.conv_stem.weight)
    with pytest.raises(TowerError, match="does not fit ResNet"):
        towers.image_tower("resnet18", str(path))


def test_image_tower_errors(tmp_path: Path) -> None:
    with pytest.raises(TowerError, match="unknown to timm"):
        towers.image_tower("effnet-ultra", "none")
    with pytest.raises(TowerError, match="no such weights file"):
        towers.image_tower("resnet18", str(tmp_path / "nothing.pth"))
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(TowerError, match=r"text\.pth"):
        towers.image_tower("resnet18", str(tmp_path / "text.pth"))
    torch.save({"epoch": 3}, tmp_path / "number.pth")
    with pytest.raises(TowerError, match="no state_dict"):
        towers.image_tower("resnet18", str(tmp_path / "number.pth"))


def test_a_checkpoint_with_code_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(1, 1), tmp_path / "module.pth")
    with pytest.raises(TowerError, match="would run code"):
        towers.load_weights(tmp_path / "module.pth")


@pytest.mark.parametrize("module", ["realm_train.clip.model", "export.towers.clip_model"])
def test_a_silent_hub_is_given_up_after_seconds_whatever_is_imported_first(module: str) -> None:
    code = (
        f"import {module}\n"
        "from huggingface_hub import constants\n"
        "print(constants.HF_HUB_ETAG_TIMEOUT, constants.HF_HUB_DOWNLOAD_TIMEOUT)"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_HUB_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["5", "15"]


OWN_CODE = """
open({marker!r}, "w").close()
from transformers import PretrainedConfig
class Own(PretrainedConfig):
    model_type = "own"
"""
ASKING = """
import sys
from pathlib import Path
from realm_engine.errors import RealmError
kind, folder = sys.argv[1:]
try:
    if kind == "tower":
        from realm_train.towers import text_tower
        text_tower(folder)
    elif kind == "export":
        from export.towers.clip_model import open_clip_model
        open_clip_model(folder + "/clip.json", "random")
    else:
        import json
        from realm_train.clip.model import build_clip
        if kind == "asked":  # as where a hub's folder cannot be looked into before
            import realm_train.clip.model as module
            module.refuse_own_code = lambda folder: None
        build_clip(json.loads(Path(folder, "clip.json").read_text()), None)
except RealmError as error:
    sys.exit(f"error: {error}")
"""


@pytest.mark.parametrize("stdin", [None, "y\ny\n"], ids=["closed", "y"])
@pytest.mark.parametrize("kind", ["tower", "clip", "asked", "export"])
def test_code_in_a_folder_is_never_run(kind: str, stdin: str | None, folder: Path, tmp_path: Path) -> None:
    """transformers would ask whether to run it, and run it after "y"."""
    marker = tmp_path / "ran"
    (folder / "own.py").write_text(OWN_CODE.format(marker=str(marker)), encoding="utf-8")
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Own"}}
    (folder / "config.json").write_text(json.dumps(own), encoding="utf-8")
    clip = {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
        "text_cfg": {"hf_model_name": str(folder), "hf_tokenizer_name": str(folder)},
    }
    (folder / "clip.json").write_text(json.dumps(clip), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", ASKING, kind, str(folder)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")},
        **({"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert not marker.exists()
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and "[y/N]" not in line
    assert "code" in line
