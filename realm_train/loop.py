"""The training loop: epochs, accumulation, moving average, schedule, what is kept, and how a killed run goes on.

A training brings its model, optimizer, batches, a step (batch -> loss) and an evaluation (-> metrics); the rest is
the same for all and stands here.
"""

import dataclasses
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object
from torch import Tensor, nn

from realm_train.errors import RunError
from realm_train.optimise import MovingAverage, training_mode
from realm_train.runs import RunFolder, epoch_seed, set_seed
from realm_train.said import phase, progress
from realm_train.towers import load_strictly

_STATE = ("epoch", "best", "model", "optimizer", "schedule", "average", "scaler")

Batch = TypeVar("Batch")
BatchOut = TypeVar("BatchOut", covariant=True)


@dataclass(frozen=True)
class Step:
    """What one batch gives.

    Attributes:
        loss: Scalar to descend on.
        examples: Weight of this batch in an epoch's means.
        metrics: Scalars whose means stand beside the loss in metrics.csv.
    """

    loss: Tensor
    examples: int = 1
    metrics: Mapping[str, Tensor] = field(default_factory=dict)


class Batches(Protocol[BatchOut]):
    """The batches of one epoch; a DataLoader is such a thing."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[BatchOut]: ...


@dataclass(frozen=True)
class LoopConfig:
    """How long and how.

    Attributes:
        epochs: Upper limit.
        seed: Of what is random inside an epoch, together with the epoch's number.
        grad_clip: Largest norm of the gradient; 0 for no limit.
        ema_decay: Of the moving average of the weights that is evaluated and kept; 0 for none.
        freeze_batch_norm: Whether batch norm keeps its statistics everywhere.
        keep: The "best" epoch by `Training.select`, or the "last".
        patience: Epochs without a better one before training stops; 0 never stops.
    """

    epochs: int
    seed: int = 42
    grad_clip: float = 0.0
    ema_decay: float = 0.0
    freeze_batch_norm: bool = False
    keep: str = "last"
    patience: int = 0


@dataclass(frozen=True)
class Training(Generic[Batch]):
    """What is trained, on what, and how it is measured.

    Attributes:
        model: Whose weights are trained, averaged and kept. Parts without a gradient stay in eval mode.
        optimizer: Over the model's parameters.
        rate: Optimizer step (from 0) -> factor on the learning rates.
        batches: Epoch (from 0) -> this process's batches, a function of the epoch and nothing else. It is called
            before the epoch's seed is set. Where gradients are accumulated, by a loader that `accelerator.prepare`
            returned, which tells when an epoch ends.
        step: The module to call and a batch -> its loss. The module is `forward`, in the run's precision.
        evaluate: Metrics of the model, which has the averaged weights then. Every process calls it; the first one's
            answer is written, and where `select` is given all have to agree.
        forward: The module that `step` calls, where it is another than the model (one that holds it).
        observe: Numbers of the weights themselves, not of their average, at the end of an epoch.
        select: A row of metrics.csv -> the number by which epochs are compared, high = better.
        panels: Of curves.png; the columns in them are also those that are shown.
        metadata: For the checkpoint, beside its epoch.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    rate: Callable[[int], float]
    batches: Callable[[int], Batches[Batch]]
    step: Callable[[nn.Module, Batch], Step]
    evaluate: Callable[[], Mapping[str, float]]
    forward: nn.Module | None = None
    observe: Callable[[], Mapping[str, float]] = dict
    select: Callable[[Mapping[str, Any]], float] | None = None
    panels: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"loss": ["loss"]})
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Best:
    """The best epoch so far, counted from 1; 0 before the first."""

    epoch: int = 0
    value: float = -math.inf


def new_accelerator(mixed_precision: str, accumulation: int = 1, cpu: bool = False) -> Accelerator:
    """Accelerate's entry for one training.

    Args:
        mixed_precision: "no", "bf16" or "fp16".
        accumulation: Batches whose gradients are averaged before the optimizer moves.
        cpu: Leave a GPU alone.
    """
    # Settings of the precision live in a singleton; a previous run in this process may have used another.
    AcceleratorState._reset_state()
    return Accelerator(
        mixed_precision=mixed_precision,
        gradient_accumulation_steps=accumulation,
        cpu=cpu,
        # One batch is split over the processes, so that the recipe means the same for any number of them.
        dataloader_config=DataLoaderConfiguration(split_batches=True),
    )


def train(
    training: Training[Batch],
    config: LoopConfig,
    run: RunFolder,
    accelerator: Accelerator,
    show: bool = False,
) -> None:
    """Train into a run folder, from the start or from where a killed run stopped.

    Per epoch it writes metrics.csv, curves.png, where it is to be kept checkpoint.safetensors, and last.state.
    A run that was killed and goes on ends with the weights and metrics of one that was not.

    Args:
        training: What is trained.
        config: How long and how.
        run: The folder, opened.
        accelerator: Of `new_accelerator`.
        show: Progress and a line per epoch on stderr.

    Raises:
        RunError: The loss is not finite, or a file cannot be read or written.
        TowerError: The saved state is of another model.
        ValueError: Epochs are to be compared, but there is no `select`.
    """
    if training.select is None and (config.keep == "best" or config.patience):
        raise ValueError("keep='best' and patience need Training.select")
    _Loop(training, config, run, accelerator, show and accelerator.is_main_process).run_epochs()


