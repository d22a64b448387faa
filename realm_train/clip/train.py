"""Train CLIP on windows and descriptions."""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from realm_engine.arrays import UInt8
from realm_engine.pictures.decode import load_image
from realm_train.clip.config import ONE_PASS, TINY, ClipConfig
from realm_train.clip.judge import judge_maps
from realm_train.clip.loss import SharedClipLoss
from realm_train.clip.model import Clip, new_clip
from realm_train.clip.one_pass import OnePass, maps_of
from realm_train.clip.pairs import (
    CLEAN,
    PAIRED,
    Batch,
    Described,
    Labelled,
    PictureBatch,
    PicturePairs,
    Source,
    WindowPairs,
    belonging,
)
from realm_train.defects.planted import planted_defects
from realm_train.errors import DataError
from realm_train.loop import Batches, LoopConfig, Step, Training, new_accelerator, train
from realm_train.optimise import adamw, learning_rate_factor
from realm_train.raise_td import pictures_alone, read_split
from realm_train.runs import open_run, set_seed
from realm_train.said import phase


@dataclass(frozen=True)
class Photographs:
    """Backgrounds to put flaws into: to train on, to validate on, for the final evaluation (uint8 RGB)."""

    train: list[UInt8]
    validation: list[UInt8]
    test: list[UInt8]
    described: list[Described]


def load_photographs(
    data: Path, config: ClipConfig, photographs: str = "r*", only: str | None = None
) -> Photographs:
    """Load a rated data set as backgrounds.

    Photographs proper, whose names match the pattern, are dealt out at random (seeded by `config.seed`) to
    validation, test and training; all other images are for training. In a folder of pictures without a CSV all
    are photographs.

    Args:
        data: folder in REALM's layout, or of pictures alone.
        config: numbers of photographs to hold out, seed.
        photographs: pattern of the file names of real photographs.
        only: "validation" or "test" to leave the others empty (and save the time).

    Raises:
        DataError: too few images match the pattern.
    """
    plain = pictures_alone(data)
    rows = plain or read_split(data)
    real = plain or [row for row in rows if Path(row.filename).match(photographs)]
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
    data: Path,
    output: Path,
    config: ClipConfig,
    photographs: str = "r*",
    resume: bool = False,
    show_progress: bool = True,
) -> dict[str, float]:
    """Train, and keep the moving average of the weights; returns the last validation metrics.

    The run folder holds config.json, metrics.csv, curves.png, checkpoint.safetensors and last.state. A run that
    was killed goes on from its last epoch with the batches that it would have seen.

    Raises:
        RealmError: data, settings, towers or the run folder are wrong.
    """
    accelerator = new_accelerator("bf16" if config.precision == "bf16" else "no")
    set_seed(config.seed)
    run = open_run(output, config, resume, photographs=photographs)
    with phase("reading the pictures", show_progress and accelerator.is_main_process):
        images = load_photographs(data, config, photographs)
    clip = new_clip(config, run.path)
    clip.model.to(accelerator.device, memory_format=torch.channels_last)
    _lock(clip.model, config)

    def evaluate() -> dict[str, float]:
        return validate(clip, images.validation, config.seed) if accelerator.is_main_process else {}

    training = Training(
        model=clip.model,
        optimizer=make_optimizer(clip.model, config),
        rate=lambda step: learning_rate_factor(
            step, config.steps, config.warmup_steps, cosine=True, peak_in_warmup=True
        ),
        batches=_Stream(images, clip, config, accelerator.process_index, accelerator.num_processes).epoch,
        step=lambda forward, batch: _step(forward, clip.model.logit_scale, batch, config),
        evaluate=evaluate,
        forward=_Towers(clip),
        observe=lambda: {"logit_scale": float(clip.model.logit_scale.detach().exp())},
        panels={"loss": ["loss"], "pixel AUC": ["auc", "auc_wrong_text"], "logit scale": ["logit_scale"]},
    )
    settings = LoopConfig(
        epochs=config.epochs,
        seed=config.seed,
        grad_clip=config.gradient_clip,
        ema_decay=config.ema,
        freeze_batch_norm=config.lock_batch_norm,
    )
    train(training, settings, run, accelerator, show_progress)
    return run.metrics()[-1] if accelerator.is_main_process else {}


