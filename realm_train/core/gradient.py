"""Training of CORE by gradient: epochs, the one that is kept, and what is saved to go on after a kill."""

import math
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data import DataLoader

from realm_train.core.data import EpochBatches, TrainingImages
from realm_train.core.losses import loss
from realm_train.core.optimise import MovingAverage, make_optimizer, make_schedule, training_mode
from realm_train.core.trainee import Trained, Trainee
from realm_train.errors import RunError
from realm_train.runs import epoch_seed, progress, set_seed
from realm_train.towers import load_strictly

_PANELS = {
    "loss": ("loss",),
    "validation SROCC": ("srocc", "srocc_image_only"),
    "validation PLCC": ("plcc", "plcc_image_only"),
    "learning rate": ("lr",),
}


def train_by_gradient(trainee: Trainee, after_epoch: Callable[[int], None]) -> Trained:
    """Train from the start, or from where a killed run stopped.

    Args:
        trainee: The model with its data.
        after_epoch: Called with the epoch (from 1) once its state is saved.

    Raises:
        RunError: The loss is not finite.
        TowerError: The saved state is of another model.
    """
    config = trainee.config.train
    if trainee.state is not None:
        load_strictly(trainee.model, trainee.state["model"], str(trainee.run.state_file))
    elif not config.init:
        trainee.standardise(trainee.image_features())
    if config.freeze_text:
        trainee.texts = trainee.texts.with_features(trainee.model)
    _Epochs(trainee).train(after_epoch)
    trainee.accelerator.wait_for_everyone()
    return trainee.finish()


