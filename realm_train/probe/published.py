"""The published recipe: one linear layer on a backbone that is frozen, but in training mode.

Everything is as its authors had it, also where that is a defect: batch norm's statistics move while it trains and are
saved with the head, validation pictures are blurred and compressed at random, and what is kept may be worse than
what it replaces (`stopping`). With `select="test"` epochs are chosen on the test pictures themselves.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from realm_engine.arrays import Bool, Float64, UInt8
from realm_engine.pictures.decode import load_image
from realm_engine.tables.rows import batched
from realm_train.errors import ConfigError, RunError
from realm_train.probe.backbones import PRETRAINED, Backbone, backbone
from realm_train.probe.checkpoint import SUMMARY, about, backbone_of, save_probe
from realm_train.probe.data import Labelled, folds, labels
from realm_train.probe.stopping import progress_after
from realm_train.probe.views import published_training_view, published_validation_view
from realm_train.runs import RunFolder, epoch_seed, open_run, set_seed
from realm_train.said import progress

T = TypeVar("T")

SOURCES, PREDICTIONS = "sources.csv", "predictions.csv"
VALIDATION, TEST = "validation", "test"
HELD_OUT = 5  # a fifth
BETAS = (0.9, 0.999)
HEAD_STD = 0.02
_STATE = ("epoch", "moved", "optimizer")
_TRAINED, _VALIDATED = 0, 1  # of the seeds of a picture's views
_THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class PublishedConfig:
    """Settings; the defaults are the published ones.

    Attributes:
        arch: The backbone's name.
        weights: See `backbones.backbone`.
        select: Pictures that epochs are compared on: "validation", a fifth of the training's groups that is held out,
            or "test".
        seed: Of everything that is drawn.
        epochs: Upper limit.
        batch_size: Pictures of one step.
        lr: Rate of AdamW at the beginning.
        patience: Epochs without a gain before it falls.
    """

    arch: str
    weights: str = PRETRAINED
    select: str = VALIDATION
    seed: int = 42
    epochs: int = 100
    batch_size: int = 256
    lr: float = 1e-4
    patience: int = 5

    def __post_init__(self) -> None:
        if self.select not in (VALIDATION, TEST):
            raise ConfigError(f"select is {self.select!r}, expected {VALIDATION} or {TEST}")
        for name in ("epochs", "batch_size", "lr", "patience"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected a number above 0")


class Probe(nn.Module):
    """A backbone and one linear layer; pixels float32 [B, 3, S, S] in 0..255 -> logits [B], above 0 = fake."""

    def __init__(self, stem: Backbone) -> None:
        super().__init__()
        self.backbone = stem.requires_grad_(False)
        self.head = nn.Linear(stem.width, 1)
        nn.init.normal_(self.head.weight, 0.0, HEAD_STD)

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        with torch.no_grad():
            features = self.backbone(pixels)
        logits: Tensor = self.head(features).squeeze(1)
        return logits

    def moved(self) -> dict[str, Tensor]:
        """What training changes: the head, and the buffers of the backbone. A state_dict of these alone."""
        frozen = {name for name, parameter in self.named_parameters() if not parameter.requires_grad}
        return {key: value for key, value in self.state_dict().items() if key not in frozen}


def train_published(
    pictures: Sequence[Labelled],
    config: PublishedConfig,
    output: Path | str,
    test: Sequence[Labelled] | None = None,
    resume: bool = False,
    show: bool = True,
) -> dict[str, Any]:
    """Train into a run folder, and say how well the kept weights tell `test` apart, source by source.

    Args:
        pictures: To train on.
        config: Every setting.
        output: The run folder: config.json, metrics.csv, curves.png, checkpoint.safetensors, last.state, summary.json,
            sources.csv, predictions.csv.
        test: Other pictures to test on; None holds out a fifth of `pictures`, by group.
        resume: Go on where a killed run stopped; the result is that of an uninterrupted one.
        show: Progress on stderr.

    Returns:
        summary.json: accuracy and average precision on the test pictures, the epoch, and what it was selected on.

    Raises:
        ConfigError, DataError, RunError, TowerError, ImageError: See the parts.
    """
    if test is None:
        pictures, test = _hold_out(pictures, config.seed)
    validation = test
    if config.select == VALIDATION:
        pictures, validation = _hold_out(pictures, config.seed)
    set_seed(config.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    probe = Probe(backbone(config.arch, config.weights, published=True)).to(device)
    run = open_run(output, config, resume, **about(probe.backbone))
    if (run.path / SUMMARY).is_file():
        return run.read_json(SUMMARY)
    _train(probe, pictures, validation, config, run, show)
    return _report(probe, test, config, run)


def _hold_out(pictures: Sequence[Labelled], seed: int) -> tuple[list[Labelled], list[Labelled]]:
    split = folds(pictures, HELD_OUT, seed)[0]
    return [pictures[row] for row in split.train], [pictures[row] for row in split.validation]


def _train(
    probe: Probe,
    pictures: Sequence[Labelled],
    validation: Sequence[Labelled],
    config: PublishedConfig,
    run: RunFolder,
    show: bool,
) -> None:
    optimizer = torch.optim.AdamW(probe.head.parameters(), config.lr, BETAS, weight_decay=0.0)
    done = _restore(probe, optimizer, run)
    history = [row["accuracy"] for row in run.metrics() if row["epoch"] <= done]
    while done < config.epochs:
        standing = progress_after(history, config.lr, config.patience)
        if standing.stop:
            break
        for group in optimizer.param_groups:
            group["lr"] = standing.rate
        epoch = done + 1
        # Nothing random outlives an epoch, so one begun after a restart draws what it would have.
        set_seed(epoch_seed(config.seed, epoch))
        loss = _descend(probe, optimizer, pictures, config, epoch, show)
        found = agreement(labels(validation), _validate(probe, validation, config, epoch))
        history.append(found["accuracy"])
        run.append_metrics({"epoch": epoch, "loss": loss, "lr": standing.rate, **found})
        run.curves({"loss": ["loss"], "validation": ["accuracy", "real_accuracy", "fake_accuracy"]})
        if progress_after(history, config.lr, config.patience).keep:
            save_probe(run, probe.backbone, probe.head.weight[0], probe.head.bias, {"epoch": epoch})
        state = {"epoch": epoch, "moved": probe.moved(), "optimizer": optimizer.state_dict()}
        run.save_state(
            state
        )  # last: a kill before it repeats the epoch, which writes the same files once more
        done = epoch


def _descend(
    probe: Probe,
    optimizer: torch.optim.Optimizer,
    pictures: Sequence[Labelled],
    config: PublishedConfig,
    epoch: int,
    show: bool,
) -> float:
    """Train on every picture once; the mean loss."""
    probe.train()
    order = np.random.default_rng((config.seed, epoch)).permutation(len(pictures))
    losses: list[float] = []

    def view(row: int) -> tuple[UInt8, bool]:
        generator = np.random.default_rng((config.seed, epoch, row, _TRAINED))
        return published_training_view(load_image(pictures[row].path), generator), pictures[row].fake

    steps = -(-len(pictures) // config.batch_size)
    with progress(f"epoch {epoch}", steps, show) as tick:
        for batch in batched(_at_once(view, map(int, order), config.batch_size), config.batch_size):
            seen, fake = zip(*batch, strict=True)
            predicted = probe(probe.backbone.pixels(seen))
            target = torch.tensor(fake, dtype=torch.float32, device=predicted.device)
            loss = nn.functional.binary_cross_entropy_with_logits(predicted, target)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.item() * len(batch))
            tick(f"loss {loss.item():.4f}")
    mean = sum(losses) / len(pictures)
    if not np.isfinite(mean):
        raise RunError(f"the loss of epoch {epoch} is not finite; lower lr")
    return mean


def _validate(probe: Probe, pictures: Sequence[Labelled], config: PublishedConfig, epoch: int) -> Float64:
    """Logits [N] of pictures that are blurred and compressed at random, as the published code has it."""

    def view(row: int) -> UInt8:
        generator = np.random.default_rng((config.seed, epoch, row, _VALIDATED))
        return published_validation_view(load_image(pictures[row].path), generator)

    return logits(probe, _at_once(view, range(len(pictures)), config.batch_size), config.batch_size)


def _at_once(view: Callable[[int], T], rows: Iterable[int], count: int) -> Iterator[T]:
    """What `view` makes of every row, `count` of them in memory, by several threads."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for some in batched(rows, count):
            yield from pool.map(view, some)


