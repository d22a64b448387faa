"""Proof of a bundle: the engine runs it on photographs, and PyTorch with Pillow must agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image
from tokenizers import Tokenizer

from export.errors import ExportError
from export.parts.core import CoreSource, text_features
from export.proof.gates import compare_precisions
from export.towers.clip_model import ClipModel
from realm_engine import Engine
from realm_engine.arrays import Array
from realm_engine.maps.dream import DreamConfig
from realm_engine.pictures.decode import find_images, load_image
from realm_engine.verbs.fidelity import TEXTS, correlation, floor, make_trial, two_digits

Report = Callable[[str], None]

MOST_IMAGES = 4
MOST_WINDOWS = 24  # per image and scale: enough to find a wrong graph, few enough to wait for
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Gates:
    """What a variant may differ from PyTorch by; None is not asked for."""

    similarity_max_abs_diff: float | None
    map_pearson: float
    tower_cosine: float
    mos_max_abs_diff: float


EXACT = Gates(similarity_max_abs_diff=1e-4, map_pearson=0.999, tower_cosine=0.99999, mos_max_abs_diff=1e-3)
# int8 weights are a slightly different model: it is gated by what it is for, maps and scores.
STORED = Gates(similarity_max_abs_diff=None, map_pearson=0.999, tower_cosine=0.0, mos_max_abs_diff=0.01)
HALF = Gates(similarity_max_abs_diff=None, map_pearson=0.999, tower_cosine=0.9995, mos_max_abs_diff=0.01)


def gates(precision: str, storage: str) -> Gates:
    """The gates of a variant."""
    if precision == "fp32":
        return EXACT if storage == "fp32" else STORED
    return HALF


def verify(
    folder: Path,
    core: CoreSource | None,
    clip: ClipModel | None,
    images: Sequence[Path],
    precisions: Sequence[str],
    storage: str,
    report: Report,
) -> dict[str, Any]:
    """Run a bundle through the engine on photographs and compare: fp32 and fp16 with PyTorch, the rest with fp32.

    Where fp32 is there, every other variant and the native modes of installed runtimes are also compared with
    it, on more windows and pairs (`export.proof.gates`).

    Returns:
        The manifest's "fidelity": per precision the measured differences, rounded to two digits.

    Raises:
        ExportError: no photograph, or a difference beyond its gate.
    """
    pictures = [load_image(path) for path in images[:MOST_IMAGES]]
    if not pictures:
        raise ExportError("no photograph to verify the bundle on; give --verify-images DIR")
    expected_mos = _torch_mos(core, pictures) if core is not None else None
    expected_maps = _torch_maps(clip, pictures) if clip is not None else None
    fidelity: dict[str, Any] = {}
    for precision in precisions:
        if precision in ("bf16", "int8"):
            continue  # the gate of these is what they change of the float32 file
        limits = gates(precision, storage)
        measured: dict[str, Any] = {"images": len(pictures)}
        if precision == "fp32":
            measured["storage"] = storage
        with Engine.open(folder, device="cpu", precision=precision) as engine:
            measured["runtime"] = engine.describe()["runtime"]
            if expected_mos is not None:
                measured["core"] = _compare_core(engine, pictures, expected_mos, limits)
            if clip is not None and expected_maps is not None:
                measured["dream"] = _compare_dream(engine, clip, pictures, expected_maps, limits)
        report(f"verified {precision}: {_summary(measured)}")
        fidelity[precision] = measured
    for precision, record in compare_precisions(folder, make_trial(images), precisions, report).items():
        fidelity[precision] = {**fidelity.get(precision, {}), **record}
    return fidelity


def verification_images(folder: Path) -> list[Path]:
    """Photographs in a folder.

    Raises:
        RealmError: there is none.
    """
    return find_images(folder)


@torch.no_grad()
def _torch_mos(core: CoreSource, pictures: Sequence[Array]) -> Array:
    """MOS of every picture without a text and with every text, float64 [pictures, 1 + texts]."""
    texts = [text_features(core, text) for text in TEXTS]
    # No description is has_text = 0 for a model that learned it, else the empty description.
    known = 0.0 if core.trained_without_text else 1.0
    nothing = torch.zeros_like(texts[0]) if core.trained_without_text else text_features(core, "")
    rows = []
    for picture in pictures:
        size = (core.width_px, core.height_px)
        resized = Image.fromarray(picture).resize(size, RESAMPLING[core.interpolation])
        pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float().unsqueeze(0)
        image = core.model.encode_image(pixels)
        row = [core.model.fuse(image, nothing, torch.tensor([known]))]
        row += [core.model.fuse(image, features, torch.ones(1)) for features in texts]
        rows.append([float(mos) for mos in row])
    return np.array(rows)


@torch.no_grad()
def _torch_maps(clip: ClipModel, pictures: Sequence[Array]) -> list[tuple[DreamConfig, Array]]:
    """Per picture a configuration of windows that do not overlap, and their similarities [windows, texts]."""
    text = torch.nn.functional.normalize(clip_texts(clip, TEXTS), dim=-1)
    results = []
    for picture in pictures:
        config = verification_config(picture.shape[0], picture.shape[1])
        (grid,) = config.grids(*picture.shape[:2])
        crops = [
            _crop(picture, int(top), int(left), grid.window_px, clip)
            for top, left in zip(*grid.origins(), strict=True)
        ]
        features = torch.nn.functional.normalize(_encode_image(clip, torch.stack(crops)), dim=-1)
        results.append((config, (features @ text.T).double().numpy()))
    return results


def verification_config(height: int, width: int) -> DreamConfig:
    """Windows of 64 px (less in a small picture) spread over it without overlap, at most `MOST_WINDOWS`."""
    window = min(64, height, width)
    stride = window
    while ((height - window) // stride + 1) * ((width - window) // stride + 1) > MOST_WINDOWS:
        stride += 1
    return DreamConfig((window,), stride)


def _crop(picture: Array, top: int, left: int, window: int, clip: ClipModel) -> torch.Tensor:
    crop = Image.fromarray(picture[top : top + window, left : left + window])
    crop = crop.resize((clip.image_size_px, clip.image_size_px), RESAMPLING[clip.interpolation])
    pixels = torch.from_numpy(np.array(crop)).permute(2, 0, 1).float() / 255
    return (pixels - torch.tensor(clip.mean).view(3, 1, 1)) / torch.tensor(clip.std).view(3, 1, 1)


def _encode_image(clip: ClipModel, pixels: torch.Tensor) -> torch.Tensor:
    features: torch.Tensor = clip.model.encode_image(pixels)  # type: ignore[operator]
    return features


@torch.no_grad()
def clip_texts(clip: ClipModel, texts: Sequence[str]) -> torch.Tensor:
    """Embeddings float32 [K, D], not normalised, by PyTorch.

    By open_clip's own tokenizer where the tower is native, else padded to full length.
    """
    if clip.fixed_length:
        ids = open_clip.tokenizer.SimpleTokenizer(context_length=clip.max_tokens)(list(texts))
    else:
        tokenizer = Tokenizer.from_str(clip.tokenizer_json)
        tokenizer.enable_padding(length=clip.max_tokens, pad_id=clip.pad_id)
        tokenizer.enable_truncation(clip.max_tokens)
        ids = torch.tensor([tokenizer.encode(text).ids for text in texts])
    features: torch.Tensor = clip.model.encode_text(ids)  # type: ignore[operator]
    return features


def _compare_core(
    engine: Engine, pictures: Sequence[Array], expected: Array, limits: Gates
) -> dict[str, float]:
    columns = []
    for text in (None, *TEXTS):
        scores = engine.score(list(pictures), [text] * len(pictures))
        columns.append([_mos(score.mos, score.error) for score in scores])
    difference = np.abs(np.array(columns).T - expected)
    _gate("MOS differs from PyTorch", float(difference.max()), limits.mos_max_abs_diff)
    return {
        "mos_max_abs_diff": two_digits(difference.max()),
        "mos_mean_abs_diff": two_digits(difference.mean()),
    }


def _mos(mos: float | None, error: str | None) -> float:
    if mos is None:
        raise ExportError(f"the engine cannot score with this bundle: {error}")
    return mos


def _compare_dream(
    engine: Engine,
    clip: ClipModel,
    pictures: Sequence[Array],
    expected: Sequence[tuple[DreamConfig, Array]],
    limits: Gates,
) -> dict[str, float]:
    ours, theirs = [], []
    for picture, (config, similarity) in zip(pictures, expected, strict=True):
        (grid,) = config.grids(*picture.shape[:2])
        tops, lefts = grid.origins()
        for column, text in enumerate(TEXTS):
            values = engine.map(picture, text, config).values  # windows do not overlap: a pixel is its window
            ours.append(1.0 - values[tops, lefts].astype(np.float64))
            theirs.append(similarity[:, column])
    difference = np.abs(np.concatenate(ours) - np.concatenate(theirs))
    pearson = min(correlation(a, b) for a, b in zip(ours, theirs, strict=True))
    cosine = _tower_cosines(engine, clip, pictures, expected)
    if limits.similarity_max_abs_diff is not None:
        _gate("similarity differs from PyTorch", float(difference.max()), limits.similarity_max_abs_diff)
    _gate("map correlates with PyTorch", pearson, limits.map_pearson, at_least=True)
    for tower, value in cosine.items():
        _gate(f"the {tower} tower's cosine with PyTorch", value, limits.tower_cosine, at_least=True)
    return {
        "similarity_max_abs_diff": two_digits(difference.max()),
        "similarity_mean_abs_diff": two_digits(difference.mean()),
        "map_pearson_min": floor(pearson),
        **{f"{tower}_cosine_min": floor(value) for tower, value in cosine.items()},
    }


@torch.no_grad()
def _tower_cosines(
    engine: Engine, clip: ClipModel, pictures: Sequence[Array], expected: Sequence[tuple[DreamConfig, Array]]
) -> Mapping[str, float]:
    """Smallest cosine between an embedding of the engine and PyTorch's, per tower."""
    dream = engine._open_dream()
    texts = torch.nn.functional.normalize(clip_texts(clip, TEXTS), dim=-1).numpy()
    text_cosine = (dream.embed(TEXTS) * texts).sum(axis=1).min()
    picture, config = pictures[0], expected[0][0]
    (grid,) = config.grids(*picture.shape[:2])
    # Texts that are the unit vectors turn the graph's similarities into the embeddings themselves.
    ours = dream.similarities(picture, grid, np.eye(clip.embed_dim, dtype=np.float32))
    tops, lefts = grid.origins()
    crops = [_crop(picture, int(t), int(x), grid.window_px, clip) for t, x in zip(tops, lefts, strict=True)]
    theirs = torch.nn.functional.normalize(_encode_image(clip, torch.stack(crops)), dim=-1).numpy()
    return {"image": float((ours * theirs).sum(axis=1).min()), "text": float(text_cosine)}


def _gate(what: str, value: float, limit: float, at_least: bool = False) -> None:
    passed = value >= limit if at_least else value <= limit
    if not passed:  # NaN fails as well
        raise ExportError(
            f"{what}: {value:.6g}, the gate is {'at least' if at_least else 'at most'} {limit:g}; "
            "no bundle was written"
        )


def _summary(measured: Mapping[str, Any]) -> str:
    parts = []
    if "core" in measured:
        parts.append(f"MOS within {measured['core']['mos_max_abs_diff']:g}")
    if "dream" in measured:
        parts.append(f"similarity within {measured['dream']['similarity_max_abs_diff']:g}")
        parts.append(f"map Pearson {measured['dream']['map_pearson_min']:g}")
    return ", ".join(parts)
