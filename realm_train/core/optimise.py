"""What moves and how fast: freezing, parameter groups, learning-rate schedule, moving average."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from realm_train.core.config import TrainConfig
from realm_train.core.model import CoreModel
from realm_train.errors import ConfigError


def freeze(model: CoreModel, config: TrainConfig) -> None:
    """Switch off gradients as configured.

    Raises:
        ConfigError: `until-stage-K` names a stage the tower does not have.
    """
    if config.freeze_text:
        model.text.requires_grad_(False)
    if config.freeze_image == "all":
        model.image.requires_grad_(False)
    elif config.freeze_image != "none":
        last = int(config.freeze_image.rpartition("-")[2])
        stages = model.image.parameter_stages()
        if last >= max(stages.values()):
            raise ConfigError(
                f"freeze_image: {model.image.name} has stages 0 to {max(stages.values())}; "
                f"until-stage-{last} leaves none to train, use 'all'"
            )
        for name, parameter in model.image.backbone.named_parameters():
            parameter.requires_grad_(stages[name] > last)


def training_mode(model: CoreModel, config: TrainConfig) -> None:
    """Training mode, but what is frozen keeps its batch norm's statistics and its dropout off."""
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        frozen = bool(parameters) and not any(parameter.requires_grad for parameter in parameters)
        if frozen or (config.freeze_batch_norm and isinstance(module, nn.modules.batchnorm._BatchNorm)):
            module.eval()


def make_optimizer(model: CoreModel, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW over the parameters that learn, with a learning rate per part."""
    rates = {"image": config.image_lr, "text": config.text_lr}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = rates.get(name.partition(".")[0], config.head_lr)
        decays = config.decay_norms or parameter.ndim > 1
        key = (config.lr if rate is None else rate, config.weight_decay if decays else 0.0)
        groups.setdefault(key, []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": lr, "weight_decay": decay}
            for (lr, decay), parameters in groups.items()
        ]
    )


def make_schedule(
    optimizer: torch.optim.Optimizer, config: TrainConfig, steps_per_epoch: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up, then constant or cosine; step it once per optimizer step."""
    total = config.epochs * steps_per_epoch
    warmup = min(config.warmup_epochs * steps_per_epoch, total - 1)
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, total, warmup, config.schedule == "cosine")
    )


def learning_rate_factor(step: int, total: int, warmup: float, cosine: bool) -> float:
    """Factor on the learning rate of optimizer step `step`, counted from 0, of `total`."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if not cosine:
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1.0, total - warmup))))


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
        for name, value in state["shadow"].items():
            self.shadow[name].copy_(value)


def _moving(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from ((name, value) for name, value in model.named_parameters() if value.requires_grad)
    yield from model.named_buffers()


@torch.no_grad()
def _assign(model: nn.Module, values: dict[str, Tensor]) -> None:
    for name, value in _moving(model):
        value.copy_(values[name])