class _Epochs:
    """The optimizer, its schedule and the moving average of the weights, from epoch to epoch."""

    def __init__(self, trainee: Trainee) -> None:
        self.trainee = trainee
        self.config = config = trainee.config.train
        self.accelerator = accelerator = trainee.accelerator
        self.batches = EpochBatches(trainee.split.train, config.batch_size, config.seed)
        cuda = accelerator.device.type == "cuda"
        loader: Any = DataLoader(
            TrainingImages(trainee.data, trainee.texts, trainee.config),
            batch_sampler=self.batches,  # type: ignore[arg-type]
            num_workers=4 if cuda else 0,
            pin_memory=cuda,
        )
        optimizer = make_optimizer(trainee.model, config)
        self.schedule = make_schedule(optimizer, config, math.ceil(len(self.batches) / config.accumulation))
        self.average = MovingAverage(trainee.model, config.ema_decay) if config.ema_decay else None
        self.best: dict[str, Any] = {"value": -math.inf, "epoch": 0}
        self.first = 0
        state = trainee.state
        if state is not None:
            self.first, self.best = int(state["epoch"]), dict(state["best"])
            optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            if self.average is not None:
                self.average.load_state_dict(state["average"])
        self.wrapped: Any
        self.optimizer: Any
        self.loader: Any
        self.wrapped, self.optimizer, self.loader = accelerator.prepare(trainee.model, optimizer, loader)
        if state is not None and accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(state["scaler"])
        trainee.state = None

    def train(self, after_epoch: Callable[[int], None]) -> None:
        config, accelerator, show = self.config, self.accelerator, self.trainee.show
        with progress("training", (config.epochs - self.first) * len(self.batches), show) as step:
            for epoch in range(self.first, config.epochs):
                if self._stops(epoch):
                    break
                started = time.monotonic()
                self.batches.epoch = epoch
                # Nothing random outlives an epoch, so one begun after a restart draws what it would have.
                set_seed(epoch_seed(config.seed, epoch) + accelerator.process_index)
                rate = self.optimizer.param_groups[0]["lr"]
                mean_loss = self._epoch(step)
                row = {
                    "epoch": epoch + 1,
                    "loss": mean_loss,
                    "lr": rate,
                    **self.trainee.validate(self.average),
                }
                value = selection_value(row, config.select)
                better = value > self.best["value"] or self.best["epoch"] == 0
                if better:
                    self.best = {"value": value, "epoch": epoch + 1}
                last = epoch + 1 == config.epochs or self._stops(epoch + 1)
                if accelerator.is_main_process:
                    self._save(row, better, last)
                    if show:
                        print(_line(row, time.monotonic() - started), file=sys.stderr, flush=True)
                after_epoch(epoch + 1)

    def _epoch(self, step: Callable[[str], None]) -> float:
        """Train on every batch once; the mean loss over all processes."""
        config, accelerator, texts = self.config, self.accelerator, self.trainee.texts
        model = self.trainee.model
        training_mode(model, config)
        total, count = torch.zeros((), device=accelerator.device), 0
        for batch in self.loader:
            with accelerator.accumulate(self.wrapped):
                index = batch["text"].cpu()
                pixels = batch["pixels"].float().contiguous(memory_format=torch.channels_last)
                described: tuple[Any, ...]
                if texts.features is not None:
                    described = (None, None, batch["has_text"], texts.features[index].to(pixels.device))
                else:
                    ids, mask = texts.input_ids[index], texts.attention_mask[index]
                    described = (ids.to(pixels.device), mask.to(pixels.device), batch["has_text"], None)
                value = loss(self.wrapped(pixels, *described), batch["mos"], config)
                accelerator.backward(value)
                if accelerator.sync_gradients and config.grad_clip:
                    accelerator.clip_grad_norm_(model.parameters(), config.grad_clip)
                self.optimizer.step()
                if accelerator.sync_gradients and not accelerator.optimizer_step_was_skipped:
                    self.schedule.step()
                    if self.average is not None:
                        self.average.update(model)
                self.optimizer.zero_grad()
            total += value.detach() * len(index)
            count += len(index)
            step(f"loss {total.item() / count:.4f}" if self.trainee.show else "")
        sums = accelerator.reduce(torch.stack([total, torch.tensor(float(count), device=total.device)]))
        mean = float(sums[0] / sums[1])
        if not math.isfinite(mean):
            raise RunError(
                f"{self.trainee.run.path}: the loss is not finite; lower lr, or set mixed_precision=no"
            )
        return mean

    def _stops(self, epochs_done: int) -> bool:
        patience = self.config.patience
        return bool(
            patience and self.trainee.split.validation and epochs_done - self.best["epoch"] >= patience
        )

    def _save(self, row: dict[str, Any], better: bool, last: bool) -> None:
        # The state comes last: a kill before it repeats the epoch, which writes the same files once more.
        run, model, epoch = self.trainee.run, self.trainee.model, row["epoch"]
        run.append_metrics(row)
        run.curves(_PANELS)
        by_validation = self.config.keep == "best" and bool(self.trainee.split.validation)
        if better if by_validation else last:
            metadata = {"format": "realm-core", "epoch": epoch, "kept": "best" if by_validation else "last"}
            if self.average is None:
                run.save_checkpoint(model.state_dict(), metadata)
            else:
                with self.average.applied(model):
                    run.save_checkpoint(model.state_dict(), metadata)
        scaler = self.accelerator.scaler
        run.save_state(
            {
                "epoch": epoch,
                "best": self.best,
                "model": model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "scaler": None if scaler is None else scaler.state_dict(),
            }
        )


def selection_value(row: dict[str, Any], select: str) -> float:
    """The number by which epochs are compared; -inf where it is not defined."""
    text, image_only = row.get("srocc", math.nan), row.get("srocc_image_only", math.nan)
    value = {"text": text, "image-only": image_only, "mean": (text + image_only) / 2}[select]
    return value if math.isfinite(value) else -math.inf


def _line(row: dict[str, Any], seconds: float) -> str:
    parts = [f"epoch {row['epoch']}", f"loss {row['loss']:.4f}"]
    if "srocc" in row:
        parts.append(f"SROCC {row['srocc']:.4f}, image only {row['srocc_image_only']:.4f}")
    return "  ".join([*parts, f"{seconds:.0f} s"])
