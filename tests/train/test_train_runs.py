import math
import os
import pickle
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from realm_engine.machine.files import DEAD_AFTER_S
from realm_train import config as configs
from realm_train import runs
from realm_train.core.config import CoreConfig
from realm_train.core.presets import CORE_PRESETS
from realm_train.errors import ConfigError, RunError


@dataclass(frozen=True)
class Inner:
    size: int = 1
    rate: float | None = None


@dataclass(frozen=True)
class Outer:
    name: str = "a"
    on: bool = False
    sizes: tuple[int, ...] = ()
    first: Inner = field(default_factory=Inner)
    second: Inner = field(default_factory=Inner)


@pytest.mark.parametrize("preset", CORE_PRESETS)
def test_configuration_round_trip(preset: str) -> None:
    config = CORE_PRESETS[preset]
    assert configs.from_json(CoreConfig, configs.to_json(config)) == config


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"nmae": "x"}, "unknown setting 'nmae'; did you mean 'name'"),
        ({"first": {"colour": 1}}, "first: unknown setting 'colour'; known: rate, size"),
        ({"on": 1}, "on: expected bool, found 1"),
        ({"first": {"size": True}}, "size: expected int, found True"),
        ({"first": {"size": 1.5}}, "size: expected int, found 1.5"),
        ({"sizes": [1, "2"]}, "sizes: expected int, found '2'"),
        ({"first": [1]}, "expected an object"),
    ],
)
def test_wrong_settings_are_named(data: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configs.from_json(Outer, data)


def test_override() -> None:
    changed = configs.override(
        Outer(), ["name=1", "on=true", "sizes=1,2", "first.size=3", "second.rate=1e-4", "first.rate=none"]
    )
    assert changed == Outer("1", True, (1, 2), Inner(3, None), Inner(1, 1e-4))
    assert configs.override(Outer(sizes=(1,)), ["sizes="]) == Outer()
    assert configs.differences(Outer(), changed) == ["name", "on", "sizes", "first.size", "second.rate"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("size=1", "ambiguous; write one of first.size, second.size"),
        ("nam=1", "did you mean 'name'"),
        ("name", "write key=value"),
        ("first.size=big", "expected int, found 'big'"),
        ("on=2", "expected bool"),
    ],
)
def test_wrong_override(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configs.override(Outer(), [setting])


def test_open_run(tmp_path: Path) -> None:
    run = runs.open_run(tmp_path / "a" / "run", Outer(), resume=True)
    assert run.read_config(Outer) == Outer()
    runs.open_run(
        run.path, Outer(on=True), resume=False
    )  # nothing but a configuration: an attempt that failed
    run = runs.open_run(run.path, Outer(), resume=True)
    run.append_metrics({"epoch": 1})
    with pytest.raises(RunError, match="--resume"):
        runs.open_run(run.path, Outer(), resume=False)
    with pytest.raises(RunError, match=r"other settings \(first.size\)"):
        runs.open_run(run.path, Outer(first=Inner(2)), resume=True)
    with pytest.raises(RunError, match="kind 'Outer', expected 'Inner'"):
        run.read_config(Inner)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "letter.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        runs.open_run(tmp_path / "b", Outer(), resume=False)
    with pytest.raises(RunError, match="cannot be used"):
        runs.open_run(tmp_path / "b" / "letter.txt", Outer(), resume=False)
    with pytest.raises(RunError, match="not a run folder"):
        runs.RunFolder(tmp_path).read_config(Outer)


def test_metrics_csv_replaces_epochs_that_are_run_again(tmp_path: Path) -> None:
    run = runs.RunFolder(tmp_path)
    for epoch, loss in ((1, 0.5), (2, 0.4), (3, float("nan")), (2, 0.1)):
        run.append_metrics({"epoch": epoch, "loss": loss, "srocc": None})
    rows = run.metrics()
    assert [(row["epoch"], row["loss"]) for row in rows] == [(1, 0.5), (2, 0.1)]
    assert math.isnan(rows[0]["srocc"])
    run.curves({"loss": ("loss",), "SROCC": ("srocc", "absent")})
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "metrics.csv"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    with pytest.raises(ZeroDivisionError), runs.replacing(tmp_path / "x") as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "old")]


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    run = runs.RunFolder(tmp_path)
    with pytest.raises(RunError, match="has not finished an epoch"):
        run.load_checkpoint()
    shared = torch.arange(6.0).reshape(2, 3)
    run.save_checkpoint({"a": shared, "b": shared.t(), "n": torch.tensor(3)}, {"epoch": 2})
    loaded = run.load_checkpoint()
    assert torch.equal(loaded["b"], shared.t()) and loaded["n"].item() == 3
    assert run.checkpoint_metadata() == {"epoch": "2"}
    run.checkpoint.write_bytes(b"broken")
    with pytest.raises(RunError, match="unreadable"):
        run.load_checkpoint()


def test_a_checkpoint_is_always_the_same_bytes(tmp_path: Path) -> None:
    """The library writes metadata in an order of chance."""
    run, written = runs.RunFolder(tmp_path), set()
    facts = {"epoch": 2, "kept": "best", "format": "realm-core", "né": "ü", "e": 'a "quoted" one'}
    for _ in range(20):
        run.save_checkpoint({"a": torch.arange(6.0), "n": torch.tensor(3)}, facts)
        written.add(run.checkpoint.read_bytes())
    assert len(written) == 1
    assert run.checkpoint_metadata() == {key: str(value) for key, value in facts.items()}
    assert torch.equal(run.load_checkpoint()["a"], torch.arange(6.0))


def test_state_is_data_and_code_in_it_is_refused(tmp_path: Path) -> None:
    run = runs.RunFolder(tmp_path)
    assert run.load_state() is None
    run.save_state({"epoch": 2, "average": None, "weights": {"w": torch.ones(2)}})
    state = run.load_state()
    assert state is not None and (state["epoch"], state["average"]) == (2, None)
    assert torch.equal(state["weights"]["w"], torch.ones(2))
    with run.state_file.open("wb") as file:
        pickle.dump(os.getcwd, file, protocol=2)
    with pytest.raises(RunError, match="delete it"):
        run.load_state()


def test_a_seed_decides_every_generator() -> None:
    def draw(seed: int) -> tuple[float, ...]:
        runs.set_seed(seed)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draw(7) == draw(7)
    assert not set(draw(7)) & set(draw(8))


def test_epoch_seeds_differ() -> None:
    seeds = {runs.epoch_seed(seed, epoch) for seed in range(20) for epoch in range(20)}
    assert len(seeds) == 400


def test_what_a_killed_run_left_over_is_swept(tmp_path: Path) -> None:
    run = runs.open_run(tmp_path / "run", Outer(), resume=True)
    old = [".checkpoint.safetensors.12.tmp", ".text.34.tmp"]
    kept = [".checkpoint.safetensors.56.tmp", "notes.tmp", ".notes.tmp"]
    (run.path / old[1]).mkdir()
    for name in (*old, *kept):
        path = run.path / name
        if not path.is_dir():
            path.write_bytes(b"x")
        age = 0.5 if name == kept[0] else 2.0
        os.utime(path, (time.time() - age * DEAD_AFTER_S,) * 2)
    runs.open_run(run.path, Outer(), resume=True)
    assert {path.name for path in run.path.iterdir()} == {"config.json", *kept}
