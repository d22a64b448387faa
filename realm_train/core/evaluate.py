"""Evaluation of trained CORE models, and cross-validation."""

import csv
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState

from realm_engine.machine import csv_files
from realm_engine.machine.files import followed
from realm_train.core.checkpoint import load_core
from realm_train.core.config import CoreConfig, SplitConfig
from realm_train.core.data import CoreData, tokenize
from realm_train.core.loaded import LoadedCore
from realm_train.core.predict import Predictions, predict
from realm_train.core.report import Report, report, validation_metrics, write_report
from realm_train.core.scale import scale
from realm_train.core.train import make_split, train_core
from realm_train.core.trainee import SPLIT
from realm_train.errors import DataError, RunError
from realm_train.raise_td import Row, load_pixels, read_split
from realm_train.runs import RunFolder, open_run
from realm_train.said import progress

SCALE = "scale.json"
PHOTOGRAPHS = "r*"


def evaluate_core(
    path: Path | str,
    root: Path | str,
    split: str = "validation",
    folds: bool = False,
    output: Path | str | None = None,
    cpu: bool = False,
    show_progress: bool = True,
) -> Report:
    """Measure a run, and write metrics.json, predictions.csv and scatter.png.

    Args:
        path: Run folder or upstream checkpoint; with `folds`, the folder of a cross-validation.
        root: The data set.
        split: "test", "validation" (the rows the run held out) or "train" (those it learnt from).
        folds: Every fold's model: on "validation" the pooled predictions on the rows each has not seen, on
            "test" the mean of their predictions.
        output: Folder for the results; by default `evaluation-<split>` inside `path`.
        cpu: Leave a GPU alone.
        show_progress: A bar on stderr.

    Raises:
        RunError, DataError, TowerError, ImageError: See the parts.
    """
    path = Path(path)
    if not path.exists():
        raise RunError(f"{path}: no such run folder or checkpoint")
    if output is None and not path.is_dir():
        raise RunError(f"{path}: evaluating a single checkpoint file needs --output")
    if folds and split == "train":
        raise RunError("--folds measures models on rows they have not seen; use --split validation or test")
    rows = read_split(root, "test" if split == "test" else "train")
    members = _fold_folders(path) if folds else [path]
    device = torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")
    every, values = [], []
    for member in members:
        loaded = load_core(member)
        chosen = rows if split == "test" else _rows_of(loaded, rows, split)
        found = _predict(loaded, chosen, device, show_progress)
        every.append((chosen, found))
        values.append(validation_metrics(found, [row.mos for row in chosen]))
    measured, found = every[0]
    if folds and split == "test":
        found = Predictions(
            np.mean([item.text for _, item in every], axis=0),
            np.mean([item.image_only for _, item in every], axis=0),
        )
    elif folds:
        measured, found = _pool(every)
    result = report(found, measured, values if folds else ())
    folder = RunFolder(Path(output) if output is not None else path / f"evaluation-{split}")
    try:
        followed(folder.path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder.path}: cannot be made ({error.strerror})") from error
    write_report(folder, measured, found, result)
    return result


