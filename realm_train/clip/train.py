"""Train CLIP on windows and descriptions."""

import copy
import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn
from torch.utils.data import DataLoader

from realm_engine.pictures.decode import load_image
from realm_train.clip.config import TINY, ClipConfig
from realm_train.clip.judge import judge_maps, planted_defects, window_maps
from realm_train.clip.loss import SharedClipLoss
from realm_train.clip.model import Clip, new_clip
from realm_train.clip.pairs import CLEAN, PAIRED, Batch, Described, Pixels, WindowPairs, belonging
from realm_train.errors import DataError
from realm_train.raise_td import read_split
from realm_train.runs import epoch_seed, open_run, progress, set_seed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Photographs:
    """Backgrounds to put flaws into: to train on, to validate on, for the final evaluation (uint8 RGB)."""

    train: list[Pixels]
    validation: list[Pixels]
    test: list[Pixels]
    described: list[Described]


def load_photographs(
    data: Path, config: ClipConfig, photographs: str = "r*", only: str | None = None
) -> Photographs:
    """Load a rated data set as backgrounds.

    Photographs proper, whose names match the pattern, are dealt out at random (seeded by `config.seed`) to
    validation, test and training; all other images are for training.

    Args:
        data: folder in REALM's layout.
        config: numbers of photographs to hold out, seed.
        photographs: pattern of the file names of real photographs.
        only: "validation" or "test" to leave the others empty (and save the time).

    Raises:
        DataError: too few images match the pattern.
    """
    rows = read_split(data)
    real = [row for row in rows if Path(row.filename).match(photographs)]
    held = config.validation_photographs + config.test_photographs
    if len(real) <= held:
        raise DataError(
            f"{data}: {len(real)} images match {photographs!r}, but {held} are to be held out; "
            "set validation_photographs and test_photographs lower, or another --photographs pattern"
        )
    order = np.random.default_rng(config.seed).permutation(len(real))
    dealt = [real[i] for i in order]
    validation = dealt[: config.validation_photographs]
    test = dealt[config.validation_photographs : held]
    kept_out = {row.path for row in validation + test}
    train = [] if only else [row for row in rows if row.path not in kept_out]
    pixels = [load_image(row.path) for row in train]
    described = [
        Described(image, row.description, not row.description.lower().startswith("no"))
        for image, row in zip(pixels, train, strict=True)
        if row.description
    ]
    return Photographs(
        pixels,
        [load_image(row.path) for row in validation] if only != "test" else [],
        [load_image(row.path) for row in test] if only != "validation" else [],
        described,
    )


def train_clip(
    data: Path, output: Path, config: ClipConfig, photographs: str = "r*", resume: bool = False
) -> dict[str, float]:
    """Train, and keep the moving average of the weights; returns the last validation metrics.

    The run folder holds config.json, metrics.csv, curves.png, checkpoint.safetensors and last.state. A run that
    was killed goes on from its last epoch with the batches that it would have seen.

    Raises:
        RealmError: data, settings, towers or the run folder are wrong.
    """
    # Settings of the precision live in a singleton; a previous run in this process may have used another.
    AcceleratorState._reset_state()
    accelerator = Accelerator(mixed_precision="bf16" if config.precision == "bf16" else "no")
    set_seed(config.seed)
    run = open_run(output, config, resume, photographs=photographs)
    images = load_photographs(data, config, photographs)
    clip = new_clip(config, run.path)
    model = clip.model.to(accelerator.device, memory_format=torch.channels_last)
    _lock(model, config)
    optimizer = torch.optim.AdamW(_groups(model, config), weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, config))
    average = copy.deepcopy(model).requires_grad_(False)
    loss_of = SharedClipLoss()
    epoch = 0
    state = run.load_state() if resume else None
    if state is not None:
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        epoch = int(state["epoch"])
    prepared, optimizer = accelerator.prepare(_Towers(clip), optimizer)
    rank, world = accelerator.process_index, accelerator.num_processes
    with _without_working_folder():
        batches = iter(_loader(images, clip, config, epoch * config.steps_per_epoch, rank, world))
    row: dict[str, float] = run.metrics()[-1] if epoch else {}
    while epoch < config.epochs:
        # Dropout of a run that goes on draws what it would have drawn.
        set_seed(epoch_seed(config.seed, epoch) + rank)
        first = epoch * config.steps_per_epoch
        last = min(config.steps, first + config.steps_per_epoch)
        losses = []
        train_mode(model, config)
        with progress(
            f"epoch {epoch + 1}/{config.epochs}", last - first, accelerator.is_main_process
        ) as tick:
            for step in range(first, last):
                batch = next(batches)
                with accelerator.autocast():
                    image_features, text_features = prepared(batch)
                belongs, related = belonging(batch.window_labels, batch.text_labels)
                denials = batch.text_labels == CLEAN
                if config.neutral_denials:
                    belongs = belongs & ~denials
                loss = loss_of(
                    image_features.float(),
                    text_features.float(),
                    model.logit_scale.exp(),
                    belongs.to(image_features.device),
                    related.to(image_features.device),
                    config.other_flaws,
                )
                if config.neutral_denials and denials.any():
                    similarity = (
                        image_features.float() @ text_features[denials.to(text_features.device)].float().T
                    )
                    loss = loss + config.neutral_denials * similarity.square().mean()
                if config.flat_weight:
                    loss = loss + config.flat_weight * unevenness(image_features, text_features, batch)
                accelerator.backward(loss)
                accelerator.clip_grad_norm_(model.parameters(), config.gradient_clip)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                with torch.no_grad():
                    model.logit_scale.clamp_(0, math.log(100))
                _average(average, model, min(config.ema, (1 + step) / (10 + step)))
                losses.append(float(loss.detach()))
                tick(f"loss {losses[-1]:.3f}")
        epoch += 1
        if accelerator.is_main_process:
            kept = Clip(average, clip.config, run.path)
            row = {
                "epoch": epoch,
                "loss": float(np.mean(losses)),
                "logit_scale": float(model.logit_scale.detach().exp()),
            }
            row |= validate(kept, images.validation, config.seed)
            log.info("%s", "  ".join(f"{key} {value:.4g}" for key, value in row.items()))
            run.append_metrics(row)
            run.save_checkpoint(average.state_dict(), {"epoch": epoch})
            run.save_state(
                {
                    "model": model.state_dict(),
                    "average": average.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "schedule": schedule.state_dict(),
                    "epoch": epoch,
                }
            )
            run.curves(
                {"loss": ["loss"], "pixel AUC": ["auc", "auc_wrong_text"], "logit scale": ["logit_scale"]}
            )
        accelerator.wait_for_everyone()
    return row


