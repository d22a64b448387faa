"""What moves and how fast: parameter groups, learning-rate schedule, training mode, moving average."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def adamw(
    model: nn.Module, lr: Callable[[str], float], weight_decay: float, decay_norms: bool
) -> torch.optim.AdamW:
    """AdamW over the parameters that learn.

    Args:
        model: Parameters without a gradient are left out.
        lr: Learning rate of the parameter of that name.
        weight_decay: Of AdamW.
        decay_norms: Whether it also takes scales, biases and normalisation parameters.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decays = decay_norms or parameter.ndim > 1
            groups.setdefault((lr(name), weight_decay if decays else 0.0), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": rate, "weight_decay": decay}
            for (rate, decay), parameters in groups.items()
        ]
    )


def learning_rate_factor(
    step: int, total: int, warmup: float, cosine: bool, peak_in_warmup: bool = False
) -> float:
    """Factor on the learning rates: a linear warm-up, then 1 or half a cosine to 0.

    Args:
        step: Optimizer step, counted from 0.
        total: Optimizer steps of the training.
        warmup: Steps of warm-up.
        cosine: Whether the rates fall afterwards.
        peak_in_warmup: Whether the last step of the warm-up has the full rate already, and not the first after it.
    """
    if step < warmup:
        return (step + 1) / (warmup if peak_in_warmup else warmup + 1)
    if not cosine:
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1.0, total - warmup))))


def training_mode(model: nn.Module, freeze_batch_norm: bool = False) -> None:
    """Training mode, but what is frozen keeps its batch norm's statistics and its dropout off."""
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        frozen = bool(parameters) and not any(parameter.requires_grad for parameter in parameters)
        if frozen or (freeze_batch_norm and isinstance(module, nn.modules.batchnorm._BatchNorm)):
            module.eval()


class MovingAverage:
    """Exponential moving average of everything in a model that changes while it trains."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.shadow = {name: value.detach().clone() for name, value in _moving(model)}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move towards the model's weights; early on faster, so that the random start is soon forgotten."""
        self.steps += 1
        weight = 1 - min(self.decay, self.steps / (self.steps + 9))
        for name, value in _moving(model):
            if value.is_floating_point():
                self.shadow[name].lerp_(value.detach(), weight)
            else:
                self.shadow[name].copy_(value)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """The model has the averaged weights inside the block."""
        own = {name: value.detach().clone() for name, value in _moving(model)}
        _assign(model, self.shadow)
        try:
            yield
        finally:
            _assign(model, own)

    def state_dict(self) -> dict[str, Any]:
        """For last.state."""
        return {"steps": self.steps, "shadow": self.shadow}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From last.state."""
        self.steps = int(state["steps"])
        for name, value in self.shadow.items():
            value.copy_(state["shadow"][name])


def _moving(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from ((name, value) for name, value in model.named_parameters() if value.requires_grad)
    # Buffers that are not saved are constants, and some, as masks of -inf, have no average.
    saved = model.state_dict(keep_vars=True)
    yield from ((name, value) for name, value in model.named_buffers() if name in saved)


@torch.no_grad()
def _assign(model: nn.Module, values: dict[str, Tensor]) -> None:
    for name, value in _moving(model):
        value.copy_(values[name])