def cross_validate(
    rows: Sequence[Row],
    config: CoreConfig,
    folds: int,
    output: Path | str,
    resume: bool = False,
    cpu: bool = False,
    show_progress: bool = True,
    note: Callable[[str], None] = lambda text: None,
    photographs: str = PHOTOGRAPHS,
) -> Report:
    """Train one model per fold into `output/fold-<i>`, and report on predictions for the rows each held out.

    Images are decoded once. With `resume`, finished folds are kept and a killed one goes on. scale.json says what a
    score means (`scale.scale`); `photographs` is the pattern of their file names.
    """
    config = dataclasses.replace(config, split=SplitConfig("fold", folds, 0, config.split.seed))
    make_split(rows, config.split)  # refuses too few rows before anything is written
    state = PartialState(cpu=cpu)
    if state.is_main_process:
        open_run(output, config, resume)
    show_progress = show_progress and state.is_main_process
    with progress("decoding", len(rows), show_progress) as step:
        data = CoreData.load(rows, config, lambda: step(""))
    every, values = [], []
    say = note if state.is_main_process else lambda text: None
    for fold in range(folds):
        one = dataclasses.replace(config, split=dataclasses.replace(config.split, fold=fold))
        trained = train_core(
            rows, one, Path(output) / f"fold-{fold}", resume, data=data, cpu=cpu, show_progress=show_progress
        )
        chosen = [rows[row] for row in make_split(rows, one.split).validation]
        found = _read_predictions(trained.run, chosen)
        every.append((chosen, found))
        values.append(validation_metrics(found, [row.mos for row in chosen]))
        say(
            f"fold {fold + 1} of {folds}: epoch {trained.epoch}, SROCC {values[-1]['srocc']:.4f}, "
            f"image only {values[-1]['srocc_image_only']:.4f}"
        )
    measured, found = _pool(every)
    result = report(found, measured, values)
    if state.is_main_process:
        folder = RunFolder(Path(output))
        write_report(folder, measured, found, result)
        folder.write_json(SCALE, scale(measured, found, photographs))
    return result


def _predict(loaded: LoadedCore, rows: Sequence[Row], device: torch.device, show: bool) -> Predictions:
    model = loaded.config.model
    with progress("decoding", len(rows), show) as step:
        pixels, _ = load_pixels(
            rows, model.image_height_px, model.image_width_px, model.interpolation, done=lambda: step("")
        )
    texts = tokenize([row.description for row in rows], loaded.tokenizer, model.max_tokens, loaded.pad_id)
    loaded.model.to(device)
    with progress("predicting", -(-len(rows) // 16), show) as step:
        return predict(loaded.model, pixels, texts, range(len(rows)), done=lambda: step(""))


def _rows_of(loaded: LoadedCore, rows: Sequence[Row], split: str) -> list[Row]:
    """The rows a run trained on or held out; an upstream checkpoint held out the published 20 %."""
    if loaded.path.is_dir() and (loaded.path / SPLIT).is_file():
        names = RunFolder(loaded.path).read_json(SPLIT).get(split, [])
    else:
        published = make_split(rows, loaded.config.split)
        names = [rows[row].filename for row in getattr(published, split)]
    if not names:
        raise RunError(f"{loaded.path}: the run has no {split} rows; evaluate it on --split test")
    by_name = {row.filename: row for row in rows}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise DataError(
            f"{loaded.path}: {len(missing)} of its {split} images are not in this data set "
            f"(first: {missing[0]})"
        )
    return [by_name[name] for name in names]


def _fold_folders(path: Path) -> list[Path]:
    folders = sorted(path.glob("fold-*"), key=lambda folder: int(folder.name.rpartition("-")[2]))
    if not folders:
        raise RunError(f"{path}: has no fold-* folders; run realm-train core --cross-validate first")
    return folders


def _pool(every: Sequence[tuple[Sequence[Row], Predictions]]) -> tuple[list[Row], Predictions]:
    rows = [row for part, _ in every for row in part]
    return rows, Predictions(
        np.concatenate([found.text for _, found in every]),
        np.concatenate([found.image_only for _, found in every]),
    )


def _read_predictions(run: RunFolder, rows: Sequence[Row]) -> Predictions:
    path = run.path / "predictions.csv"
    try:
        header, records = csv_files.read_csv(csv_files.text_of(path.read_bytes()))
        by_name = {
            cells[header.index("filename")]: dict(zip(header, cells, strict=True)) for _, cells in records
        }
        pairs = [
            [csv_files.number_of(by_name[row.filename][key]) for key in ("predicted", "predicted_image_only")]
            for row in rows
        ]
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise RunError(f"{path}: does not hold the predictions of this fold ({error!r})") from error
    values = np.asarray(pairs, np.float32)
    return Predictions(values[:, 0], values[:, 1])
