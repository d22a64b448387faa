"""The run folder: everything a training leaves behind, and what it needs to go on after a kill.

    config.json             the configuration, complete
    metrics.csv             one row per epoch
    curves.png              the columns of metrics.csv over epochs
    predictions.csv         predictions of the kept checkpoint on the validation rows
    checkpoint.safetensors  the kept weights; metadata say which epoch and why
    last.state              weights, their average, optimizer and schedule after the last epoch (no pickled code)

Every file is written to a temporary name and renamed, so that a kill leaves the old one or the new one.
"""

import csv
import json
import os
import random
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from realm_engine.machine.csv_files import csv_line, defused, is_blank, number_of, read_csv, text_of
from realm_engine.machine.files import DEAD_AFTER_S, followed
from realm_train.config import differences, from_json, to_json
from realm_train.errors import RunError

Config = TypeVar("Config")
Row = Mapping[str, "str | int | float | None"]


@dataclass(frozen=True)
class RunFolder:
    """Names and formats of one run's files; all methods may raise RunError naming the file."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        """The kept weights."""
        return self.path / "checkpoint.safetensors"

    @property
    def state_file(self) -> Path:
        """Where a run resumes."""
        return self.path / "last.state"

    def write_config(self, config: Any, **extra: Any) -> None:
        """Write config.json: {"kind": class name, "config": {...}, **extra}."""
        self.write_json("config.json", {"kind": type(config).__name__, "config": to_json(config), **extra})

    def read_config(self, kind: type[Config]) -> Config:
        """Read config.json; unknown keys are an error, another kind of run too."""
        data = self.read_json("config.json")
        if data.get("kind") != kind.__name__ or not isinstance(data.get("config"), dict):
            raise RunError(
                f"{self.path}: holds a run of kind {data.get('kind')!r}, expected {kind.__name__!r}"
            )
        return from_json(kind, data["config"], str(self.path / "config.json"))

    def write_json(self, name: str, data: Any) -> None:
        """Write a JSON file; numbers that are not finite become null."""
        self.write_text(name, json.dumps(_finite(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON object."""
        try:
            data = json.loads((self.path / name).read_text(encoding="utf-8"))
        except OSError as error:
            raise RunError(
                f"{self.path}: not a run folder, {name} cannot be read ({error.strerror})"
            ) from error
        except ValueError as error:
            raise RunError(f"{self.path / name}: not valid JSON ({error})") from error
        if not isinstance(data, dict):
            raise RunError(f"{self.path / name}: expected a JSON object")
        return data

    def write_text(self, name: str, text: str) -> None:
        """Write a text file."""
        with replacing(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")

    def append_metrics(self, row: Row) -> None:
        """Add one epoch to metrics.csv; `row` has an "epoch", and the same keys in every epoch.

        A row of the same or a later epoch is replaced: it stems from a run killed before it saved its state.
        """
        epoch = row["epoch"]
        assert isinstance(epoch, int)
        self.write_csv("metrics.csv", [*(old for old in self.metrics() if int(old["epoch"]) < epoch), row])

    def metrics(self) -> list[dict[str, float]]:
        """Rows of metrics.csv; an empty cell is nan."""
        path = self.path / "metrics.csv"
        if not path.is_file():
            return []
        try:
            header, rows = read_csv(text_of(path.read_bytes()))
            return [
                {
                    key: float("nan") if is_blank(text) else number_of(text)
                    for key, text in zip(header, row, strict=True)
                }
                for _, row in rows
            ]
        except (TypeError, ValueError, csv.Error) as error:
            raise RunError(f"{path}: not a metrics file ({error})") from error

    def write_csv(self, name: str, rows: Sequence[Row]) -> None:
        """Write rows with the keys of the first as header; None and nan become empty cells, texts are defused."""
        header = list(rows[0]) if rows else []
        lines = [header, *([_cell(key, row.get(key)) for key in header] for row in rows)]
        self.write_text(name, "".join(map(csv_line, lines)))

    def save_checkpoint(self, state: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> None:
        """Write the kept weights; metadata values are stored as strings."""
        plain = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
        with replacing(self.checkpoint) as temporary:
            # Not save_file, whose files only their owner can read.
            content = save(plain, {key: str(value) for key, value in (metadata or {}).items()})
            temporary.write_bytes(_facts_in_order(content))

    def load_checkpoint(self) -> dict[str, Tensor]:
        """Read the kept weights on the CPU."""
        try:
            return load_file(self.checkpoint)
        except FileNotFoundError as error:
            raise RunError(
                f"{self.path}: has no {self.checkpoint.name}; the run has not finished an epoch"
            ) from error
        except (SafetensorError, OSError) as error:
            raise RunError(f"{self.checkpoint}: unreadable ({error})") from error

    def checkpoint_metadata(self) -> dict[str, str]:
        """Metadata of the kept weights."""
        try:
            with safe_open(self.checkpoint, "pt") as file:
                return dict(file.metadata() or {})
        except (SafetensorError, OSError) as error:
            raise RunError(f"{self.checkpoint}: unreadable ({error})") from error

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Write last.state: nested dictionaries and lists of tensors and scalars, nothing else."""
        with replacing(self.state_file) as temporary:
            torch.save(dict(state), temporary)

    def load_state(self) -> dict[str, Any] | None:
        """Read last.state on the CPU, without unpickling code; None if it is not written yet."""
        if not self.state_file.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(self.state_file, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a torn or hostile archive makes its reader stumble over
            raise RunError(f"{self.state_file}: unreadable; delete it to train from the start") from error
        return state

    def curves(self, panels: Mapping[str, Sequence[str]]) -> None:
        """Draw curves.png from metrics.csv: one panel per entry, title -> columns (absent: skipped)."""
        from matplotlib.figure import Figure

        rows = self.metrics()
        figure = Figure(figsize=(4.2 * max(1, len(panels)), 3.4), layout="constrained")
        axes = figure.subplots(1, max(1, len(panels)), squeeze=False)[0]
        for axis, (title, columns) in zip(axes, panels.items(), strict=False):
            for column in columns:
                points = [(row["epoch"], row[column]) for row in rows if column in row]
                if points:
                    axis.plot(*zip(*points, strict=True), marker=".", label=column)
            axis.set_title(title)
            axis.set_xlabel("epoch")
            axis.grid(alpha=0.3)
            if axis.get_legend_handles_labels()[0]:
                axis.legend()
        with replacing(self.path / "curves.png") as temporary:
            figure.savefig(temporary, dpi=110, format="png")


def open_run(path: Path | str, config: Any, resume: bool, **extra: Any) -> RunFolder:
    """Make a run folder, or open the one to go on with.

    Args:
        path: The folder; its parents are made.
        config: The configuration, a dataclass. A resumed run must have been started with an equal one.
        resume: Go on with a run that is there; if there is no run, start one.
        **extra: JSON-able facts for config.json beside the configuration.

    Raises:
        RunError: The folder holds a run and `resume` is false, holds other files, cannot be written, or was
            started with other settings (names them).
    """
    run = RunFolder(Path(path))
    try:
        followed(run.path).mkdir(parents=True, exist_ok=True)
        _sweep(run.path)
        names = {path.name for path in run.path.iterdir()}
    except OSError as error:
        raise RunError(f"{run.path}: cannot be used as a run folder ({error.strerror})") from error
    # A configuration alone is what an attempt leaves that failed before it trained.
    if "config.json" in names and len(names) > 1:
        if not resume:
            raise RunError(
                f"{run.path}: already holds a run; add --resume to go on with it, or give another --output"
            )
        differing = differences(run.read_config(type(config)), config)
        if differing:
            raise RunError(
                f"{run.path}: was started with other settings ({', '.join(differing)}); give another --output"
            )
        return run
    if names - {"config.json"} and not resume:
        raise RunError(f"{run.path}: not empty and not a run; give another --output")
    run.write_config(config, **extra)
    return run


def _facts_in_order(content: bytes) -> bytes:
    """A safetensors file whose metadata stand in order; the library leaves that to chance, and runs shall be equal."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[start:]


def _sweep(folder: Path) -> None:
    """Remove what `replacing` left over when its process died: a checkpoint is a hundred megabytes.

    A process of another machine may write here as well, so that what is young is left alone.
    """
    long_ago = time.time() - DEAD_AFTER_S
    for path in folder.glob(".*.tmp"):
        if re.fullmatch(r"\..+\.[0-9]+\.tmp", path.name) and path.stat().st_mtime < long_ago:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` that becomes `path` when the block ends well, else is removed; a link stays."""
    path = followed(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def set_seed(seed: int) -> None:
    """Seed Python, numpy and torch (every device)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def epoch_seed(seed: int, epoch: int) -> int:
    """An independent seed for each epoch, so that a resumed epoch draws what an uninterrupted one would."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])


def _cell(key: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, str):
        return defused(value)
    return str(int(value) if key == "epoch" else value)


def _finite(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    if isinstance(data, float | np.floating):
        return float(data) if np.isfinite(data) else None
    return int(data) if isinstance(data, np.integer) else data