def _loader(
    images: Photographs, clip: Clip, config: ClipConfig, first: int, rank: int, world: int
) -> DataLoader[Batch]:
    """The batches from step `first` on that are this process's share."""
    pairs = WindowPairs(
        images.train, images.described, config.pairs, clip.image_size_px, config.seed, config.steps * world
    )
    return DataLoader(
        pairs,
        batch_size=None,
        sampler=range(first * world + rank, config.steps * world, world),
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
        # A fork of a process whose OpenMP and OpenCV threads have run can hang.
        multiprocessing_context="spawn" if config.workers else None,
    )


@contextmanager
def _without_working_folder() -> Iterator[None]:
    """Processes started meanwhile do not look for modules in the working folder, where anybody's `pickle.py` may lie.

    A spawned worker is `python -c ...`, which does, until it has the search path of this process.
    """
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


class _Towers(nn.Module):
    """Both towers behind one forward, as distributed training wants it."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.model = clip.model
        self.clip = clip

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return self.clip.encode_windows(batch.windows), self.clip.encode_texts(batch.texts)


def validate(clip: Clip, photographs: Sequence[Pixels], seed: int) -> dict[str, float]:
    """Pixel AUC of coarse maps on flaws of the training kinds in photographs held out for validation."""
    if not photographs:
        return {}
    clip.model.eval()
    planted = planted_defects(photographs, seed + 1, per_photograph=1)
    result = judge_maps(planted, window_maps(clip, windows_px=(64,), stride_px=16))
    return {"auc": result.auc, "auc_wrong_text": result.auc_wrong_text, "flatness": result.flatness}


def unevenness(image_features: torch.Tensor, text_features: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Variance of the similarity between windows without a flaw and one description of a flaw, mean over these.

    Zero for a batch that lacks either.
    """
    clean = image_features[(batch.window_labels == CLEAN).to(image_features.device)]
    flaws = text_features[
        ((batch.text_labels != CLEAN) & (batch.text_labels < PAIRED)).to(text_features.device)
    ]
    if len(clean) < 2 or not len(flaws):
        return torch.zeros((), device=image_features.device)
    return (clean.float() @ flaws.float().T).var(dim=0).mean()


def _lock(model: Any, config: ClipConfig) -> None:
    if config.lock_text and hasattr(model, "text") and hasattr(model.text, "transformer"):
        model.text.transformer.requires_grad_(False)
    if config.lock_image:
        model.visual.requires_grad_(False)


def train_mode(model: Any, config: ClipConfig) -> None:
    """Training mode, less the parts that are locked."""
    model.train()
    if config.lock_text and hasattr(model, "text") and hasattr(model.text, "transformer"):
        model.text.transformer.eval()
    if config.lock_image:
        model.visual.eval()
    if config.lock_batch_norm:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def _groups(model: Any, config: ClipConfig) -> list[dict[str, Any]]:
    """Pretrained parameters at `lr`; new ones at `head_lr`; scales, biases and norms without weight decay."""
    fresh = ("visual.head.", "visual.trunk.norm.", "text.proj.") if config.model == TINY else ()
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name.startswith(fresh) if fresh else False, parameter.ndim < 2), []).append(
                parameter
            )
    return [
        {
            "params": parameters,
            "lr": config.head_lr if new else config.lr,
            **({"weight_decay": 0.0} if plain else {}),
        }
        for (new, plain), parameters in groups.items()
    ]


def _rate(step: int, config: ClipConfig) -> float:
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


@torch.no_grad()
def _average(average: nn.Module, model: nn.Module, decay: float) -> None:
    for kept, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)
