"""Training of CORE: from rated rows and settings to a run folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from realm_train import splits
from realm_train.core.config import CoreConfig, SplitConfig
from realm_train.core.data import CoreData
from realm_train.core.gradient import train_by_gradient
from realm_train.core.kernel_fit import fit_kernel
from realm_train.core.trainee import SUMMARY, Trained, Trainee, finished
from realm_train.errors import ConfigError
from realm_train.loop import new_accelerator
from realm_train.raise_td import Row
from realm_train.runs import RunFolder, open_run
from realm_train.said import phase
from realm_train.splits import Split

__all__ = ["Trained", "make_split", "resolve_precision", "train_core"]


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

    Raises:
        ConfigError, DataError, RunError, TowerError, ImageError: See the parts.
    """
    precision = resolve_precision(config.train.mixed_precision, cpu)
    accelerator = new_accelerator(precision, config.train.accumulation, cpu)
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
        return finished(run)
    trainee = Trainee(accelerator, run, rows, config, split, data, show_progress)
    if config.model.head == "kernel":
        with phase("fitting", trainee.show):
            return fit_kernel(trainee)
    return train_by_gradient(trainee)


def resolve_precision(name: str, cpu: bool = False) -> str:
    """ "auto" as "bf16", "fp16" or "no", whatever this machine computes fast."""
    if name != "auto":
        return name
    if torch.cuda.is_available() and not cpu:
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bf16" if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16") else "no"
