"""How far a precision may be from float32, and how far it is: maps and scores of real images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from realm_engine.arrays import Array, Float32, Float64
from realm_engine.bundle.columns import Column
from realm_engine.engine import Engine
from realm_engine.maps.spec import MapSpec
from realm_engine.maps.windows import WindowGrid, spread_mean
from realm_engine.measures.measure import Measure
from realm_engine.pictures.decode import load_image
from realm_engine.pictures.descriptions import is_missing, read_descriptions
from realm_engine.pictures.inputs import find_descriptions

TEXTS = (
    "Yes, the edge of the face melts into the background and the hand has too many fingers.",
    "Somewhat, the text on the sign is garbled.",
    "No",
)
MAP_IMAGES = 4
MAP_WINDOWS = 165  # per image
SCORED_IMAGES = 8  # each with every description
RATED_IMAGES = 96  # each with its own description


@dataclass(frozen=True)
class PrecisionGates:
    """Limits against float32; None is not asked for.

    Attributes:
        tower_cosine: Least cosine of an embedding, per tower.
        map_pearson: Least Pearson correlation of a map.
        mos_max_abs_diff: Largest difference of the column `mos`; where this is asked for, a column's `tolerance` counts
            instead, for other columns too.
        srocc_change: Largest change of the SROCC against people's MOS, for the column `mos` of rated images.
        srocc: Least SROCC between the scores of both, where nothing nearer is asked for.
    """

    tower_cosine: float | None
    map_pearson: float
    mos_max_abs_diff: float | None
    srocc_change: float | None
    srocc: float | None

    def record(self) -> dict[str, float]:
        """The limits that there are."""
        return {name: limit for name, limit in vars(self).items() if limit is not None}


HALF_GATES = PrecisionGates(0.9995, 0.999, 0.01, None, None)
LEAST_SROCC = 0.995
# How far the scale of photographs may be off, in standard deviations: thresholds have two digits.
PHOTOGRAPHS_GATE = 0.01
INT8_GATES = PrecisionGates(None, 0.99, None, 0.005, 0.995)


def precision_gates(precision: str) -> PrecisionGates:
    """The gates of fp16, bf16 or int8."""
    return INT8_GATES if precision == "int8" else HALF_GATES


@dataclass(frozen=True)
class Trial:
    """Real images and texts to compare precisions on.

    Attributes:
        paths: All files that are used.
        maps: Images for maps, uint8 [H, W, 3].
        texts: For maps.
        scores: (image, text) pairs for scores; no text scores the image alone.
        rated: (image, description, MOS) where a CSV beside the images says so.
    """

    paths: tuple[Path, ...]
    maps: tuple[Array, ...]
    texts: tuple[str, ...]
    scores: tuple[tuple[Array, str | None], ...]
    rated: tuple[tuple[Array, str, float], ...]


@dataclass(frozen=True)
class Scores:
    """A measure's answers: the first column's values of the trial's pairs and rated images, and its texts' features."""

    part: str
    column: Column
    values: Float64
    rated: Float64
    texts: Float32 | None


@dataclass(frozen=True)
class Answers:
    """What one device in one precision makes of a trial. Embeddings are L2-normalised, per image [windows, D]."""

    runtime: str
    map_part: str | None = None
    grids: tuple[WindowGrid, ...] = ()
    images: tuple[Array, ...] = ()
    texts: Array | None = None
    scores: tuple[Scores, ...] = ()


def make_trial(images: Sequence[Path]) -> Trial:
    """Choose from a folder's images, with the descriptions and ratings of the CSV beside them or one level up."""
    described, ratings = _table(images)
    rated_paths = [path for path in images if path in ratings and path in described][:RATED_IMAGES]
    map_paths, scored_paths = images[:MAP_IMAGES], images[:SCORED_IMAGES]
    loaded = {path: load_image(path) for path in dict.fromkeys([*scored_paths, *rated_paths])}
    told = [described[path] for path in scored_paths if path in described]
    texts = tuple(dict.fromkeys([*TEXTS, *told]))
    if rated_paths:
        pairs = [(path, text) for path in map_paths for text in (None, *TEXTS)]
    else:
        pairs = list(itertools.product(scored_paths, (None, *texts)))
    return Trial(
        paths=tuple(loaded),
        maps=tuple(loaded[path] for path in map_paths),
        texts=texts,
        scores=tuple((loaded[path], text) for path, text in pairs),
        rated=tuple((loaded[path], described[path], ratings[path]) for path in rated_paths),
    )


def answer(engine: Engine, trial: Trial) -> Answers:
    """What an opened engine makes of a trial, for the parts it has in its precision. Raises as the engine does."""
    found: dict[str, Any] = {}
    if engine.contents.maps is not None and engine.can(engine.map_part):
        found |= _embed(engine, trial)
    measures = [measure for measure in engine.contents.measures.all if engine.can(measure.part.name)]
    return Answers(
        runtime=str(engine.describe()["runtime"]),
        scores=tuple(_scores_of(engine, measure, trial) for measure in measures),
        **found,
    )


