"""Training of CORE."""

import dataclasses
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object
from torch.utils.data import DataLoader

from realm_train import splits
from realm_train.core.checkpoint import load_core, rebuild, save_architecture, text_pad_id
from realm_train.core.config import CoreConfig, SplitConfig
from realm_train.core.data import CoreData, EpochBatches, TrainingImages, tokenize
from realm_train.core.kernel import KernelHead
from realm_train.core.losses import loss
from realm_train.core.model import CoreModel, FeatureNorm, build_core
from realm_train.core.optimise import MovingAverage, freeze, make_optimizer, make_schedule, training_mode
from realm_train.core.predict import Predictions, predict
from realm_train.core.report import validation_metrics, write_predictions
from realm_train.errors import ConfigError, RunError
from realm_train.raise_td import Row
from realm_train.runs import RunFolder, epoch_seed, open_run, progress, set_seed
from realm_train.splits import Split
from realm_train.towers import TextTower, load_strictly

SUMMARY = "summary.json"
SPLIT = "split.json"
_PANELS = {
    "loss": ("loss",),
    "validation SROCC": ("srocc", "srocc_image_only"),
    "validation PLCC": ("plcc", "plcc_image_only"),
    "learning rate": ("lr",),
}


@dataclass(frozen=True)
class Trained:
    """What a finished run has to say: the kept epoch (counted from 1) and its validation metrics, float32."""

    run: RunFolder
    epoch: int
    metrics: dict[str, float]


def make_split(rows: Sequence[Row], config: SplitConfig) -> Split:
    """The configured split of the training rows."""
    if config.kind == "none":
        return splits.everything(len(rows))
    if config.kind == "holdout":
        return splits.holdout(len(rows), seed=config.seed)
    return splits.folds([row.mos for row in rows], config.folds, config.seed)[config.fold]


def train_core(
    rows: Sequence[Row],
    config: CoreConfig,
    output: Path | str,
    resume: bool = False,
    data: CoreData | None = None,
    cpu: bool = False,
    show_progress: bool = True,
    after_epoch: Callable[[int], None] | None = None,
) -> Trained:
    """Train one model into a run folder.

    Args:
        rows: All training rows; the configured split is taken from them.
        config: Every setting.
        output: The run folder.
        resume: Go on where a killed run stopped; the result is that of an uninterrupted one.
        data: The rows with their images decoded, if the caller has them (for the same image settings).
        cpu: Leave a GPU alone.
        show_progress: A bar and a line per epoch on stderr.
        after_epoch: Called with the epoch (from 1) once its state is saved.

    Raises:
        ConfigError, DataError, RunError, TowerError, ImageError: See the parts.
    """
    # Settings of the precision live in a singleton; a previous run in this process may have used another.
    AcceleratorState._reset_state()
    accelerator = Accelerator(
        mixed_precision=resolve_precision(config.train.mixed_precision, cpu),
        gradient_accumulation_steps=config.train.accumulation,
        cpu=cpu,
        # One batch is split over the processes, so that the recipe means the same for any number of them.
        dataloader_config=DataLoaderConfiguration(split_batches=True),
    )
    if config.train.batch_size % accelerator.num_processes:
        raise ConfigError(
            f"batch_size is {config.train.batch_size}, "
            f"expected a multiple of the {accelerator.num_processes} processes"
        )
    split = make_split(rows, config.split)
    if accelerator.is_main_process:
        open_run(output, config, resume)
    accelerator.wait_for_everyone()
    run = RunFolder(Path(output))
    if (run.path / SUMMARY).is_file():
        return _finished(run)
    trainer = _Trainer(accelerator, run, rows, config, split, data, show_progress)
    if config.model.head == "kernel":
        return trainer.fit()
    return trainer.train(after_epoch or (lambda epoch: None))


def resolve_precision(name: str, cpu: bool = False) -> str:
    """ "auto" as "bf16", "fp16" or "no", whatever this machine computes fast."""
    if name != "auto":
        return name
    if torch.cuda.is_available() and not cpu:
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bf16" if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16") else "no"


