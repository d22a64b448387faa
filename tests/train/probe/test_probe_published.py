"""The published recipe: its early stopping against a plain copy of its rules, training, and going on after a kill."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from sklearn.metrics import average_precision_score
from train_data import KilledError, killed_after

from realm_engine.pictures.decode import load_image
from realm_train.errors import ConfigError, RunError
from realm_train.probe.backbones import backbone
from realm_train.probe.data import Labelled, read_labelled
from realm_train.probe.published import (
    Probe,
    PublishedConfig,
    agreement,
    by_source,
    train_published,
)
from realm_train.probe.stopping import Progress, progress_after
from realm_train.runs import set_seed


def as_published(accuracies: list[float], patience: int) -> list[tuple[bool, float, bool]]:
    """Per epoch: kept, rate afterwards, stopped. Early stopping as it is known, a new one after each drop."""
    rate, gain = 1e-4, 0.001
    best: float | None = None
    waited, found = 0, []
    for accuracy in accuracies:
        kept = stopped = False
        if best is None or accuracy - best >= gain:
            best, waited, kept = accuracy, 0, True
        else:
            waited += 1
            if waited >= patience:
                rate /= 10
                stopped = rate < 1e-6
                best, waited, gain = None, 0, 0.002
        found.append((kept, rate, stopped))
        if stopped:
            break
    return found


@given(st.lists(st.integers(0, 12), max_size=60), st.integers(1, 5))
def test_early_stopping_is_the_published_one(steps: list[int], patience: int) -> None:
    accuracies = [0.5 + step / 2048 for step in steps]  # exact in binary, on both sides of either gain
    expected = as_published(accuracies, patience)
    for epoch, (kept, rate, stopped) in enumerate(expected, 1):
        found = progress_after(accuracies[:epoch], 1e-4, patience)
        assert (found.keep, found.rate, found.stop) == (kept, rate, stopped)


def test_after_a_drop_a_worse_epoch_replaces_the_best() -> None:
    """A defect, kept: the new stopper starts at nothing."""
    found = progress_after([0.9, 0.8, 0.8], 1e-4, 2)
    assert found == Progress(1e-5, gain=0.002)
    assert found.after(0.5, 2).keep


def test_three_rates_and_no_more() -> None:
    rates = [progress_after([0.5] * epochs, 1e-4, 5).rate for epochs in range(19)]
    assert sorted({f"{rate:.0e}" for rate in rates}) == ["1e-04", "1e-05", "1e-06", "1e-07"]
    assert progress_after([0.5] * 18, 1e-4, 5).stop and not progress_after([0.5] * 17, 1e-4, 5).stop


def write_pictures(root: Path, count: int = 10, seed: int = 0) -> tuple[Labelled, ...]:
    """Photographs of noise from one camera, smooth fakes of two generators, 260 px."""
    rng = np.random.default_rng(seed)
    for i in range(2 * count):
        source = ("real/camera", ("fake/one", "fake/two")[i % 4 // 2])[i % 2]
        path = root / source / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.normal(128, 60 if i % 2 == 0 else 5, (260, 270, 3))
        Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).save(path)
    return read_labelled(root)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """So small a network waits for its threads, where other tests run beside it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Labelled, ...]:
    return write_pictures(tmp_path_factory.mktemp("data"))