def _embed(engine: Engine, trial: Trial) -> dict[str, Any]:
    dream = engine.maps.dream
    grids, embeddings = [], []
    for image, window in zip(trial.maps, itertools.cycle(window_sizes(dream.spec)), strict=False):
        grid = sliding_grid(image.shape[0], image.shape[1], window, MAP_WINDOWS)
        top, left = (image.shape[0] - grid.height) // 2, (image.shape[1] - grid.width) // 2
        middle = np.ascontiguousarray(image[top : top + grid.height, left : left + grid.width])
        grids.append(grid)
        embeddings.append(dream.embeddings(middle, grid))
    return {
        "map_part": engine.map_part,
        "grids": tuple(grids),
        "images": tuple(embeddings),
        "texts": dream.embed(trial.texts),
    }


def _scores_of(engine: Engine, measure: Measure, trial: Trial) -> Scores:
    column, part = measure.columns[0], measure.part

    def values(pairs: Sequence[tuple[Array, str | None]]) -> Float64:
        rows = engine.score([image for image, _ in pairs], [text for _, text in pairs], metrics=measure.name)
        return np.array([np.nan if (v := row[column.name]) is None else v for row in rows], dtype=np.float64)

    with_text = measure.text is not None
    pairs = trial.scores if with_text else [(image, None) for image in trial.maps]
    return Scores(
        part=part.name,
        column=column,
        values=values(pairs),
        rated=values([(image, text if with_text else None) for image, text, _ in trial.rated]),
        texts=engine.embed_texts(trial.texts, part.name) if with_text else None,
    )


def window_sizes(spec: MapSpec) -> list[int]:
    """All window sizes of a bundle's presets, those of the recommended one first."""
    presets = sorted(spec.presets.values(), key=lambda preset: preset.name != spec.recommended_preset)
    return list(dict.fromkeys(size for preset in presets for size in preset.windows_px))


def compare(ours: Answers, theirs: Answers, trial: Trial, limits: PrecisionGates) -> dict[str, Any]:
    """Differences of answers from float32's, per part and with "passes" of each and of all.

    A part lists under "missed", in words, which limits it does not keep. Correlations and cosines are
    rounded down, differences up.
    """
    parts: dict[str, dict[str, Any]] = {}
    if ours.map_part is not None and theirs.texts is not None:
        parts[ours.map_part] = _compare_maps(ours, theirs, limits)
    before = {scores.column.name: scores for scores in theirs.scores}
    for scores in ours.scores:
        if scores.column.name in before:
            people = [mos for *_, mos in trial.rated]
            record = _compare_scores(scores, before[scores.column.name], people, limits)
            parts[scores.part] = _joined(parts.get(scores.part), record, scores.column.name)
    passes = all(record["passes"] for record in parts.values())
    return {"runtime": ours.runtime, **parts, "passes": passes}


def _joined(first: dict[str, Any] | None, other: dict[str, Any], column: str) -> dict[str, Any]:
    """The record of a part that several measures share."""
    if first is None:
        return other
    more = {f"{column}_{key}" if key in first else key: value for key, value in other.items()}
    passes, missed = first["passes"] and other["passes"], [*first["missed"], *other["missed"]]
    return {**first, **more, "passes": passes, "missed": missed}


def _compare_maps(ours: Answers, theirs: Answers, limits: PrecisionGates) -> dict[str, Any]:
    assert ours.texts is not None and theirs.texts is not None
    if not all(np.isfinite(values).all() for values in (*ours.images, ours.texts)):
        return {"passes": False, "missed": ["an embedding is not a number"]}
    pearson, windows, differences = [], [], []
    for a, b, grid in zip(ours.images, theirs.images, ours.grids, strict=True):
        left, right = a @ ours.texts.T, b @ theirs.texts.T  # [windows, K]
        pearson.append(map_correlation(left, right, grid))
        windows += [correlation(x, y) for x, y in zip(left.T, right.T, strict=True)]
        differences.append(np.abs(left - right).max())
    image_cosine = min(_cosine(a, b) for a, b in zip(ours.images, theirs.images, strict=True))
    text_cosine = _cosine(ours.texts, theirs.texts)
    missed = [
        *_below("map Pearson", min(pearson), limits.map_pearson),
        *_below("image tower's cosine", image_cosine, limits.tower_cosine),
        *_below("text tower's cosine", text_cosine, limits.tower_cosine),
    ]
    return {
        "passes": not missed,
        "missed": missed,
        "images": len(pearson),
        "windows": sum(grid.count for grid in ours.grids),
        "texts": len(ours.texts),
        "map_pearson_min": floor(min(pearson)),
        "window_pearson_min": floor(min(windows)),
        "similarity_max_abs_diff": two_digits(max(differences)),
        "image_cosine_min": floor(image_cosine),
        "text_cosine_min": floor(text_cosine),
    }


