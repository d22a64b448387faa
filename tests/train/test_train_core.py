import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from train_data import KilledError, killed_after, saved_states, tiny_config, write_data, write_text_tower

from realm_train import metrics, raise_td, splits
from realm_train.core.checkpoint import load_core
from realm_train.core.config import CoreConfig, SplitConfig
from realm_train.core.data import CoreData, EpochBatches, TrainingImages, tokenize
from realm_train.core.evaluate import cross_validate, evaluate_core
from realm_train.core.gradient import selection_value
from realm_train.core.predict import predict
from realm_train.core.train import train_core
from realm_train.errors import ConfigError, DataError, RunError
from realm_train.raise_td import Row
from realm_train.runs import RunFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("core")
    write_data(folder / "data", 12, test=5)
    write_text_tower(folder / "bert")
    return folder


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[Row]:
    return raise_td.read_split(folder / "data")


def run(rows: list[Row], config: CoreConfig, output: Path, **options):  # type: ignore[no-untyped-def]
    return train_core(rows, config, output, cpu=True, show_progress=False, **options)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_resumed_run_ends_with_the_same_weights(
    folder: Path, rows: list[Row], tmp_path: Path, frozen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(folder / "bert", freeze_text=frozen, accumulation=2, keep="last")
    straight = run(rows, config, tmp_path / "straight")
    for epoch in (1, 2):
        with monkeypatch.context() as patch:
            killed_after(epoch, patch)
            with pytest.raises(KilledError):
                run(rows, config, tmp_path / "killed", resume=True)
    resumed = run(rows, config, tmp_path / "killed", resume=True)
    expected, found = straight.run.load_checkpoint(), resumed.run.load_checkpoint()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    tables = [(trained.run.path / "metrics.csv").read_text() for trained in (straight, resumed)]
    assert tables[0] == tables[1]
    assert straight.metrics == pytest.approx(resumed.metrics, nan_ok=True)


def test_settings_reach_the_loop(
    folder: Path, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Average, limit of the gradient, and learning rates of a run are those of its configuration."""
    states = saved_states(monkeypatch)
    config = tiny_config(folder / "bert", epochs=2, keep="last", grad_clip=0.01, lr=1e-3, head_lr=3e-3)
    config = dataclasses.replace(config, split=SplitConfig("none"))
    trained = run(rows, config, tmp_path / "run")  # 12 rows: 3 steps an epoch, the first 1.5 are warm-up
    average, model = states[-1]["average"]["shadow"], states[-1]["model"]
    kept = trained.run.load_checkpoint()
    assert states[-1]["average"]["steps"] == 6
    assert all(torch.equal(kept[key], average[key]) for key in average)
    assert not torch.equal(kept["head.0.weight"], model["head.0.weight"])
    # The first group is the head's, to which the vector for missing text belongs.
    factors = [1 / 2.5, (1 + np.cos(np.pi * 1.5 / 4.5)) / 2]  # of steps 0 and 3
    assert [row["lr"] for row in trained.run.metrics()] == pytest.approx([3e-3 * f for f in factors])
    single = dataclasses.replace(config, train=dataclasses.replace(config.train, epochs=1, batch_size=12))
    run(rows, single, tmp_path / "single")
    assert first_moment(states[-1]) == pytest.approx(0.1 * 0.01, rel=1e-3)  # AdamW's after one step


def test_every_epoch_draws_an_order_and_changes_of_its_own(
    folder: Path, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    item = TrainingImages.__getitem__

    def recorded(images: TrainingImages, key: tuple[int, int]):  # type: ignore[no-untyped-def]
        asked.append(key)
        return item(images, key)

    monkeypatch.setattr(TrainingImages, "__getitem__", recorded)
    config = dataclasses.replace(tiny_config(folder / "bert", epochs=2), split=SplitConfig("none"))
    run(rows, config, tmp_path / "run")
    batches = EpochBatches(range(12), 4, config.train.seed)
    expected = []
    for batches.epoch in (0, 1):
        expected += [key for batch in batches for key in batch]
    assert asked == expected
    assert [row for _, row in asked[:12]] != [row for _, row in asked[12:]]


def first_moment(state: dict) -> float:
    return float(
        np.sqrt(sum(float(v["exp_avg"].square().sum()) for v in state["optimizer"]["state"].values()))
    )


def test_run_folder(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    config = tiny_config(folder / "bert")
    trained = run(rows, config, tmp_path / "run")
    assert {path.name for path in trained.run.path.iterdir()} == {
        "config.json",
        "split.json",
        "metrics.csv",
        "curves.png",
        "predictions.csv",
        "checkpoint.safetensors",
        "summary.json",
        "text_tower",
    }
    assert trained.run.read_config(CoreConfig) == config
    assert [row["epoch"] for row in trained.run.metrics()] == [1, 2, 3]
    assert 1 <= trained.epoch <= 3
    split = splits.holdout(len(rows))
    assert trained.run.read_json("split.json")["validation"] == [rows[i].filename for i in split.validation]
    with (trained.run.path / "predictions.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [record["filename"] for record in table] == [rows[i].filename for i in split.validation]

    # The written numbers are those of the checkpoint, computed here from its parts.
    loaded = load_core(trained.run.path)
    texts = tokenize([row.description for row in rows], loaded.tokenizer, 16, loaded.pad_id)
    pixels, _ = raise_td.load_pixels(rows, 32, 48)
    with torch.no_grad():
        for record, i in zip(table, split.validation, strict=True):
            image = torch.from_numpy(pixels[i].copy()).permute(2, 0, 1)[None].float()
            ids, mask = texts.input_ids[i : i + 1], texts.attention_mask[i : i + 1]
            both = loaded.model(image, ids, mask, texts.has_text[i : i + 1]).item()
            alone = loaded.model(image, ids, mask, torch.zeros(1)).item()
            assert float(record["predicted"]) == pytest.approx(both, abs=1e-4)
            assert float(record["predicted_image_only"]) == pytest.approx(alone, abs=1e-4)
            assert (both == alone) == (rows[i].description == "")
    assert run(rows, config, tmp_path / "run", resume=True) == trained  # finished: nothing is trained again
    with pytest.raises(RunError, match="already holds a run"):
        run(rows, config, tmp_path / "run")


def test_training_learns_and_moves_only_what_it_may(folder: Path, tmp_path: Path) -> None:
    rows = raise_td.read_split(folder / "data")
    config = tiny_config(
        folder / "bert",
        epochs=12,
        lr=3e-3,
        freeze_text=True,
        freeze_image="until-stage-1",
        ema_decay=0.0,
        keep="last",
    )
    trained = run(rows, dataclasses.replace(config, split=SplitConfig("none")), tmp_path / "run")
    history = trained.run.metrics()
    assert trained.metrics == {}
    assert history[-1]["loss"] < 0.6 * history[0]["loss"]
    state = trained.run.load_checkpoint()
    from safetensors.torch import load_file

    start = load_file(folder / "bert" / "model.safetensors")
    assert all(torch.equal(state[f"text.{key}"], start[key]) for key in start if not key.startswith("pooler"))
    assert state["missing_text"].abs().sum() > 0


def test_early_stopping_and_best_epoch(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    # A learning rate of 0 never improves on the first epoch.
    config = tiny_config(folder / "bert", lr=0.0, epochs=9, patience=2, freeze_batch_norm=True, ema_decay=0.0)
    trained = run(rows, config, tmp_path / "run")
    assert trained.epoch == 1
    assert len(trained.run.metrics()) == 3
    assert trained.run.checkpoint_metadata() == {"format": "realm-core", "epoch": "1", "kept": "best"}


def test_best_epoch_is_that_of_the_highest_validation(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    trained = run(rows, tiny_config(folder / "bert", epochs=5, select="image-only"), tmp_path / "run")
    history = trained.run.metrics()
    values = [selection_value(row, "image-only") for row in history]
    assert trained.epoch == 1 + int(np.argmax(values))
    assert selection_value({"srocc": 0.5, "srocc_image_only": 0.25}, "mean") == 0.375
    assert selection_value({"srocc": float("nan"), "srocc_image_only": 0.25}, "mean") == -np.inf


def test_bf16_autocast_trains(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    trained = run(rows, tiny_config(folder / "bert", mixed_precision="bf16", epochs=1), tmp_path / "run")
    assert np.isfinite(trained.run.metrics()[0]["loss"])
    assert all(value.dtype != torch.bfloat16 for value in trained.run.load_checkpoint().values())


def test_init_from_another_run(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    first = run(rows, tiny_config(folder / "bert", epochs=1, keep="last"), tmp_path / "first")
    config = tiny_config(
        folder / "bert", epochs=1, lr=0.0, init=str(first.run.path), keep="last", ema_decay=0.0
    )
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, freeze_batch_norm=True))
    second = run(rows, config, tmp_path / "second")
    expected, found = first.run.load_checkpoint(), second.run.load_checkpoint()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    other = dataclasses.replace(config, model=dataclasses.replace(config.model, hidden=9))
    with pytest.raises(ConfigError, match="another architecture"):
        run(rows, other, tmp_path / "third")


def test_augmentation_and_text_dropout_depend_on_seed_epoch_and_row(folder: Path, rows: list[Row]) -> None:
    config = tiny_config(folder / "bert", text_dropout=0.5)
    loaded = CoreData.load(rows, config)
    from realm_train.towers import text_tower

    texts = tokenize([row.description for row in rows], text_tower(str(folder / "bert")).tokenizer, 16)
    images = TrainingImages(loaded, texts, config)
    first, again, later = images[0, 2], images[0, 2], images[1, 2]
    assert torch.equal(first["pixels"], again["pixels"])
    assert not torch.equal(first["pixels"], later["pixels"])
    dropped = [float(images[epoch, 0]["has_text"]) == 0 for epoch in range(200)]
    assert 70 < sum(dropped) < 130
    assert all(float(images[epoch, 3]["has_text"]) == 0 for epoch in range(5))  # row 3 has no description
    assert {int(images[epoch, 0]["text"]) for epoch in range(20)} == {0, texts.missing}


def test_batch_size_does_not_change_predictions(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    trained = run(rows, tiny_config(folder / "bert", epochs=1), tmp_path / "run")
    loaded = load_core(trained.run.path)
    texts = tokenize([row.description for row in rows], loaded.tokenizer, 16)
    pixels, _ = raise_td.load_pixels(rows, 32, 48)
    one, many = (predict(loaded.model, pixels, texts, range(12), batch_size=size) for size in (1, 5))
    np.testing.assert_allclose(one.text, many.text, atol=1e-5)
    np.testing.assert_allclose(one.image_only, many.image_only, atol=1e-5)


def test_cross_validation_and_evaluation(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    config = tiny_config(folder / "bert", epochs=1)
    result = cross_validate(rows, config, 3, tmp_path / "cv", cpu=True, show_progress=False)
    again = cross_validate(rows, config, 3, tmp_path / "cv", resume=True, cpu=True, show_progress=False)
    assert again.to_json() == result.to_json()
    with (tmp_path / "cv" / "predictions.csv").open() as file:
        table = list(csv.DictReader(file))
    assert sorted(record["filename"] for record in table) == sorted(row.filename for row in rows)
    mos, predicted = ([float(record[key]) for record in table] for key in ("mos", "predicted"))
    assert result.text["srocc"].value == pytest.approx(metrics.srocc(predicted, mos))
    assert len(result.folds) == 3
    assert result.fold_mean["srocc"] == pytest.approx(
        np.mean([fold["srocc"] for fold in result.folds]), nan_ok=True
    )

    evaluated = evaluate_core(tmp_path / "cv", folder / "data", folds=True, cpu=True, show_progress=False)
    assert evaluated.text["srocc"].value == pytest.approx(result.text["srocc"].value, abs=1e-6)
    test = evaluate_core(tmp_path / "cv", folder / "data", "test", folds=True, cpu=True, show_progress=False)
    assert test.rows == 5 and len(test.folds) == 3
    single = evaluate_core(
        tmp_path / "cv" / "fold-1", folder / "data", "train", cpu=True, show_progress=False
    )
    assert single.rows == 8 and not single.folds
    assert {path.name for path in (tmp_path / "cv" / "evaluation-test").iterdir()} == {
        "metrics.json",
        "predictions.csv",
        "scatter.png",
    }
    assert (tmp_path / "cv" / "evaluation-test" / "scatter.png").read_bytes().startswith(b"\x89PNG")


def test_evaluation_errors(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    config = dataclasses.replace(tiny_config(folder / "bert", epochs=1), split=SplitConfig("none"))
    run(rows, config, tmp_path / "run")
    options = {"cpu": True, "show_progress": False}
    with pytest.raises(RunError, match="no validation rows"):
        evaluate_core(tmp_path / "run", folder / "data", **options)
    with pytest.raises(RunError, match=r"no fold-\* folders"):
        evaluate_core(tmp_path / "run", folder / "data", folds=True, **options)
    with pytest.raises(RunError, match="no such run folder"):
        evaluate_core(tmp_path / "nothing", folder / "data", output=tmp_path / "out", **options)
    write_data(tmp_path / "other", 4)
    with pytest.raises(DataError, match=r"images are not in this data set \(first: f4.png\)"):
        evaluate_core(tmp_path / "run", tmp_path / "other", "train", **options)
    RunFolder(tmp_path / "run").checkpoint.unlink()
    with pytest.raises(RunError, match="has not finished an epoch"):
        load_core(tmp_path / "run")
