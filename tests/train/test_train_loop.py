"""The training loop against arithmetic written down here: optimizer steps, schedule, clipping, average, means."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from train_data import saved_states
from train_loops import parts, run_loop, sgd, step_of_parts

from realm_train.loop import LoopConfig, Step, Training, new_accelerator, train
from realm_train.optimise import MovingAverage, adamw, learning_rate_factor
from realm_train.runs import RunFolder

LR, DECAY, BETAS, EPSILON = 0.1, 0.05, (0.9, 0.999), 1e-8
EPOCHS, STEPS = 3, 4

GENERATOR = np.random.default_rng(3)
X = GENERATOR.normal(size=(STEPS, 5, 3))
Y = X @ [2.0, -1.0, 0.5] + 3 + GENERATOR.normal(0, 0.1, (STEPS, 5))
START = np.array([0.3, -0.2, 0.1])


def factor(step: int) -> float:
    """Three steps of warm-up, then half a cosine over the nine others, written out."""
    return (step + 1) / 4 if step < 3 else (1 + math.cos(math.pi * (step - 3) / 9)) / 2


@dataclass(frozen=True)
class ByHand:
    """Weights [steps + 1, 4] (three of x, one bias) and losses [steps] of the same training in numpy."""

    weights: np.ndarray
    losses: np.ndarray

    def averaged(self, decay: float) -> np.ndarray:
        """The moving average in closed form: every weight times what later steps have left of it."""
        decays = [min(decay, step / (step + 9)) for step in range(1, len(self.weights))]
        shares = [math.prod(decays)] + [
            (1 - decays[i]) * math.prod(decays[i + 1 :]) for i in range(len(decays))
        ]
        return np.asarray(shares) @ self.weights


def by_hand(grad_clip: float, rate: Callable[[int], float]) -> ByHand:
    """Mean squared error of a linear model, AdamW (Loshchilov and Hutter 2019) with clipping by the norm."""
    weights, losses = [np.array([*START, 0.0])], []
    first, second = np.zeros(4), np.zeros(4)
    decay = np.array([DECAY] * 3 + [0.0])  # none on the bias
    for step in range(EPOCHS * STEPS):
        x = np.column_stack([X[step % STEPS], np.ones(5)])
        error = x @ weights[-1] - Y[step % STEPS]
        losses.append((error**2).mean())
        gradient = 2 / 5 * x.T @ error
        if grad_clip:
            gradient *= min(1, grad_clip / (np.linalg.norm(gradient) + 1e-6))
        first = BETAS[0] * first + (1 - BETAS[0]) * gradient
        second = BETAS[1] * second + (1 - BETAS[1]) * gradient**2
        corrected = first / (1 - BETAS[0] ** (step + 1)), second / (1 - BETAS[1] ** (step + 1))
        lr = LR * rate(step)
        weights.append(weights[-1] * (1 - lr * decay) - lr * corrected[0] / (np.sqrt(corrected[1]) + EPSILON))
    return ByHand(np.array(weights), np.array(losses))


@dataclass
class Linear:
    """The same training for the loop, in float64; what it saw lies in `seen`."""

    model: nn.Linear = field(default_factory=lambda: nn.Linear(3, 1).double())
    seen: list[np.ndarray] = field(default_factory=list)

    def training(self) -> Training[int]:
        with torch.no_grad():
            self.model.weight.copy_(torch.from_numpy(START))
            self.model.bias.zero_()
        return Training(
            self.model,
            adamw(self.model, lambda name: LR, DECAY, decay_norms=False),
            rate=lambda step: learning_rate_factor(step, EPOCHS * STEPS, 3, cosine=True),
            batches=lambda epoch: range(STEPS),
            step=step_of_linear,
            evaluate=self.evaluate,
            observe=lambda: {"bias": self.model.bias.item()},
        )

    def evaluate(self) -> dict[str, float]:
        self.seen.append(flat(self.model.state_dict()))
        return {"evaluated": self.seen[-1][3]}


def step_of_linear(forward: nn.Module, batch: int) -> Step:
    error = forward(torch.from_numpy(X[batch])).squeeze(1) - torch.from_numpy(Y[batch])
    return Step(error.square().mean(), 5, {"largest": error.detach().abs().max()})


def flat(state: dict[str, torch.Tensor]) -> np.ndarray:
    return np.concatenate([state["weight"].numpy().ravel(), state["bias"].numpy()])


@pytest.mark.parametrize(("grad_clip", "ema_decay"), [(0.0, 0.0), (0.0, 0.4), (2.0, 0.0), (2.0, 0.4)])
def test_steps_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grad_clip: float, ema_decay: float
) -> None:
    """AdamW, schedule, clipping and average of twelve steps in float64 equal numpy's."""
    states, linear = saved_states(monkeypatch), Linear()
    run = run_loop(linear.training(), tmp_path / "run", LoopConfig(EPOCHS, 1, grad_clip, ema_decay))
    expected = by_hand(grad_clip, factor)
    for epoch, state in enumerate(states):
        weights = expected.weights[: STEPS * (epoch + 1) + 1]
        np.testing.assert_allclose(flat(state["model"]), weights[-1], rtol=1e-12)
        average = ByHand(weights, expected.losses).averaged(ema_decay) if ema_decay else weights[-1]
        np.testing.assert_allclose(linear.seen[epoch], average, rtol=1e-12)
    np.testing.assert_allclose(flat(run.load_checkpoint()), linear.seen[-1], rtol=0)
    rows = run.metrics()
    assert list(rows[0]) == ["epoch", "loss", "lr", "largest", "bias", "evaluated"]
    np.testing.assert_allclose(
        [row["loss"] for row in rows], expected.losses.reshape(EPOCHS, STEPS).mean(1), rtol=1e-12
    )
    assert [row["lr"] for row in rows] == pytest.approx([LR * factor(epoch * STEPS) for epoch in range(3)])
    assert [row["bias"] for row in rows] == pytest.approx([state["model"]["bias"].item() for state in states])
    # What is switched on matters here, by far more than the tolerance.
    others = [
        by_hand(0.0 if grad_clip else 2.0, factor).weights[-1],
        by_hand(grad_clip, lambda _: 1.0).weights[-1],
    ]
    others += [expected.averaged(0.4)] if not ema_decay else [expected.weights[-1]]
    assert all(np.abs(other - linear.seen[-1]).max() > 1e-3 for other in others)