class _Stream:
    """This process's batches, from one loader whose workers live on between epochs."""

    def __init__(
        self, images: Photographs, clip: Clip, config: ClipConfig, rank: int, processes: int
    ) -> None:
        self.config, self.rank, self.processes = config, rank, processes
        whole = config.encoder == ONE_PASS
        source = Source(
            images.train,
            images.described,
            config.pairs,
            config.seed,
            least_px=config.pairs.picture_px if whole else 0,
        )
        steps = config.steps * processes
        self.pairs: WindowPairs | PicturePairs = (
            PicturePairs(source, steps) if whole else WindowPairs(source, clip.image_size_px, steps)
        )
        self.batches: Iterator[Labelled] | None = None

    def epoch(self, epoch: int) -> Batches[Labelled]:
        """The next epoch's; any epoch may be the first."""
        config = self.config
        first = epoch * config.steps_per_epoch
        if self.batches is None:
            with _without_working_folder():
                self.batches = iter(self._loader(first))
        return _Next(self.batches, min(config.steps, first + config.steps_per_epoch) - first)

    def _loader(self, first: int) -> DataLoader[Any]:
        workers = self.config.workers
        return DataLoader(
            self.pairs,
            batch_size=None,
            sampler=range(first * self.processes + self.rank, len(self.pairs), self.processes),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            # A fork of a process whose OpenMP and OpenCV threads have run can hang.
            multiprocessing_context="spawn" if workers else None,
        )


@dataclass(frozen=True)
class _Next:
    """The next `count` batches of a stream."""

    stream: Iterator[Labelled]
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Labelled]:
        return islice(self.stream, self.count)


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

    def forward(self, batch: Batch | PictureBatch) -> tuple[torch.Tensor, torch.Tensor]:
        texts = self.clip.encode_texts(batch.texts)
        if isinstance(batch, Batch):
            return self.clip.encode_windows(batch.windows), texts
        tower = OnePass(self.clip.model.visual, self.clip.normalise)
        pooled = tower.pool(batch.pictures, batch.origins, batch.origins, batch.window_px)
        return tower.embed(pooled[tuple(batch.places.T)]), texts


def _step(forward: nn.Module, logit_scale: torch.Tensor, batch: Labelled, config: ClipConfig) -> Step:
    image_features, text_features = (features.float() for features in forward(batch))
    device = image_features.device
    belongs, related = belonging(batch.window_labels, batch.text_labels)
    denials = batch.text_labels == CLEAN
    if config.neutral_denials:
        belongs = belongs & ~denials
    loss = SharedClipLoss()(
        image_features,
        text_features,
        logit_scale.exp(),
        belongs.to(device),
        related.to(device),
        config.other_flaws,
    )
    if config.neutral_denials and denials.any():
        similarity = image_features @ text_features[denials.to(device)].T
        loss = loss + config.neutral_denials * similarity.square().mean()
    if config.flat_weight:
        loss = loss + config.flat_weight * unevenness(image_features, text_features, batch)
    return Step(loss)


def validate(clip: Clip, photographs: Sequence[UInt8], seed: int) -> dict[str, float]:
    """Pixel AUC of coarse maps on flaws of the training kinds in photographs held out for validation."""
    if not photographs:
        return {}
    clip.model.eval()
    planted = planted_defects(photographs, seed + 1, per_photograph=1)
    result = judge_maps(planted, maps_of(clip, windows_px=(64,), stride_px=16))
    return {"auc": result.auc, "auc_wrong_text": result.auc_wrong_text, "flatness": result.flatness}


def unevenness(image_features: torch.Tensor, text_features: torch.Tensor, batch: Labelled) -> torch.Tensor:
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


def make_optimizer(model: Any, config: ClipConfig) -> torch.optim.AdamW:
    """AdamW: pretrained parameters at `lr`, new ones at `head_lr`; scales, biases and norms without weight decay.

    Each of its steps ends with the temperature within CLIP's limits.
    """
    fresh = ("visual.head.", "visual.trunk.norm.", "text.proj.") if config.model == TINY else ()
    optimizer = adamw(
        model,
        lambda name: config.head_lr if name.startswith(fresh) else config.lr,
        config.weight_decay,
        decay_norms=False,
    )

    @torch.no_grad()
    def clamp(*_: Any) -> None:
        model.logit_scale.clamp_(0, math.log(100))

    optimizer.register_step_post_hook(clamp)
    return optimizer