class _Loop(Generic[Batch]):
    """What changes from epoch to epoch."""

    def __init__(
        self,
        training: Training[Batch],
        config: LoopConfig,
        run: RunFolder,
        accelerator: Accelerator,
        show: bool,
    ) -> None:
        self.training, self.config, self.run = training, config, run
        self.accelerator, self.show = accelerator, show
        self.first, self.best = 0, Best()
        # Before the optimizer's state is read: a schedule begins by setting the rates of its first step.
        self.schedule = torch.optim.lr_scheduler.LambdaLR(training.optimizer, training.rate)
        state = run.load_state()
        if state is not None:
            if not state.keys() >= set(_STATE):
                raise RunError(f"{run.state_file}: of another version; delete it to train from the start")
            load_strictly(training.model, state["model"], str(run.state_file))
        self.average = MovingAverage(training.model, config.ema_decay) if config.ema_decay else None
        if state is not None:
            self.first, self.best = int(state["epoch"]), Best(**state["best"])
            training.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            if self.average is not None:
                self.average.load_state_dict(state["average"])
        self.forward: Any
        self.optimizer: Any
        self.forward, self.optimizer = accelerator.prepare(
            training.forward or training.model, training.optimizer
        )
        if state is not None and accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(state["scaler"])

    def run_epochs(self) -> None:
        config, accelerator = self.config, self.accelerator
        for epoch in range(self.first, config.epochs):
            if config.patience and epoch - self.best.epoch >= config.patience:
                break
            started = time.monotonic()
            batches = self.training.batches(epoch)
            # Nothing random outlives an epoch, so one begun after a restart draws what it would have.
            set_seed(epoch_seed(config.seed, epoch) + accelerator.process_index)
            rate = self.optimizer.param_groups[0]["lr"]
            with progress(f"epoch {epoch + 1}/{config.epochs}", len(batches), self.show) as tick:
                means = self._descend(batches, tick)
            row = {"epoch": epoch + 1, "loss": means.pop("loss"), "lr": rate, **means}
            row |= self.training.observe()
            with self._averaged(), phase("evaluating", self.show):
                row |= self.training.evaluate()
            value = -math.inf if self.training.select is None else self.training.select(row)
            better = value > self.best.value or self.best.epoch == 0
            if better:
                self.best = Best(epoch + 1, value)
            if accelerator.is_main_process:
                self._save(row, better or config.keep == "last")
            if self.show:
                print(self._line(row, time.monotonic() - started), file=sys.stderr, flush=True)
            accelerator.wait_for_everyone()

    def _descend(self, batches: Batches[Batch], tick: Callable[[str], None]) -> dict[str, float]:
        """Train on every batch once; the means of loss and metrics over all processes."""
        config, accelerator, model = self.config, self.accelerator, self.training.model
        training_mode(model, config.freeze_batch_norm)
        seen: list[tuple[int, dict[str, Tensor]]] = []
        for batch in batches:
            with accelerator.accumulate(self.forward):
                found = self.training.step(self.forward, batch)
                accelerator.backward(found.loss)
                if accelerator.sync_gradients and config.grad_clip:
                    accelerator.clip_grad_norm_(model.parameters(), config.grad_clip)
                self.optimizer.step()
                if accelerator.sync_gradients and not accelerator.optimizer_step_was_skipped:
                    self.schedule.step()
                    if self.average is not None:
                        self.average.update(model)
                self.optimizer.zero_grad()
            values = {"loss": found.loss, **found.metrics}
            seen.append((found.examples, {name: value.detach() for name, value in values.items()}))
            tick(f"loss {found.loss.item():.4f}" if self.show else "")
        # Read back only now, so that a GPU does not wait for the host at every step.
        everyone = gather_object([(n, {name: v.item() for name, v in values.items()}) for n, values in seen])
        weights = [examples for examples, _ in everyone]
        means = {
            name: float(np.average([values[name] for _, values in everyone], weights=weights))
            for name in everyone[0][1]
        }
        if not math.isfinite(means["loss"]):
            raise RunError(f"{self.run.path}: the loss is not finite; lower lr, or train in full precision")
        return means

    def _averaged(self) -> Any:
        return nullcontext() if self.average is None else self.average.applied(self.training.model)

    def _save(self, row: Mapping[str, Any], keep: bool) -> None:
        # The state comes last: a kill before it repeats the epoch, which writes the same files once more.
        run, model, scaler = self.run, self.training.model, self.accelerator.scaler
        run.append_metrics(row)
        run.curves(self.training.panels)
        if keep:
            with self._averaged():
                run.save_checkpoint(model.state_dict(), {**self.training.metadata, "epoch": row["epoch"]})
        run.save_state(
            {
                "epoch": row["epoch"],
                "best": dataclasses.asdict(self.best),
                "model": model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "scaler": None if scaler is None else scaler.state_dict(),
            }
        )

    def _line(self, row: Mapping[str, Any], seconds: float) -> str:
        drawn = [name for columns in self.training.panels.values() for name in columns if name in row]
        return "  ".join(
            [f"epoch {row['epoch']}", *(f"{name} {row[name]:.4g}" for name in drawn), f"{seconds:.0f} s"]
        )