def test_a_gradient_is_cut_to_its_limit(tmp_path: Path) -> None:
    """(3, 4) has norm 5: with a limit of 1 the step is (0.6, 0.8), (0.3, 0.4) stays; zero is no limit."""
    big, small = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.3, 0.4]])

    def moved(limit: float, gradient: torch.Tensor) -> list[float]:
        model = nn.Linear(2, 1, bias=False)
        nn.init.zeros_(model.weight)
        training = sgd(model, lambda forward, batch: Step(forward(batch).sum()), [gradient])
        run_loop(training, tmp_path / f"{limit}-{gradient[0, 0]}", LoopConfig(1, grad_clip=limit))
        return (-model.weight.detach()).flatten().tolist()

    assert moved(1.0, big) == pytest.approx([0.6, 0.8], rel=1e-5)
    assert moved(1.0, small) == pytest.approx([0.3, 0.4], rel=1e-6)
    assert moved(0.0, big) == pytest.approx([3.0, 4.0], rel=1e-6)


@pytest.mark.parametrize(
    ("cosine", "peak_in_warmup", "expected"),
    [
        (True, False, [1 / 4, 2 / 4, 3 / 4, 1, 3 / 4, 1 / 4]),
        (True, True, [1 / 3, 2 / 3, 1, 1, 3 / 4, 1 / 4]),
        (False, False, [1 / 4, 2 / 4, 3 / 4, 1, 1, 1]),
    ],
)
def test_schedule(tmp_path: Path, cosine: bool, peak_in_warmup: bool, expected: list[float]) -> None:
    """Six steps, three of them warm-up; half a cosine in thirds is 1, 3/4, 1/4. The weight moves by the rates."""

    def rate(step: int) -> float:
        return learning_rate_factor(step, 6, 3, cosine, peak_in_warmup)

    assert [rate(step) for step in range(6)] == pytest.approx(expected)
    assert rate(6) == pytest.approx(0.0 if cosine else 1.0, abs=1e-12)
    assert learning_rate_factor(0, 6, 0, cosine) == 1.0
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    training = sgd(model, lambda forward, _: Step(forward(torch.ones(1, 1)).sum()), range(2), rate=rate)
    run = run_loop(training, tmp_path / "run", LoopConfig(3))
    assert model.weight.item() == pytest.approx(-sum(expected))
    assert [row["lr"] for row in run.metrics()] == pytest.approx(expected[::2])


