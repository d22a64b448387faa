"""Real inputs for int8: windows and crops of photographs, and how close a quantised graph's answers are on them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tokenizers import Tokenizer

from export.errors import ExportError
from export.graph.int8 import Feeds, Study
from export.towers.tokenizer import cut
from realm_engine.arrays import Array
from realm_engine.errors import RealmError
from realm_engine.maps.windows import WindowGrid, spread_mean
from realm_engine.pictures.decode import load_image
from realm_engine.pictures.find import find_images
from realm_engine.pictures.resample import resample_matrix_float32
from realm_engine.verbs.fidelity import TEXTS, correlation, sliding_grid

MOST_PICTURES = 8
WINDOWS = 25  # per picture and size
BATCH = 8
MOST_BATCHES = 16  # of a graph, to see how large its values become
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
# Neighbouring pixels of a photograph are alike (correlation 0.8 to 0.99), those of noise are not.
LEAST_NEIGHBOUR_CORRELATION = 0.3
# Stricter than the gates (0.99 of maps, 0.995 of scores), which other pictures must pass. At 0.9988 a trained CORE
# still missed its gate on rated images, at 0.9993 it passed.
ENOUGH_MAP, ENOUGH_SCORE = 0.995, 0.9993


def calibration_pictures(folder: Path, *verified: Sequence[Path]) -> list[Array]:
    """At most `MOST_PICTURES` photographs of a folder, uint8 [H, W, 3].

    The first of `verified` that leaves at least two others is left out, so that gates are passed on pictures
    that the calibration never saw.

    Args:
        folder: Of photographs.
        verified: Files that the bundle is verified on: all of them, then those that matter most.

    Raises:
        ExportError: there is no photograph, or one is noise, on which ranges of values would be wrong.
    """
    try:
        files = find_images(folder)
    except RealmError as error:
        raise ExportError(f"int8 is calibrated on photographs: {error}") from None
    if not files:
        raise ExportError(
            f"{folder}: no image; int8 is calibrated on photographs, give --calibration-images DIR"
        )
    for paths in verified:
        known = {path.resolve() for path in paths}
        others = [path for path in files if path.resolve() not in known]
        if len(others) >= 2:
            files = others
            break
    step = max(1, len(files) // MOST_PICTURES)
    pictures = []
    for path in files[::step][:MOST_PICTURES]:
        picture = load_image(path)
        correlation = neighbour_correlation(picture)
        if correlation < LEAST_NEIGHBOUR_CORRELATION:
            raise ExportError(
                f"{path}: neighbouring pixels are unrelated (correlation {correlation:.2f}): noise or one colour; "
                "int8 is calibrated on photographs, give a folder of them with --calibration-images"
            )
        pictures.append(picture)
    return pictures


def neighbour_correlation(picture: Array) -> float:
    """Pearson correlation of horizontally neighbouring grey values, uint8 [H, W, 3]; 0 for a single colour."""
    grey = picture.astype(np.float32).mean(axis=2)
    return correlation(grey[:, :-1].ravel(), grey[:, 1:].ravel()) if grey.std() > 0 else 0.0


def windows_study(
    pictures: Sequence[Array],
    windows_px: Sequence[int],
    size_px: int,
    interpolation: str,
    texts: Array,
) -> Study:
    """Sliding windows of every size on every picture, and the smallest correlation of a picture's maps.

    Args:
        pictures: uint8 [H, W, 3].
        windows_px: All sizes that the bundle's presets use.
        size_px: Side of the tower's input.
        interpolation: "bicubic" or "bilinear".
        texts: float32 [K, D], embeddings of real descriptions, L2-normalised.
    """
    feeds: list[Feeds] = []
    grids: list[tuple[WindowGrid, int]] = []
    for picture, window in itertools.product(pictures, windows_px):
        if window > min(picture.shape[:2]):
            continue
        grid = sliding_grid(picture.shape[0], picture.shape[1], window, WINDOWS)
        tops, lefts = grid.origins()
        # The middle of the picture: that is where its subject is.
        down, right = (picture.shape[0] - grid.height) // 2, (picture.shape[1] - grid.width) // 2
        matrix = resample_matrix_float32(grid.window_px, size_px, interpolation)
        starts = range(0, grid.count, BATCH)
        feeds += [
            {
                "image": picture,
                "top": tops[start : start + BATCH] + down,
                "left": lefts[start : start + BATCH] + right,
                "resample": matrix,
                "text": texts,
            }
            for start in starts
        ]
        grids.append((grid, len(starts)))
    if not feeds:
        raise ExportError("no window size of the presets fits the calibration pictures; give larger ones")

    def closeness(answers: Sequence[Array], expected: Sequence[Array]) -> float:
        worst, first = 1.0, 0
        for grid, batches in grids:
            ours, theirs = (np.concatenate(part[first : first + batches]) for part in (answers, expected))
            worst = min(worst, contrast_correlation(ours, theirs, grid))
            first += batches
        return worst

    return Study(feeds, closeness, ENOUGH_MAP)


def contrast_correlation(ours: Array, theirs: Array, grid: WindowGrid) -> float:
    """Pearson correlation of the maps of all texts together, each about its own mean.

    A text counts as much as its map varies: on few windows a nearly flat map would say more of chance than of
    rounding. (The gates look at each map by itself.)
    """
    shape = (grid.rows, grid.cols)
    maps = [
        np.stack([spread_mean(column.reshape(shape), grid).ravel() for column in values.T])
        for values in (ours, theirs)
    ]
    left, right = (values - values.mean(axis=1, keepdims=True) for values in maps)
    return correlation(left.ravel(), right.ravel())


def scores_study(
    pictures: Sequence[Array], size_px: tuple[int, int], interpolation: str, features: Array
) -> Study:
    """Every picture and its quarters and centre with real descriptions in turn, and the scores' correlation.

    Args:
        pictures: uint8 [H, W, 3].
        size_px: Height and width of the tower's input.
        interpolation: "bicubic" or "bilinear".
        features: float32 [K, F], text features of real descriptions.
    """
    feeds: list[Feeds] = []
    views = [view for picture in pictures for view in crops(picture)]
    for index, view in enumerate(views):
        feeds.append(
            {
                "pixels": view[None],
                "resample_rows": resample_matrix_float32(view.shape[0], size_px[0], interpolation)[
                    None, None
                ],
                "resample_cols": resample_matrix_float32(view.shape[1], size_px[1], interpolation)[
                    None, None
                ],
                "text_features": features[[index % len(features)]],
                "has_text": np.ones(1, dtype=np.float32),
            }
        )

    def closeness(answers: Sequence[Array], expected: Sequence[Array]) -> float:
        return correlation(np.concatenate(answers), np.concatenate(expected))

    return Study(feeds, closeness, ENOUGH_SCORE)


def crops(picture: Array) -> list[Array]:
    """A picture, its quarters and its centre: real images of other content and scale."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    corners = [(0, 0), (0, width), (height, 0), (height, width), (height // 2, width // 2)]
    return [picture, *(np.ascontiguousarray(picture[y : y + height, x : x + width]) for y, x in corners)]


def text_feeds(tokenizer_json: str, max_tokens: int, pad_id: int, fixed_length: bool) -> list[Feeds]:
    """Token ids of descriptions as people write them and their mask, one at a time, int64 [1, tokens]."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    feeds: list[Feeds] = []
    for text in TEXTS:
        ids = cut(tokenizer.encode(text).ids, max_tokens)
        padding = max_tokens - len(ids) if fixed_length else 0
        feeds.append(
            {
                "input_ids": np.array([ids + [pad_id] * padding], dtype=np.int64),
                "attention_mask": np.array([[1] * len(ids) + [0] * padding], dtype=np.int64),
            }
        )
    return feeds


def some(feeds: Sequence[Feeds]) -> Sequence[Feeds]:
    """At most `MOST_BATCHES` of them, spread over all."""
    return feeds[:: -(-len(feeds) // MOST_BATCHES)]