@torch.no_grad()
def logits(probe: Probe, seen: Iterable[UInt8], batch_size: int) -> Float64:
    """Logits float64 [N], in evaluation mode, of what the backbone sees of pictures, uint8 (S, S, 3) each."""
    probe.eval()
    found = [
        probe(probe.backbone.pixels(batch)).double().cpu().numpy() for batch in batched(seen, batch_size)
    ]
    return np.concatenate(found)


def agreement(fake: Bool, predicted: Float64) -> dict[str, float]:
    """Of logits with labels [N]: accuracy at p = .5, of all, of the real and of the fake, and average precision."""
    right = (predicted > 0) == fake
    return {
        "accuracy": float(right.mean()),
        "real_accuracy": float(right[~fake].mean()),
        "fake_accuracy": float(right[fake].mean()),
        "average_precision": float(average_precision_score(fake, predicted)),
    }


def by_source(pictures: Sequence[Labelled], predicted: Float64) -> list[dict[str, str | int | float]]:
    """Accuracy at p = .5 of every source, one that gives real and fake pictures counted as two."""
    right = (predicted > 0) == labels(pictures)
    kinds = [(picture.source, "fake" if picture.fake else "real") for picture in pictures]
    rows: list[dict[str, str | int | float]] = []
    for kind in sorted(set(kinds)):
        own = np.array([each == kind for each in kinds])
        accuracy = float(right[own].mean())
        rows.append({"source": kind[0], "label": kind[1], "pictures": int(own.sum()), "accuracy": accuracy})
    return rows


