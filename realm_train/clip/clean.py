"""Windows of untouched photographs: how similar they are to any text, and how far their maps go at most.

Measured on photographs that nothing was trained on; the export puts it into the bundle, by which a map knows whether
anything on it stands out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from realm_engine.arrays import Array, Float32, Float64, UInt8
from realm_engine.machine.files import write_atomically
from realm_engine.maps.photographs import HIGH_PERCENTILE
from realm_engine.maps.windows import WindowGrid, covered_by_any, spread_scales
from realm_train.clip.config import ONE_PASS
from realm_train.clip.model import Clip
from realm_train.clip.one_pass import OnePass
from realm_train.clip.pairs import cut
from realm_train.defects import KINDS
from realm_train.defects.photographs import usual_size
from realm_train.defects.wordings import describe
from realm_train.errors import DataError

BATCH = 256
LEAST_CROP = 0.75  # of a side
LEAST_STD = 0.05  # of the similarity of windows with a text
PROBE = "Somewhat. The edge of the face melts into the background."


@dataclass(frozen=True)
class Geometry:
    """The windows of a preset."""

    windows_px: tuple[int, ...]
    stride_px: int
    aggregate: str


@dataclass(frozen=True)
class CleanWindows:
    """What was measured.

    Attributes:
        windows_px: window sizes S, ascending.
        encoder: what encoded the windows, "each-window" or "one-pass".
        mean: mean embedding, float32 (S, D).
        factor: L of the covariance L L^T of the embeddings, float32 (S, D, R).
        probe: embedding of `PROBE`, float32 (D,): whether a text tower is the one that this belongs to.
        presets: by name, the geometry of each preset.
        stands_out: by preset, the `z_high` that most maps of photographs stay below, for "text" and "phrases".
        measured: on what, in words and numbers.
    """

    windows_px: tuple[int, ...]
    encoder: str
    mean: Float32
    factor: Float32
    probe: Float32
    presets: Mapping[str, Geometry] = field(default_factory=dict)
    stands_out: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)

    def scale(self, texts: Array) -> tuple[Float64, Float64]:
        """Mean and standard deviation of similarity, each float64 (K, S), of text embeddings (K, D)."""
        wide = texts.astype(np.float64)
        along = np.einsum("kd,sdr->ksr", wide, self.factor.astype(np.float64))
        return wide @ self.mean.astype(np.float64).T, np.sqrt(np.square(along).sum(axis=2))

    def save(self, path: Path) -> None:
        """Write a safetensors file."""
        facts = {
            "windows_px": self.windows_px,
            "encoder": self.encoder,
            "presets": {name: asdict(geometry) for name, geometry in self.presets.items()},
            "stands_out": self.stands_out,
            "measured": self.measured,
        }
        tensors = {"mean": self.mean, "factor": self.factor, "probe": self.probe}
        write_atomically(path, save(tensors, {"photographs": json.dumps(facts)}))

    @classmethod
    def load(cls, path: Path) -> CleanWindows:
        """Read what `save` wrote. Raises DataError for another file."""
        try:
            with safe_open(path, "np") as file:
                facts = json.loads(file.metadata()["photographs"])
                found = cls(
                    windows_px=tuple(facts["windows_px"]),
                    encoder=facts["encoder"],
                    mean=file.get_tensor("mean"),
                    factor=file.get_tensor("factor"),
                    probe=file.get_tensor("probe"),
                    presets={name: _geometry(entry) for name, entry in facts["presets"].items()},
                    stands_out=facts["stands_out"],
                    measured=facts["measured"],
                )
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not a file of recipes/clean_maps.py ({error})") from error
        sizes, width = len(found.windows_px), found.mean.shape[-1]
        if found.mean.shape != (sizes, width) or found.factor.shape[:2] != (sizes, width):
            raise DataError(f"{path}: {sizes} window sizes, but tensors of other shapes; measure it again")
        return found


def _geometry(entry: Mapping[str, Any]) -> Geometry:
    return Geometry(tuple(entry["windows_px"]), entry["stride_px"], entry["aggregate"])


@torch.inference_mode()
def window_embeddings(
    clip: Clip, photograph: UInt8, window_px: int, stride_px: int | None = None
) -> torch.Tensor:
    """Embeddings float32 (windows, D); by default at half-window stride, the grid on which the engine picks phrases."""
    grid = WindowGrid(
        photograph.shape[0], photograph.shape[1], window_px, stride_px or max(1, window_px // 2)
    )
    if clip.encoder == ONE_PASS:
        tops, lefts = (np.unique(firsts).tolist() for firsts in grid.origins())
        tower = OnePass(clip.model.visual, clip.normalise)
        return tower.embed(tower.pool(torch.tensor(photograph)[None], tops, lefts, window_px)).flatten(0, 2)
    tops, lefts = grid.origins()
    parts = []
    for i in range(0, grid.count, BATCH):
        windows = [
            cut(photograph, y, x, window_px, clip.image_size_px)
            for y, x in zip(tops[i : i + BATCH], lefts[i : i + BATCH], strict=True)
        ]
        parts.append(clip.encode_windows(torch.from_numpy(np.stack(windows))))
    return torch.cat(parts)


def views(photographs: Sequence[UInt8], count: int, seed: int) -> Iterator[UInt8]:
    """Of each photograph itself, its mirror image, and crops, every other one mirrored: `count` of each.

    Of a large photograph each is a part as those that are trained on.
    """
    for number, photograph in enumerate(photographs):
        rng = np.random.default_rng((seed, number))
        for view in range(count):
            found = usual_size(photograph, rng)
            if view >= 2 and found is photograph:
                height, width = (int(rng.uniform(LEAST_CROP, 1) * side) for side in photograph.shape[:2])
                top = int(rng.integers(photograph.shape[0] - height + 1))
                left = int(rng.integers(photograph.shape[1] - width + 1))
                found = photograph[top : top + height, left : left + width]
            yield np.ascontiguousarray(found[:, ::-1] if view % 2 else found)


def measure_windows(
    clip: Clip, photographs: Sequence[UInt8], windows_px: Sequence[int]
) -> tuple[Float32, Float32, dict[str, int]]:
    """Mean (S, D) and factor (S, D, D) of the embeddings of all windows, and how many windows of each size.

    To the covariance is added what no text's similarity is held to vary less than, `LEAST_STD`: few photographs do not
    tell of a direction in which they hardly vary, as that of a text which denies any flaw, that others vary as little.
    """
    means: list[Float64] = []
    factors: list[Float64] = []
    counts: dict[str, int] = {}
    for size in windows_px:
        found = np.concatenate(
            [window_embeddings(clip, each, size).double().cpu().numpy() for each in photographs]
        )
        values, vectors = np.linalg.eigh(np.cov(found, rowvar=False, ddof=0))
        means.append(found.mean(axis=0))
        factors.append(vectors * np.sqrt(np.maximum(values, 0.0) + LEAST_STD**2))
        counts[str(size)] = len(found)
    return np.array(means, np.float32), np.array(factors, np.float32), counts


def high_z(
    clean: CleanWindows,
    embeddings: Sequence[Array],
    grids: Sequence[WindowGrid],
    aggregate: str,
    texts: Array,
) -> float:
    """`RealnessMap.z_high` of the map that the engine makes for texts together.

    Args:
        clean: The scale.
        embeddings: Of the windows of each grid, (windows, D).
        grids: One for each window size.
        aggregate: "mean" or "max".
        texts: Embeddings (K, D).
    """
    realness = [
        1.0
        - (each.astype(np.float64) @ texts.T.astype(np.float64)).mean(axis=1).reshape(grid.rows, grid.cols)
        for each, grid in zip(embeddings, grids, strict=True)
    ]
    values = spread_scales(realness, grids, aggregate)[covered_by_any(grids)]
    sizes = [clean.windows_px.index(grid.window_px) for grid in grids]
    mean, std = (np.mean(each[:, sizes]) for each in clean.scale(texts))
    return float((1.0 - np.percentile(values, 100 - HIGH_PERCENTILE) - mean) / std)


def random_descriptions(count: int, seed: int) -> list[str]:
    """Descriptions of flaws that no picture has, of all kinds in turn, anywhere and of any severity."""
    rng = np.random.default_rng(seed)
    kinds = list(KINDS)
    return [
        describe(kinds[i % len(kinds)], (rng.random(), rng.random()), float(rng.uniform(0.1, 1.0)), rng)
        for i in range(count)
    ]