class _Trainer:
    def __init__(
        self,
        accelerator: Accelerator,
        run: RunFolder,
        rows: Sequence[Row],
        config: CoreConfig,
        split: Split,
        data: CoreData | None,
        show_progress: bool,
    ) -> None:
        self.accelerator, self.run, self.config, self.split = accelerator, run, config, split
        self.show = show_progress and accelerator.is_main_process
        self.state = run.load_state()
        set_seed(config.train.seed)
        self.model, text = self._model()
        freeze(self.model, config.train)
        if data is None:
            with progress("decoding", len(rows), self.show) as step:
                data = CoreData.load(rows, config, lambda: step(""))
        self.data = data
        if accelerator.is_main_process:
            save_architecture(run, text)
            run.write_json(SPLIT, {name: [rows[i].filename for i in part] for name, part in _parts(split)})
        self.texts = tokenize(
            [row.description for row in rows],
            text.tokenizer,
            config.model.max_tokens,
            text_pad_id(self.model),
        )
        self.model.to(accelerator.device)
        self.model.image.to(memory_format=torch.channels_last)
        if self.state is not None:
            load_strictly(self.model, self.state["model"], str(run.state_file))
        elif not config.train.init and config.model.head != "kernel":
            self._standardise(self._image_features())
        if config.train.freeze_text:
            self.texts = self.texts.with_features(self.model)

    def _model(self) -> tuple[CoreModel, TextTower]:
        config, train = self.config, self.config.train
        if self.state is not None:
            return rebuild(self.run, config)
        if not train.init:
            return build_core(config.model, train.image_weights, train.text_weights)
        loaded = load_core(train.init)
        if dataclasses.replace(loaded.config.model, text_tower=config.model.text_tower) != config.model:
            raise ConfigError(
                f"init: {train.init} is a model of another architecture; use its model settings"
            )
        return loaded.model, TextTower(loaded.model.text, loaded.tokenizer, loaded.model.text_width)

    @torch.no_grad()
    def _image_features(self, mirrored: bool = False) -> torch.Tensor | None:
        """Features of the training images under the starting weights, [N, Fi]; None where nothing needs them."""
        if self.config.model.feature_normalisation != "standardise":
            return None
        device, rows = self.accelerator.device, list(self.split.train)
        with progress("features", math.ceil(len(rows) / 16), self.show) as step:
            features = []
            for start in range(0, len(rows), 16):
                chunk = np.stack([self.data.pixels[row] for row in rows[start : start + 16]])
                pixels = torch.from_numpy(chunk).to(device).permute(0, 3, 1, 2).float()
                features.append(self.model.encode_image(pixels.flip(3) if mirrored else pixels))
                step("")
        return torch.cat(features)

    @torch.no_grad()
    def _standardise(self, features: torch.Tensor | None) -> None:
        """Statistics of the features of the training images and descriptions, under the starting weights."""
        image_norm, text_norm = self.model.image_norm, self.model.text_norm
        if (
            features is None
            or not isinstance(image_norm, FeatureNorm)
            or not isinstance(text_norm, FeatureNorm)
        ):
            return
        image_norm.fit(features)
        rows = list(self.split.train)
        described = self.texts.with_features(self.model).features
        assert described is not None
        described = described[rows][self.texts.has_text[rows] > 0]
        if len(described):
            text_norm.fit(described.to(features.device))

    @torch.no_grad()
    def fit(self) -> Trained:
        """Fit a kernel head to the features of the starting towers: no gradient, one pass over the images.

        Of the augmentations only the horizontal flip applies, as a second view of each image.
        """
        model, config, rows = self.model, self.config.train, list(self.split.train)
        head = model.head
        assert isinstance(head, KernelHead)
        features = self._image_features()
        assert features is not None
        self._standardise(features)
        self.texts = self.texts.with_features(model)
        assert self.texts.features is not None
        views = [features]
        if self.config.augment.flip:
            mirrored = self._image_features(mirrored=True)
            assert mirrored is not None
            views.append(mirrored)
        head.fit(
            torch.stack([model.image_norm(view) for view in views]),
            model.text_norm(self.texts.features[rows].to(features.device)),
            self.texts.has_text[rows],
            np.array([self.data.rows[row].mos for row in rows]),
            config.svr_c,
            config.svr_gamma,
            config.svr_epsilon,
        )
        if self.accelerator.is_main_process:
            self.run.append_metrics({"epoch": 1, **self._validate(None)})
            self.run.save_checkpoint(
                model.state_dict(), {"format": "realm-core", "epoch": 1, "kept": "fitted"}
            )
        self.accelerator.wait_for_everyone()
        return self._finish()

    def train(self, after_epoch: Callable[[int], None]) -> Trained:
        config, accelerator = self.config.train, self.accelerator
        batches = EpochBatches(self.split.train, config.batch_size, config.seed)
        cuda = accelerator.device.type == "cuda"
        loader: Any = DataLoader(
            TrainingImages(self.data, self.texts, self.config),
            batch_sampler=batches,  # type: ignore[arg-type]
            num_workers=4 if cuda else 0,
            pin_memory=cuda,
        )
        optimizer = make_optimizer(self.model, config)
        schedule = make_schedule(optimizer, config, math.ceil(len(batches) / config.accumulation))
        average = MovingAverage(self.model, config.ema_decay) if config.ema_decay else None
        best = {"value": -math.inf, "epoch": 0}
        first = 0
        if self.state is not None:
            first, best = int(self.state["epoch"]), dict(self.state["best"])
            optimizer.load_state_dict(self.state["optimizer"])
            schedule.load_state_dict(self.state["schedule"])
            if average is not None:
                average.load_state_dict(self.state["average"])
        wrapped, optimizer, loader = accelerator.prepare(self.model, optimizer, loader)
        if self.state is not None and accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(self.state["scaler"])
        self.state = None

        with progress("training", (config.epochs - first) * len(batches), self.show) as step:
            for epoch in range(first, config.epochs):
                if self._stops(epoch, best):
                    break
                started = time.monotonic()
                batches.epoch = epoch
                # Nothing random outlives an epoch, so one begun after a restart draws what it would have.
                set_seed(epoch_seed(config.seed, epoch) + accelerator.process_index)
                rate = optimizer.param_groups[0]["lr"]
                mean_loss = self._epoch(wrapped, optimizer, schedule, loader, average, step)
                row = {"epoch": epoch + 1, "loss": mean_loss, "lr": rate, **self._validate(average)}
                value = selection_value(row, config.select)
                better = value > best["value"] or best["epoch"] == 0
                if better:
                    best = {"value": value, "epoch": epoch + 1}
                last = epoch + 1 == config.epochs or self._stops(epoch + 1, best)
                if accelerator.is_main_process:
                    self._save(epoch + 1, row, best, better, last, optimizer, schedule, average)
                    if self.show:
                        print(_line(row, time.monotonic() - started), file=sys.stderr, flush=True)
                after_epoch(epoch + 1)
        accelerator.wait_for_everyone()
        return self._finish()

    def _epoch(
        self,
        wrapped: Any,
        optimizer: Any,
        schedule: Any,
        loader: Any,
        average: Any,
        step: Callable[[str], None],
    ) -> float:
        config, accelerator, texts = self.config.train, self.accelerator, self.texts
        training_mode(self.model, config)
        total, count = torch.zeros((), device=accelerator.device), 0
        for batch in loader:
            with accelerator.accumulate(wrapped):
                index = batch["text"].cpu()
                pixels = batch["pixels"].float().contiguous(memory_format=torch.channels_last)
                described: tuple[Any, ...]
                if texts.features is not None:
                    described = (None, None, batch["has_text"], texts.features[index].to(pixels.device))
                else:
                    ids, mask = texts.input_ids[index], texts.attention_mask[index]
                    described = (ids.to(pixels.device), mask.to(pixels.device), batch["has_text"], None)
                value = loss(wrapped(pixels, *described), batch["mos"], config)
                accelerator.backward(value)
                if accelerator.sync_gradients and config.grad_clip:
                    accelerator.clip_grad_norm_(self.model.parameters(), config.grad_clip)
                optimizer.step()
                if accelerator.sync_gradients and not accelerator.optimizer_step_was_skipped:
                    schedule.step()
                    if average is not None:
                        average.update(self.model)
                optimizer.zero_grad()
            total += value.detach() * len(index)
            count += len(index)
            step(f"loss {total.item() / count:.4f}" if self.show else "")
        sums = accelerator.reduce(torch.stack([total, torch.tensor(float(count), device=total.device)]))
        mean = float(sums[0] / sums[1])
        if not math.isfinite(mean):
            raise RunError(f"{self.run.path}: the loss is not finite; lower lr, or set mixed_precision=no")
        return mean

    def _validate(self, average: MovingAverage | None) -> dict[str, float]:
        if not self.split.validation:
            return {}
        if average is None:
            found = self._predict(self.accelerator.autocast)
        else:
            with average.applied(self.model):
                found = self._predict(self.accelerator.autocast)
        return validation_metrics(found, [self.data.rows[row].mos for row in self.split.validation])

    def _predict(self, precision: Any = None) -> Predictions:
        """Predictions on the validation rows, which the processes share out."""
        rows = self.split.validation
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        mine = rows[rank::processes]
        options = {} if precision is None else {"precision": precision}
        found = predict(self.model, self.data.pixels, self.texts, mine, **options)
        everyone = gather_object(list(zip(mine, found.text.tolist(), found.image_only.tolist(), strict=True)))
        by_row = {row: (text, image_only) for row, text, image_only in everyone}
        pairs = torch.tensor([by_row[row] for row in rows]).reshape(-1, 2).numpy()
        return Predictions(pairs[:, 0], pairs[:, 1])

    def _stops(self, epochs_done: int, best: dict[str, Any]) -> bool:
        patience = self.config.train.patience
        return bool(patience and self.split.validation and epochs_done - best["epoch"] >= patience)

    def _save(
        self,
        epoch: int,
        row: dict[str, Any],
        best: dict[str, Any],
        better: bool,
        last: bool,
        optimizer: Any,
        schedule: Any,
        average: MovingAverage | None,
    ) -> None:
        # The state comes last: a kill before it repeats the epoch, which writes the same files once more.
        self.run.append_metrics(row)
        self.run.curves(_PANELS)
        by_validation = self.config.train.keep == "best" and bool(self.split.validation)
        if better if by_validation else last:
            metadata = {"format": "realm-core", "epoch": epoch, "kept": "best" if by_validation else "last"}
            if average is None:
                self.run.save_checkpoint(self.model.state_dict(), metadata)
            else:
                with average.applied(self.model):
                    self.run.save_checkpoint(self.model.state_dict(), metadata)
        scaler = self.accelerator.scaler
        self.run.save_state(
            {
                "epoch": epoch,
                "best": best,
                "model": self.model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "average": None if average is None else average.state_dict(),
                "scaler": None if scaler is None else scaler.state_dict(),
            }
        )

    def _finish(self) -> Trained:
        """Predict the validation rows with the kept weights, in float32."""
        load_strictly(self.model, self.run.load_checkpoint(), str(self.run.checkpoint))
        epoch = int(self.run.checkpoint_metadata()["epoch"])
        rows = [self.data.rows[row] for row in self.split.validation]
        summary: dict[str, Any] = {"epoch": epoch, "training_rows": len(self.split.train)}
        summary["validation_rows"] = len(rows)
        if rows:
            if self.config.train.freeze_text:
                self.texts = self.texts.with_features(self.model)
            found = self._predict()
            summary["validation"] = validation_metrics(found, [row.mos for row in rows])
            if self.accelerator.is_main_process:
                write_predictions(self.run, "predictions.csv", rows, found)
        if self.accelerator.is_main_process:
            self.run.write_json(SUMMARY, summary)
            # Only of use to go on, and as large as the model and its optimizer together.
            self.run.state_file.unlink(missing_ok=True)
        self.accelerator.wait_for_everyone()
        return _finished(self.run)


def selection_value(row: dict[str, Any], select: str) -> float:
    """The number by which epochs are compared; -inf where it is not defined."""
    text, image_only = row.get("srocc", math.nan), row.get("srocc_image_only", math.nan)
    value = {"text": text, "image-only": image_only, "mean": (text + image_only) / 2}[select]
    return value if math.isfinite(value) else -math.inf


def _finished(run: RunFolder) -> Trained:
    summary = run.read_json(SUMMARY)
    values = {
        key: math.nan if value is None else value for key, value in summary.get("validation", {}).items()
    }
    return Trained(run, int(summary["epoch"]), values)


def _parts(split: Split) -> list[tuple[str, tuple[int, ...]]]:
    return [("train", split.train), ("validation", split.validation)]


def _line(row: dict[str, Any], seconds: float) -> str:
    parts = [f"epoch {row['epoch']}", f"loss {row['loss']:.4f}"]
    if "srocc" in row:
        parts.append(f"SROCC {row['srocc']:.4f}, image only {row['srocc_image_only']:.4f}")
    return "  ".join([*parts, f"{seconds:.0f} s"])