def _restore(probe: Probe, optimizer: torch.optim.Optimizer, run: RunFolder) -> int:
    """Go back to where a killed run stopped; the number of epochs that it has done."""
    state = run.load_state()
    if state is None:
        return 0
    if not state.keys() >= set(_STATE) or state["moved"].keys() != probe.moved().keys():
        raise RunError(f"{run.state_file}: of another version; delete it to train from the start")
    probe.load_state_dict(state["moved"], strict=False)
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epoch"])


def _report(
    probe: Probe, test: Sequence[Labelled], config: PublishedConfig, run: RunFolder
) -> dict[str, Any]:
    kept = run.load_checkpoint()
    probe.backbone.network.load_state_dict(backbone_of(kept))
    probe.head.load_state_dict({"weight": kept["weight"][None], "bias": kept["bias"]})

    def view(row: int) -> UInt8:
        return probe.backbone.look.of(load_image(test[row].path))

    predicted = logits(probe, _at_once(view, range(len(test)), config.batch_size), config.batch_size)
    run.write_csv(SOURCES, by_source(test, predicted))
    p_fake = 1 / (1 + np.exp(-predicted))
    run.write_csv(
        PREDICTIONS,
        [
            {
                "filename": str(each.path),
                "source": each.source,
                "label": "fake" if each.fake else "real",
                "p_fake": p,
            }
            for each, p in zip(test, map(float, p_fake), strict=True)
        ],
    )
    summary = {
        "epoch": int(run.checkpoint_metadata()["epoch"]),
        "selected_on": config.select,
        "pictures": len(test),
        **agreement(labels(test), predicted),
    }
    run.write_json(SUMMARY, summary)
    return summary
