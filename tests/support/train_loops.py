"""Trainings of a few steps for the loop, and a folder that it runs them into."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from realm_train.loop import LoopConfig, Step, Training, new_accelerator, train
from realm_train.optimise import adamw, learning_rate_factor
from realm_train.runs import RunFolder


def run_loop(training: Training[Any], folder: Path, config: LoopConfig, show: bool = False) -> RunFolder:
    folder.mkdir(exist_ok=True)
    run = RunFolder(folder)
    train(training, config, run, new_accelerator("no", cpu=True), show)
    return run


def sgd(
    model: nn.Module, step: Callable[[nn.Module, Any], Step], batches: Any, **settings: Any
) -> Training[Any]:
    """At a learning rate of 1 the weights move by exactly what the gradient says."""
    return Training(
        model,
        torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0),
        **({"rate": lambda _: 1.0, "evaluate": dict, "batches": lambda _: batches, "step": step} | settings),
    )


class Parts(nn.Module):
    """A frozen part and one that learns, each with batch norm and dropout; and a mask that has no average."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen, self.free = (
            nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)) for _ in range(2)
        )
        self.frozen.requires_grad_(False)
        self.register_buffer("mask", torch.tensor([0.0, -math.inf]), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.free(self.frozen(x)).sum(1) + torch.softmax(self.mask, 0)[0]


def step_of_parts(forward: nn.Module, batch: int) -> Step:
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(batch))
    return Step((forward(x) - x.sum(1)).square().mean())


def parts(epochs: int = 4, select: Any = None) -> tuple[Parts, Training[int]]:
    torch.manual_seed(0)
    model = Parts()
    optimizer = adamw(model, lambda name: 0.01, 0.5, decay_norms=True)

    def evaluate() -> dict[str, float]:
        model.eval()  # as an evaluation may leave it
        return {"loss_in_eval": float(step_of_parts(model, 99).loss.detach())}

    def rate(step: int) -> float:
        return learning_rate_factor(step, 3 * epochs, 2, cosine=True)

    return model, Training(
        model,
        optimizer,
        rate,
        lambda epoch: range(3 * epoch, 3 * epoch + 3),
        step_of_parts,
        evaluate,
        select=select,
    )