def config(**changes: object) -> PublishedConfig:
    # A small network that takes 224 px, and a rate at which a few steps are seen.
    settings = {"arch": "lcnet_035", "weights": "none", "epochs": 2, "batch_size": 8, "lr": 1e-2}
    return PublishedConfig(**{**settings, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(pictures: tuple[Labelled, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    train_published(pictures, config(), folder, show=False)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".state"}


def test_a_run_folder_holds_head_and_backbone(trained: Path) -> None:
    kept = load_file(trained / "checkpoint.safetensors")
    stem = backbone("lcnet_035", "none")
    heads = {key: tuple(value.shape) for key, value in kept.items() if not key.startswith("backbone.")}
    width = (stem.width,)
    assert heads == {"weight": width, "bias": (1,), "mean": width, "std": width, "temperature": (1,)}
    assert not kept["mean"].any() and (kept["std"] == 1).all() and kept["temperature"] == 1
    network = {key.removeprefix("backbone.") for key in kept if key.startswith("backbone.")}
    assert network == set(stem.network.state_dict())
    about = json.loads((trained / "config.json").read_text())
    assert about.items() >= {
        "format": "realm-probe", "recipe": "published", "arch": "lcnet_035", "width": stem.width,
    }.items()  # fmt: skip


def test_weights_stay_but_statistics_of_batch_norm_move(trained: Path) -> None:
    """A defect, kept: "frozen" is in training mode."""
    kept = load_file(trained / "checkpoint.safetensors")
    set_seed(42)
    before = Probe(backbone("lcnet_035", "none"))
    for name, parameter in before.backbone.network.named_parameters():
        assert torch.equal(kept[f"backbone.{name}"], parameter), name
    buffers = dict(before.backbone.network.named_buffers())
    moved = [name for name in buffers if not torch.equal(kept[f"backbone.{name}"], buffers[name])]
    assert moved and all("running" in name or "tracked" in name for name in moved)
    assert not torch.equal(kept["weight"], before.head.weight[0])


def test_the_head_begins_as_published() -> None:
    set_seed(0)
    weight = Probe(backbone("resnet18", "none")).head.weight
    assert float(weight.detach().std()) == pytest.approx(0.02, rel=0.1)


def test_predictions_are_the_checkpoints(trained: Path, pictures: tuple[Labelled, ...]) -> None:
    """p = sigmoid(w . features + b), features in evaluation mode of the checkpoint's backbone, clean pictures."""
    kept = load_file(trained / "checkpoint.safetensors")
    stem = backbone("lcnet_035", "none", published=True)
    stem.network.load_state_dict(
        {key.removeprefix("backbone."): value for key, value in kept.items() if key.startswith("backbone.")}
    )
    rows = list(csv.DictReader((trained / "predictions.csv").open(encoding="utf-8")))
    assert 0 < len(rows) < len(pictures)
    features = stem.features([load_image(row["filename"]) for row in rows])
    z = features @ kept["weight"].numpy() + kept["bias"].numpy()
    np.testing.assert_allclose([float(row["p_fake"]) for row in rows], 1 / (1 + np.exp(-z)), atol=1e-5)
    sources = list(csv.DictReader((trained / "sources.csv").open(encoding="utf-8")))
    assert sum(int(source["pictures"]) for source in sources) == len(rows)
    for source in sources:
        own = [
            (float(row["p_fake"]) > 0.5) == (row["label"] == "fake")
            for row in rows
            if row["source"] == source["source"]
        ]
        assert float(source["accuracy"]) == pytest.approx(np.mean(own))


def test_a_killed_run_ends_as_one_that_was_not(
    trained: Path, pictures: tuple[Labelled, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for saved in (True, False):
        with monkeypatch.context() as patch, pytest.raises(KilledError):
            killed_after(1, patch, saved)
            train_published(pictures, config(), tmp_path / f"{saved}", show=False)
        train_published(pictures, config(), tmp_path / f"{saved}", resume=True, show=False)
        assert files(tmp_path / f"{saved}") == files(trained)
    with pytest.raises(RunError, match="already holds a run; add --resume"):
        train_published(pictures, config(), tmp_path / "True", show=False)
    with pytest.raises(RunError, match="was started with other settings \\(lr\\)"):
        train_published(pictures, config(lr=1.0), tmp_path / "True", resume=True, show=False)


def test_selected_on_test_says_so(pictures: tuple[Labelled, ...], tmp_path: Path) -> None:
    """The test pictures are what the epochs are compared on, and more is left to train on."""
    other = write_pictures(tmp_path / "other", 4, seed=1)
    found = train_published(
        pictures, config(select="test", epochs=1), tmp_path / "run", test=other, show=False
    )
    assert found["selected_on"] == "test" and found["pictures"] == len(other)
    assert config().select == "validation"
    with pytest.raises(ConfigError, match="select is 'best', expected validation or test"):
        config(select="best")


def test_agreement_and_accuracy_by_source() -> None:
    fake = np.array([True, True, True, False, False])
    predicted = np.array([2.0, -1.0, 0.5, 1.0, -3.0])
    found = agreement(fake, predicted)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert (found["real_accuracy"], found["fake_accuracy"]) == (0.5, pytest.approx(2 / 3))
    assert found["average_precision"] == pytest.approx(average_precision_score(fake, predicted))
    sources = ("a", "b", "b", "a", "a")
    rows = by_source([Labelled(Path("x"), f, s, "g") for f, s in zip(fake, sources, strict=True)], predicted)
    assert [(row["source"], row["label"], row["pictures"], row["accuracy"]) for row in rows] == [
        ("a", "fake", 1, 1.0),
        ("a", "real", 2, 0.5),
        ("b", "fake", 2, 0.5),
    ]
