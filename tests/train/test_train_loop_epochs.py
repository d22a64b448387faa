"""A run of the training loop from epoch to epoch: resume, which one is kept, what is refused, shown and drawn."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from train_data import KilledError, killed_after, saved_states
from train_loops import parts, run_loop, sgd

from realm_train.errors import RunError, TowerError
from realm_train.loop import LoopConfig, Step
from realm_train.runs import epoch_seed, set_seed


@pytest.mark.parametrize("saved", [True, False], ids=["after-state", "before-state"])
@pytest.mark.parametrize("keep", ["last", "best"])
def test_a_run_that_was_killed_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: bool, keep: str
) -> None:
    """Weights, average, optimizer, dropout, best epoch: killed in every epoch, equal to the last bit."""
    states = saved_states(monkeypatch)
    config = LoopConfig(4, 5, 0.5, 0.8, keep=keep)

    def select(row: Any) -> float:
        return -abs(row["epoch"] - 2)  # the second epoch is the best

    straight = run_loop(parts(select=select)[1], tmp_path / "straight", config)
    expected = states[-1]
    for epoch in (1, 2, 3):
        with monkeypatch.context() as patch:
            killed_after(epoch, patch, saved)
            with pytest.raises(KilledError):
                run_loop(parts(select=select)[1], tmp_path / "killed", config)
    resumed = run_loop(parts(select=select)[1], tmp_path / "killed", config)
    assert (tmp_path / "straight" / "metrics.csv").read_text() == (
        tmp_path / "killed" / "metrics.csv"
    ).read_text()
    assert straight.checkpoint_metadata() == resumed.checkpoint_metadata()
    assert straight.checkpoint_metadata()["epoch"] == ("2" if keep == "best" else "4")
    torch.testing.assert_close(states[-1], expected, rtol=0, atol=0)
    torch.testing.assert_close(resumed.load_checkpoint(), straight.load_checkpoint(), rtol=0, atol=0)
    # And there is something to lose: an epoch with other random numbers ends elsewhere.
    other = run_loop(parts(select=select)[1], tmp_path / "other", replace(config, seed=6))
    assert not torch.equal(
        other.load_checkpoint()["free.0.weight"], straight.load_checkpoint()["free.0.weight"]
    )


def test_every_epoch_has_random_numbers_of_its_own(tmp_path: Path) -> None:
    """Those of its seed and number, whatever was drawn before; `batches` is asked before they begin."""
    drawn: list[float] = []

    def step(forward: nn.Module, batch: int) -> Step:
        drawn.append(torch.rand(1).item())
        return Step(forward(torch.ones(1, 1)).sum())

    def batches(epoch: int) -> range:
        torch.manual_seed(0)
        return range(1)

    training = replace(sgd(nn.Linear(1, 1), step, []), batches=batches)
    run_loop(training, tmp_path / "run", LoopConfig(3, seed=4))
    expected = []
    for epoch in range(3):
        set_seed(epoch_seed(4, epoch))
        expected.append(torch.rand(1).item())
    assert drawn == expected and len(set(drawn)) == 3


@pytest.mark.parametrize(
    ("values", "keep", "patience", "kept", "epochs"),
    [
        ([1, 3, 2, 3, 0], "best", 0, 2, 5),  # the first of equals
        ([1, 3, 2, 3, 0], "last", 0, 5, 5),
        ([1, 3, 2, 3, 4], "best", 2, 2, 4),
        ([1, 3, 2, 3, 4], "last", 2, 4, 4),
        ([-math.inf, -math.inf, 0, 1, 2], "best", 3, 5, 5),
        ([-math.inf] * 5, "best", 0, 1, 5),
    ],
)
def test_which_epoch_is_kept(
    tmp_path: Path, values: list[float], keep: str, patience: int, kept: int, epochs: int
) -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    training = sgd(
        model,
        lambda forward, _: Step(forward(torch.ones(1, 1)).sum()),
        [0],
        select=lambda row: values[row["epoch"] - 1],
        metadata={"format": "test"},
    )
    for _ in range(2):  # the second goes on with a run that has ended, which changes nothing
        run = run_loop(training, tmp_path / "run", LoopConfig(5, keep=keep, patience=patience))
        assert run.checkpoint_metadata() == {"format": "test", "epoch": str(kept)}
        assert run.load_checkpoint()["weight"].item() == -kept
        assert len(run.metrics()) == epochs


def test_epochs_are_compared_by_something(tmp_path: Path) -> None:
    training = sgd(nn.Linear(1, 1), lambda forward, _: Step(forward(torch.ones(1, 1)).sum()), [0])
    for config in (LoopConfig(2, keep="best"), LoopConfig(2, patience=1)):
        with pytest.raises(ValueError, match=r"need Training\.select"):
            run_loop(training, tmp_path / "run", config)


def test_a_state_of_another_version_or_model_is_refused(tmp_path: Path) -> None:
    run = run_loop(parts()[1], tmp_path / "run", LoopConfig(1))
    other = sgd(nn.Linear(1, 1), lambda forward, _: Step(forward(torch.ones(1, 1)).sum()), [0])
    with pytest.raises(TowerError, match=r"last\.state: does not fit Linear"):
        run_loop(other, tmp_path / "run", LoopConfig(2))
    run.save_state({"epoch": 1, "model": {}})
    with pytest.raises(RunError, match=r"last\.state: of another version; delete it"):
        run_loop(parts()[1], tmp_path / "run", LoopConfig(2))


def test_a_loss_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    model = nn.Linear(1, 1)
    training = sgd(model, lambda forward, _: Step(forward(torch.ones(1, 1)).sum() * math.nan), [0])
    with pytest.raises(RunError, match="run: the loss is not finite; lower lr"):
        run_loop(training, tmp_path / "run", LoopConfig(1))
    assert not list((tmp_path / "run").iterdir())


def test_what_is_shown_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = nn.Linear(1, 1)
    training = sgd(
        model,
        lambda forward, _: Step(forward(torch.ones(1, 1)).sum(), metrics={"largest": model.weight.max()}),
        [0],
        evaluate=lambda: {"evaluated": 1.0},
        observe=lambda: {"bias": model.bias.item()},
        panels={"loss": ["loss"], "b": ["bias", "absent"]},
    )
    run = run_loop(training, tmp_path / "run", LoopConfig(1), show=True)
    row = run.metrics()[0]
    assert capsys.readouterr().err.startswith(f"epoch 1  loss {row['loss']:.4g}  bias {row['bias']:.4g}  ")
    assert {path.name for path in run.path.iterdir()} == {
        "metrics.csv",
        "curves.png",
        "checkpoint.safetensors",
        "last.state",
    }