def _compare_scores(
    ours: Scores, theirs: Scores, people: Sequence[float], limits: PrecisionGates
) -> dict[str, Any]:
    a, b, name = ours.values, theirs.values, ours.column.name
    if not np.isfinite(a).all():
        return {"passes": False, "missed": [f"a value of {name} is not a number"]}
    missed: list[str] = []
    rated: dict[str, Any] = {}
    tolerance = None
    if limits.mos_max_abs_diff is not None:
        tolerance = limits.mos_max_abs_diff if name == "mos" else None
        tolerance = tolerance if ours.column.tolerance is None else ours.column.tolerance
    if name == "mos" and len(people):  # what people were asked for
        mos = np.array(people)
        before, after = spearman(theirs.rated, mos), spearman(ours.rated, mos)
        rated = {
            "rated_images": len(people),
            "srocc_mos_fp32": round(before, 4),
            "srocc_mos": round(after, 4),
            "srocc_change": two_digits(abs(after - before)),
        }
        missed += _above("SROCC against MOS changes by", abs(after - before), limits.srocc_change)
    elif tolerance is None:
        missed += _below(f"SROCC between the values of {name}", spearman(a, b), limits.srocc or LEAST_SROCC)
    if len(people):
        a, b = np.concatenate([a, ours.rated]), np.concatenate([b, theirs.rated])
    difference = np.abs(a - b)
    if tolerance is not None:
        missed += _above(f"{name} differs by", float(difference.max()), tolerance)
    record = {
        "pairs": len(a),
        f"{name}_max_abs_diff": two_digits(difference.max()),
        f"{name}_mean_abs_diff": two_digits(difference.mean()),
        "srocc": floor(spearman(a, b)),
        **rated,
    }
    if ours.texts is not None and theirs.texts is not None:
        text_cosine = _cosine(ours.texts, theirs.texts)
        missed += _below("text tower's cosine", text_cosine, limits.tower_cosine)
        record["text_cosine_min"] = floor(text_cosine)
    return {"passes": not missed, "missed": missed, **record}


def spearman(a: Array, b: Array) -> float:
    """Rank correlation with ties at their mean rank; 1 for two constants, 0 for one."""
    return correlation(_ranks(a), _ranks(b))


def _ranks(values: Array) -> Array:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse], dtype=np.float64)


def _cosine(a: Array, b: Array) -> float:
    return float((a.astype(np.float64) * b).sum(axis=1).min())


def _below(what: str, value: float, limit: float | None) -> list[str]:
    if limit is None or value >= limit:
        return []
    return [f"{what} {value:.6g}, the gate is at least {limit:g}"]


def _above(what: str, value: float, limit: float | None) -> list[str]:
    if limit is None or value <= limit:
        return []
    return [f"{what} {value:.6g}, the gate is at most {limit:g}"]


def correlation(a: Array, b: Array) -> float:
    """Pearson correlation; 1 where both are constant to rounding, as on a picture of one colour, 0 where one is."""
    if a.std() < 1e-6 and b.std() < 1e-6:
        return 1.0
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def sliding_grid(height: int, width: int, window: int, most: int) -> WindowGrid:
    """Windows that overlap by half or more, about `most` of them where the picture has room.

    The grid covers the top left part of a picture that would hold more at half-overlap; in one that holds
    fewer the stride shrinks, to a sixteenth of the window at least. A small picture has a smaller window.
    """
    window = min(window, height, width)
    stride = max(1, window // 2)
    while WindowGrid(height, width, window, stride).count < most and stride > max(1, window // 16):
        stride -= 1
    grid = WindowGrid(height, width, window, stride)
    rows, cols = grid.rows, grid.cols
    while rows * cols > most and rows * cols > 1:
        rows, cols = (rows - 1, cols) if rows > cols else (rows, cols - 1)
    return WindowGrid(window + (rows - 1) * stride, window + (cols - 1) * stride, window, stride)


def map_correlation(ours: Array, theirs: Array, grid: WindowGrid) -> float:
    """Smallest Pearson correlation over texts of the maps that two sets of similarities [windows, K] make."""
    shape = (grid.rows, grid.cols)
    return min(
        correlation(spread_mean(a.reshape(shape), grid).ravel(), spread_mean(b.reshape(shape), grid).ravel())
        for a, b in zip(ours.T, theirs.T, strict=True)
    )


def _table(images: Sequence[Path]) -> tuple[dict[Path, str], dict[Path, float]]:
    """Descriptions and MOS of images, from the CSV beside them or one level up; {} without one."""
    path = find_descriptions(images[0].parent) if images else None
    if path is None:
        return {}, {}
    descriptions = read_descriptions(path)
    rows = {image: row for image in images if (row := descriptions.row(image.name)) is not None}
    texts = {image: descriptions.by_name[row] for image, row in rows.items()}
    rated = {image: descriptions.mos[row] for image, row in rows.items() if row in descriptions.mos}
    return {image: text for image, text in texts.items() if not is_missing(text)}, rated


def two_digits(value: float) -> float:
    """Two significant digits, rounded up: a reported difference is never too small."""
    if value <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / step) * step:.2g}")


def floor(value: float) -> float:
    """Six decimals, rounded down: a reported correlation is never too large."""
    return math.floor(min(value, 1.0) * 1e6) / 1e6
