"""Training of CORE by gradient: its optimizer, its batches and its step for the training loop."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from realm_train.core.config import TrainConfig
from realm_train.core.data import Batch, EpochBatches, TrainingImages
from realm_train.core.losses import loss
from realm_train.core.model import CoreModel
from realm_train.core.trainee import Trained, Trainee
from realm_train.loop import Batches, LoopConfig, Step, Training, train
from realm_train.optimise import adamw, learning_rate_factor

_PANELS = {
    "loss": ("loss",),
    "validation SROCC": ("srocc", "srocc_image_only"),
    "validation PLCC": ("plcc", "plcc_image_only"),
    "learning rate": ("lr",),
}


def train_by_gradient(trainee: Trainee) -> Trained:
    """Train from the start, or from where a killed run stopped.

    Raises:
        RunError: The loss is not finite.
        TowerError: The saved state is of another model.
    """
    config, accelerator, model = trainee.config.train, trainee.accelerator, trainee.model
    if not trainee.resumes and not config.init:
        trainee.standardise(trainee.image_features())
    if config.freeze_text:
        trainee.texts = trainee.texts.with_features(model)
    order = EpochBatches(trainee.split.train, config.batch_size, config.seed)
    cuda = accelerator.device.type == "cuda"
    loader: Any = accelerator.prepare(
        DataLoader(
            TrainingImages(trainee.data, trainee.texts, trainee.config),
            batch_sampler=order,  # type: ignore[arg-type]
            num_workers=4 if cuda else 0,
            pin_memory=cuda,
        )
    )

    def batches(epoch: int) -> Batches[Batch]:
        order.epoch = epoch
        return loader  # type: ignore[no-any-return]

    steps_per_epoch = math.ceil(len(order) / config.accumulation)
    total = config.epochs * steps_per_epoch
    warmup = min(config.warmup_epochs * steps_per_epoch, total - 1)
    validated = bool(trainee.split.validation)
    keep = "best" if config.keep == "best" and validated else "last"
    training = Training(
        model=model,
        optimizer=make_optimizer(model, config),
        rate=lambda step: learning_rate_factor(step, total, warmup, config.schedule == "cosine"),
        batches=batches,
        step=lambda forward, batch: _step(trainee, forward, batch),
        evaluate=trainee.validate,
        select=(lambda row: selection_value(row, config.select)) if validated else None,
        panels=_PANELS,
        metadata={"format": "realm-core", "kept": keep},
    )
    settings = LoopConfig(
        epochs=config.epochs,
        seed=config.seed,
        grad_clip=config.grad_clip,
        ema_decay=config.ema_decay,
        freeze_batch_norm=config.freeze_batch_norm,
        keep=keep,
        patience=config.patience if validated else 0,
    )
    train(training, settings, trainee.run, accelerator, trainee.show)
    return trainee.finish()


def make_optimizer(model: CoreModel, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW with a learning rate per part."""
    rates = {"image": config.image_lr, "text": config.text_lr}

    def lr(name: str) -> float:
        rate = rates.get(name.partition(".")[0], config.head_lr)
        return config.lr if rate is None else rate

    return adamw(model, lr, config.weight_decay, config.decay_norms)


def selection_value(row: Mapping[str, Any], select: str) -> float:
    """The number by which epochs are compared; -inf where it is not defined."""
    text, image_only = row.get("srocc", math.nan), row.get("srocc_image_only", math.nan)
    value = {"text": text, "image-only": image_only, "mean": (text + image_only) / 2}[select]
    return value if math.isfinite(value) else -math.inf


def _step(trainee: Trainee, forward: nn.Module, batch: Batch) -> Step:
    texts = trainee.texts
    index = batch["text"].cpu()
    pixels = batch["pixels"].float().contiguous(memory_format=torch.channels_last)
    described: tuple[Any, ...]
    if texts.features is not None:
        described = (None, None, batch["has_text"], texts.features[index].to(pixels.device))
    else:
        ids, mask = texts.input_ids[index], texts.attention_mask[index]
        described = (ids.to(pixels.device), mask.to(pixels.device), batch["has_text"], None)
    return Step(loss(forward(pixels, *described), batch["mos"], trainee.config.train), len(index))
