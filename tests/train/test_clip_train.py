"""Trainings of small CLIPs from end to end: the native architecture of open_clip, and realm-tiny's own."""

import csv
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_data import (
    PAIRS,
    clip_config,
    picture,
    write_clip_text_tower,
    write_native_config,
    write_pictures,
)
from PIL import Image
from safetensors.torch import load_file, save_file
from train_data import KilledError, killed_after, saved_states

from realm_train.clip.config import ONE_PASS, TINY, ClipConfig
from realm_train.clip.model import Clip, new_clip, open_clip_run
from realm_train.clip.pairs import CLEAN, PAIRED, Batch
from realm_train.clip.train import load_photographs, make_optimizer, train_clip, unevenness
from realm_train.errors import ConfigError, DataError, RunError, TowerError
from realm_train.runs import RunFolder

TEXTS = ["Yes, the face looks warped.", "no"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    write_pictures(folder / "data")
    write_native_config(folder)
    write_clip_text_tower(folder / "bert")
    return folder


def config_of(folder: Path, architecture: str, **settings: object) -> ClipConfig:
    if architecture == "native":
        return clip_config(**({"model": folder / "native.json"} | settings))  # type: ignore[arg-type]
    tiny = {"text_tower": str(folder / "bert"), "text_layers": 1, "embed_dim": 16, "image_size_px": 32}
    return clip_config(**({"model": TINY} | tiny | settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("architecture", ["native", "native-bf16", "tiny", "tiny-unlocked", "tiny-one-pass"])
def test_train_kill_resume_and_reopen(
    folder: Path, tmp_path: Path, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _, variant = architecture.partition("-")
    settings: dict[str, object] = {"precision": "bf16"} if variant == "bf16" else {}
    if variant == "unlocked":  # dropout of the text transformer is drawn anew each step
        settings = {"lock_text": False, "lock_batch_norm": False}
    if variant == "one-pass":
        settings = {"encoder": ONE_PASS, "pairs": dataclasses.replace(PAIRS, picture_px=96)}
    config = config_of(folder, name, **settings)
    row = train_clip(folder / "data", tmp_path / "straight", config)
    assert row["epoch"] == 2 and np.isfinite(row["loss"])
    assert 0 <= row["auc"] <= 1 and 0 <= row["auc_wrong_text"] <= 1

    with monkeypatch.context() as patch:
        killed_after(1, patch)
        with pytest.raises(KilledError):
            train_clip(folder / "data", tmp_path / "killed", config)
    with pytest.raises(RunError, match="already holds a run"):
        train_clip(folder / "data", tmp_path / "killed", config)
    assert train_clip(folder / "data", tmp_path / "killed", config, resume=True) == row
    straight, resumed = (load_file(tmp_path / n / "checkpoint.safetensors") for n in ("straight", "killed"))
    assert straight.keys() == resumed.keys()
    assert all(torch.equal(straight[key], resumed[key]) for key in straight)
    tables = [(tmp_path / n / "metrics.csv").read_text() for n in ("straight", "killed")]
    assert tables[0] == tables[1] and len(list(csv.DictReader(tables[0].splitlines()))) == 2

    # The folder alone is enough: the configuration and the text tower need nothing that it does not hold.
    opened = open_clip_run(tmp_path / "straight")
    again = open_clip_run((tmp_path / "killed").rename(tmp_path / "moved"))
    windows = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    assert not opened.model.training and opened.image_size_px == 32
    with torch.no_grad():
        for embed, inputs in ((Clip.encode_windows, windows), (Clip.encode_texts, TEXTS)):
            found, other = embed(opened, inputs), embed(again, inputs)  # type: ignore[arg-type]
            assert torch.equal(found, other) and found.dtype == torch.float32
            torch.testing.assert_close(found.norm(dim=1), torch.ones(len(inputs)))
    state = opened.model.state_dict()
    assert all(torch.equal(state[key], straight[key]) for key in straight)


def test_settings_reach_the_loop(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Average, limit of the gradient, and learning rates of a run are those of its configuration."""
    states = saved_states(monkeypatch)
    rates = {"lr": 1e-3, "head_lr": 3e-3, "warmup_steps": 3, "validation_photographs": 0}
    train_clip(folder / "data", tmp_path / "run", config_of(folder, "native", ema=0.9, **rates))
    kept, state = load_file(tmp_path / "run" / "checkpoint.safetensors"), states[-1]
    assert state["average"]["steps"] == 4
    assert all(torch.equal(kept[key], state["average"]["shadow"][key]) for key in kept)
    assert not torch.equal(kept["text_projection"], state["model"]["text_projection"])
    found = [row["lr"] for row in RunFolder(tmp_path / "run").metrics()]
    assert found == pytest.approx([1e-3 / 3, 1e-3])  # of steps 0 and 2, the last of the warm-up
    assert state["optimizer"]["param_groups"][0]["lr"] == pytest.approx(0, abs=1e-12)  # after the last

    for limit in (0.01, 0.0):
        config = config_of(folder, "native", steps=1, gradient_clip=limit, **rates)
        train_clip(folder / "data", tmp_path / f"limit-{limit}", config)
        moments = [value["exp_avg"].square().sum() for value in states[-1]["optimizer"]["state"].values()]
        norm = float(torch.stack(moments).sum().sqrt())  # AdamW's after one step
        assert norm == pytest.approx(0.1 * 0.01, rel=1e-3) if limit else norm > 0.01


def test_the_temperature_stays_within_clips_limits(folder: Path, tmp_path: Path) -> None:
    config = config_of(folder, "native", lr=0.5)
    model = new_clip(config, tmp_path / "run").model
    optimizer = make_optimizer(model, config)
    for gradient, limit in ((-1.0, np.log(100)), (1.0, 0.0)):
        for _ in range(40):
            model.logit_scale.grad = torch.tensor(gradient)
            optimizer.step()
        assert model.logit_scale.item() == pytest.approx(limit)


def test_run_folder(folder: Path, tmp_path: Path) -> None:
    config = config_of(folder, "tiny", steps=3)  # the last epoch is short
    train_clip(folder / "data", tmp_path / "run", config, photographs="r?*")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "config.json",
        "clip_config.json",
        "text",
        "metrics.csv",
        "curves.png",
        "checkpoint.safetensors",
        "last.state",
    }
    run = RunFolder(tmp_path / "run")
    assert run.read_config(ClipConfig) == config
    assert run.read_json("config.json")["photographs"] == "r?*"
    assert [row["epoch"] for row in run.metrics()] == [1, 2]
    assert run.checkpoint_metadata() == {"epoch": "2"}
    described = json.loads((tmp_path / "run" / "clip_config.json").read_text())
    assert str(folder) not in json.dumps(described)
    assert described["text_cfg"]["context_length"] == 128
    assert train_clip(folder / "data", tmp_path / "run", config, "r?*", resume=True) == pytest.approx(
        run.metrics()[-1]
    )
    other = dataclasses.replace(config, lr=1.0)
    with pytest.raises(RunError, match=r"other settings \(lr\)"):
        train_clip(folder / "data", tmp_path / "run", other, resume=True)


def test_what_is_locked_stays(folder: Path, tmp_path: Path) -> None:
    config = config_of(folder, "tiny", steps=2, ema=0.0, weight_decay=0.5)
    train_clip(folder / "data", tmp_path / "run", config)
    found = load_file(tmp_path / "run" / "checkpoint.safetensors")
    start = load_file(folder / "bert" / "model.safetensors")
    locked = {key.removeprefix("text.transformer.") for key in found if key.startswith("text.transformer.")}
    assert len(locked) > 10 and not any("layer.1." in key for key in locked)  # one of two layers is kept
    assert all(torch.equal(found[f"text.transformer.{key}"], start[key]) for key in locked)
    torch.manual_seed(config.seed)
    fresh = new_clip(config, tmp_path / "fresh").model.state_dict()
    moved = {key for key in found if not torch.equal(found[key], fresh[key])}
    assert not any("running_" in key or "num_batches" in key for key in found if key in moved)
    assert {"visual.trunk.conv_stem.weight", "logit_scale"} <= moved
    assert any(key.startswith("text.proj.") for key in moved)
    assert any(key.startswith("visual.head.") for key in moved)


def test_training_lowers_the_loss(folder: Path, tmp_path: Path) -> None:
    config = config_of(folder, "native", steps=24, steps_per_epoch=12, lr=3e-3, validation_photographs=0)
    row = train_clip(folder / "data", tmp_path / "run", config)
    first, last = (entry["loss"] for entry in RunFolder(tmp_path / "run").metrics())
    assert last < 0.95 * first
    assert "auc" not in row


def test_weights_from_a_path(folder: Path, tmp_path: Path) -> None:
    config = config_of(folder, "native")
    first = new_clip(config, tmp_path / "first")
    for file in ("start.safetensors", "start.pt"):
        path = tmp_path / file
        state = first.model.state_dict()
        if path.suffix == ".pt":
            torch.save(state, path)
        else:
            save_file({key: value.contiguous().clone() for key, value in state.items()}, path)
        torch.manual_seed(9)
        second = new_clip(dataclasses.replace(config, weights=str(path)), tmp_path / file.replace(".", "-"))
        assert all(torch.equal(second.model.state_dict()[key], state[key]) for key in state)


def test_image_weights_of_tiny(folder: Path, tmp_path: Path) -> None:
    import timm

    base = timm.create_model("tf_efficientnetv2_b0")
    path = tmp_path / "base.safetensors"
    save_file({key: value.contiguous() for key, value in base.state_dict().items()}, path)
    clip = new_clip(config_of(folder, "tiny", image_weights=str(path)), tmp_path / "run")
    trunk = clip.model.visual.trunk
    assert torch.equal(trunk.conv_stem.weight, base.conv_stem.weight)
    assert torch.equal(trunk.blocks[4][-1].conv_pwl.weight, base.blocks[4][-1].conv_pwl.weight)
    # Pooled features are the mean and the spread of the stages' maps, before the norm.
    x = torch.randn(2, 3, 64, 64)
    base.eval()
    with torch.no_grad():
        maps = []
        y = base.bn1(base.conv_stem(x))
        for stage in base.blocks[:5]:
            y = stage(y)
            maps.append(y)
        pooled = [f(m, dim=(2, 3)) for m in maps[1:] for f in (torch.mean, lambda v, dim: v.std(dim, False))]
        trunk.norm = torch.nn.Identity()
        found = trunk.eval()(x)
    assert found.shape[1] == trunk.num_features == 2 * (32 + 48 + 96 + 112)
    torch.testing.assert_close(found, torch.cat(pooled, 1), atol=5e-3, rtol=1e-3)  # spread has an epsilon

    save_file({"conv_stem.weight": torch.zeros(3)}, path)
    with pytest.raises(TowerError, match=r"base.safetensors: does not fit WindowTrunk") as error:
        new_clip(config_of(folder, "tiny", image_weights=str(path)), tmp_path / "other")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "ViT-B-33"}, "open_clip has no model 'ViT-B-33'"),
        ({"model": "nowhere.json"}, "nowhere.json: not a readable model configuration"),
        ({"model": "ViT-B-32", "weights": "no-such-tag"}, "weights 'no-such-tag' cannot be had"),
        ({"weights": "laion2b"}, "a tag needs an open_clip model name"),
        ({"weights": "nowhere.pt"}, "nowhere.pt: no such weights file"),
        ({"weights": "foreign.safetensors"}, r"foreign.safetensors: does not fit"),
        ({"model": TINY, "image_weights": "nowhere.pt"}, "nowhere.pt: no such weights file"),
        ({"model": TINY, "text_tower": "./nowhere"}, "'./nowhere': no such folder"),
        ({"model": TINY, "text_layers": 3}, "3 layers are to be kept, but it has 2 layers"),
    ],
)
def test_errors_are_one_line(
    folder: Path, tmp_path: Path, settings: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_file({"foreign": torch.zeros(1)}, "foreign.safetensors")
    tiny = settings.get("model") == TINY
    config = config_of(folder, "tiny" if tiny else "native", **settings)
    with pytest.raises(TowerError, match=message) as error:
        new_clip(config, tmp_path / "run")
    assert "\n" not in str(error.value)


def test_folders_that_are_no_run(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TowerError, match=r"has no clip_config.json; give the folder of a `realm-train clip`"):
        open_clip_run(tmp_path)
    clip = new_clip(config_of(folder, "native"), tmp_path)
    with pytest.raises(RunError, match="has not finished an epoch"):
        open_clip_run(tmp_path)
    RunFolder(tmp_path).save_checkpoint({"logit_scale": clip.model.logit_scale})
    with pytest.raises(TowerError, match=r"checkpoint.safetensors: does not fit CLIP: \d+ keys missing"):
        open_clip_run(tmp_path)
    (tmp_path / "clip_config.json").write_text("{", encoding="utf-8")
    with pytest.raises(TowerError, match="not JSON"):
        open_clip_run(tmp_path)


def test_photographs_are_dealt_out_once(folder: Path) -> None:
    config = config_of(folder, "native")
    images = load_photographs(folder / "data", config)
    assert (len(images.train), len(images.validation), len(images.test)) == (3 + 2, 2, 2)
    every = [image.tobytes() for part in (images.train, images.validation, images.test) for image in part]
    assert len(set(every)) == 9
    assert {text.description: text.unreal for text in images.described} == {
        "No, nothing looks odd.": False,
        "Yes, the face looks warped.": True,
    }
    test = load_photographs(folder / "data", config, only="test")
    assert not test.train and not test.validation
    assert [i.tobytes() for i in test.test] == [i.tobytes() for i in images.test]
    other = load_photographs(folder / "data", dataclasses.replace(config, seed=1), only="test")
    assert [i.tobytes() for i in other.test] != [i.tobytes() for i in images.test]
    with pytest.raises(DataError, match=r"2 images match 'g\*', but 4 are to be held out"):
        load_photographs(folder / "data", config, "g*")


def test_a_folder_of_pictures_alone_is_all_photographs(folder: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    for index in range(6):
        Image.fromarray(picture(index)).save(plain / f"any{index}.png")
    (plain / "notes.txt").write_text("not a picture", encoding="utf-8")
    images = load_photographs(plain, config_of(folder, "native"))
    assert (len(images.train), len(images.validation), len(images.test)) == (2, 2, 2)
    assert images.described == []
    with pytest.raises(DataError, match=r"has neither train/image_descriptions.csv"):
        load_photographs(tmp_path, config_of(folder, "native"))


def test_unevenness_is_the_variance_over_clean_windows() -> None:
    generator = torch.Generator().manual_seed(0)
    image, text = (torch.randn(n, 4, generator=generator, dtype=torch.float64) for n in (6, 5))
    windows = torch.tensor([CLEAN, 2, CLEAN, CLEAN, PAIRED, 0])
    labels = torch.tensor([CLEAN, 2, 0, PAIRED, -2])
    batch = Batch(torch.zeros(6, 1, 1, 3), windows, [""] * 5, labels)
    clean = [image[i].float().numpy() for i in (0, 2, 3)]
    flaws = [text[j].float().numpy() for j in (1, 2, 4)]  # kinds, and what fits every flaw
    expected = np.mean([np.var([w @ t for w in clean], ddof=1) for t in flaws])
    assert float(unevenness(image, text, batch)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"steps": 0}, "steps must be"), ({"precision": "fp8"}, "'fp8'"), ({"ema": 1.0}, "ema must be")],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        clip_config("x", **settings)


def test_denials_become_neutral_while_the_image_tower_stays(folder: Path, tmp_path: Path) -> None:
    """A second run on the weights of a first: "No, ..." is like no window, and no window has moved."""
    train_clip(folder / "data", tmp_path / "first", config_of(folder, "tiny"))
    start = tmp_path / "first" / "checkpoint.safetensors"
    config = config_of(
        folder,
        "tiny",
        weights=str(start),
        lock_image=True,
        neutral_denials=50.0,
        head_lr=1e-2,
        ema=0.0,
        steps=30,
        steps_per_epoch=30,
    )
    train_clip(folder / "data", tmp_path / "second", config)
    before, after = load_file(start), load_file(tmp_path / "second" / "checkpoint.safetensors")
    assert all(torch.equal(before[key], after[key]) for key in before if key.startswith("visual."))
    windows = torch.randint(0, 256, (16, 32, 32, 3), generator=torch.Generator().manual_seed(0)).byte()
    denials = ["No, nothing looks unreal here.", "No, this looks like a genuine photograph."]
    with torch.no_grad():
        first, second = (
            (clip.encode_windows(windows) @ clip.encode_texts(denials).T).square().mean()
            for clip in (open_clip_run(tmp_path / "first"), open_clip_run(tmp_path / "second"))
        )
    assert second < 0.25 * first