def test_moving_average_in_closed_form() -> None:
    """From 0 towards a constant 1: while it warms up, 1 - 1 / binomial(n + 9, 9); then the rest shrinks by `decay`."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = MovingAverage(model, 0.5)  # n / (n + 9) reaches 0.5 at n = 9
    nn.init.ones_(model.weight)
    for n in range(1, 15):
        average.update(model)
        rest = 1 / math.comb(n + 9, 9) if n <= 9 else 0.5 ** (n - 9) / math.comb(18, 9)
        with average.applied(model):
            assert 1 - model.weight.item() == pytest.approx(rest, abs=1e-7)
        assert model.weight.item() == 1.0


@pytest.mark.parametrize("freeze_batch_norm", [False, True])
def test_frozen_parts_do_not_move(tmp_path: Path, freeze_batch_norm: bool) -> None:
    model, training = parts()
    start = {key: value.clone() for key, value in model.state_dict().items()}
    modes = []

    def step(forward: nn.Module, batch: int) -> Step:
        modes.append([m.training for m in (*model.frozen, *model.free)])
        return step_of_parts(forward, batch)

    config = LoopConfig(4, ema_decay=0.3, freeze_batch_norm=freeze_batch_norm)
    found = run_loop(replace(training, step=step), tmp_path / "run", config).load_checkpoint()
    assert modes == [[False] * 3 + [True, not freeze_batch_norm, True]] * 12
    assert found.keys() == start.keys()
    still = {key for key in start if torch.equal(found[key], start[key])}
    statistics = {f"free.1.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}
    assert still == {key for key in start if key.startswith("frozen.")} | (
        statistics if freeze_batch_norm else set()
    )
    assert all(value.isfinite().all() for value in found.values())
    assert model.mask.tolist() == [0.0, -math.inf]


def test_gradients_are_averaged_before_a_step_and_none_is_left_over(tmp_path: Path) -> None:
    """Of gradients 1, 2, 3, 4, 5 in twos: (1 + 2) / 2, (3 + 4) / 2, and 5 / 2 where the epoch ends."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    accelerator = new_accelerator("no", 2, cpu=True)
    loader = accelerator.prepare(DataLoader(TensorDataset(torch.arange(1.0, 6)[:, None]), batch_size=1))
    weights = []

    def step(forward: nn.Module, batch: list[torch.Tensor]) -> Step:
        weights.append(model.weight.item())
        return Step(forward(batch[0]).sum())

    rates = [1.0, 10.0, 100.0] * 2  # as many as steps of the optimizer
    training = sgd(model, step, loader, rate=lambda step: [*rates, 0.0][step])
    train(training, LoopConfig(2), RunFolder(tmp_path), accelerator)
    epoch = 1.5 + 35 + 250
    assert weights[:6] == pytest.approx([0, 0, -1.5, -1.5, -36.5, -epoch])
    assert model.weight.item() == pytest.approx(-2 * epoch)


def test_the_limit_is_for_gradients_that_were_averaged(tmp_path: Path) -> None:
    """Of 10 and -9.4 the mean is 0.3, within a limit of 1, which neither is."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    accelerator = new_accelerator("no", 2, cpu=True)
    gradients = TensorDataset(torch.tensor([[10.0], [-9.4]]))
    training = sgd(
        model,
        lambda forward, batch: Step(forward(batch[0]).sum()),
        accelerator.prepare(DataLoader(gradients, batch_size=1)),
    )
    train(training, LoopConfig(1, grad_clip=1.0), RunFolder(tmp_path), accelerator)
    assert model.weight.item() == pytest.approx(-0.3, abs=1e-6)


def test_means_count_examples(tmp_path: Path) -> None:
    """Losses 1 and 4 of one and of three examples: (1 + 12) / 4."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)

    def step(forward: nn.Module, batch: int) -> Step:
        return Step(
            0 * forward(torch.ones(1, 1)).sum() + batch**2, 2 * batch - 1, {"size": torch.tensor(batch)}
        )

    row = run_loop(sgd(model, step, [1, 2]), tmp_path / "run", LoopConfig(1)).metrics()[0]
    assert row["loss"] == 13 / 4 and row["size"] == 7 / 4


def test_bf16_computes_in_bf16_and_keeps_float32(tmp_path: Path) -> None:
    class Probe(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = super().forward(x)
            types.append(y.dtype)
            return y

    types: list[torch.dtype] = []
    model = Probe(2, 1)
    training = sgd(model, lambda forward, _: Step(forward(torch.ones(1, 2)).sum()), [0])
    train(training, LoopConfig(1), RunFolder(tmp_path), new_accelerator("bf16", cpu=True))
    assert types == [torch.bfloat16]
    assert {value.dtype for value in RunFolder(tmp_path).load_checkpoint().values()} == {torch.float32}
