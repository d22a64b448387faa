"""Real inputs of a bundle's graphs: what int8 is calibrated on, and what float16 must be able to hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from export.errors import ExportError
from export.graph.int8 import Feeds, Study
from export.manifest import BundleInfo
from export.parts.core import CoreSource, text_features
from export.proof.calibration import calibration_pictures, core_study, dream_study
from export.proof.verify import clip_texts
from export.towers.clip_model import ClipModel
from export.towers.tokenizer import cut
from realm_engine.pictures.decode import find_images, load_image
from realm_engine.verbs.fidelity import MAP_IMAGES, TEXTS, make_trial

MOST_BATCHES = 16  # of a graph, to see how large its values become
FEW = 4  # pictures for that


def int8_studies(
    info: BundleInfo,
    core: CoreSource | None,
    clip: ClipModel | None,
    images: Sequence[Path],
    calibration: Path | None,
) -> dict[str, Study]:
    """Calibration inputs of the graphs that get an int8 variant, by file."""
    if calibration is None:
        raise ExportError("int8 is calibrated on photographs; give --calibration-images DIR")
    if core is None and clip is None:
        raise ExportError("int8: the part that it is for is not exported; leave --int8-part out")
    trial = make_trial(images)
    pictures = calibration_pictures(calibration, trial.paths, trial.paths[:MAP_IMAGES])
    studies = {}
    if core is not None:
        studies["core"] = core_study(core, pictures, _core_features(core, trial.texts))
    if clip is not None:
        texts = _clip_embeddings(clip, trial.texts)
        studies["dream"] = dream_study(
            pictures, _window_sizes(info), clip.image_size_px, clip.interpolation, texts
        )
    return studies


def half_probes(
    info: BundleInfo,
    core: CoreSource | None,
    clip: ClipModel | None,
    images: Sequence[Path],
    calibration: Path | None,
) -> dict[str, Sequence[Feeds]]:
    """A few photographs, windows of them and descriptions, by file; of `images` where there is no other folder.

    Raises:
        ExportError: there is no photograph.
    """
    paths = find_images(calibration) if calibration is not None else images
    pictures = [load_image(path) for path in paths[:: max(1, len(paths) // FEW)][:FEW]]
    if not pictures:
        raise ExportError(
            f"{calibration}: no image; fp16 is tried on photographs, give --calibration-images DIR"
        )
    probes: dict[str, Sequence[Feeds]] = {}
    if core is not None:
        probes["core_text"] = probes["text"] = text_feeds(core)
        probes["core"] = _spread(core_study(core, pictures, _core_features(core, TEXTS)).feeds)
    if clip is not None:
        probes["clip_text"] = text_feeds(clip)
        shortest = min(min(picture.shape[:2]) for picture in pictures)
        sizes = [size for size in _window_sizes(info) if size <= shortest] or [shortest]
        texts = _clip_embeddings(clip, TEXTS)
        study = dream_study(pictures, sizes, clip.image_size_px, clip.interpolation, texts)
        probes["dream"] = _spread(study.feeds)
    return probes


def text_feeds(model: CoreSource | ClipModel) -> list[Feeds]:
    """Token ids of descriptions as people write them and their mask, one at a time, int64 [1, tokens]."""
    tokenizer = Tokenizer.from_str(model.tokenizer_json)
    fixed = isinstance(model, ClipModel) and model.fixed_length
    feeds: list[Feeds] = []
    for text in TEXTS:
        ids = cut(tokenizer.encode(text).ids, model.max_tokens)
        padding = model.max_tokens - len(ids) if fixed else 0
        feeds.append(
            {
                "input_ids": np.array([ids + [model.pad_id] * padding], dtype=np.int64),
                "attention_mask": np.array([[1] * len(ids) + [0] * padding], dtype=np.int64),
            }
        )
    return feeds


def _spread(feeds: Sequence[Feeds]) -> Sequence[Feeds]:
    return feeds[:: -(-len(feeds) // MOST_BATCHES)]


def _window_sizes(info: BundleInfo) -> list[int]:
    return sorted({size for preset in info.all_presets.values() for size in preset["windows_px"]})


def _core_features(core: CoreSource, texts: Sequence[str]) -> Any:
    return torch.cat([text_features(core, text) for text in texts]).detach().numpy()


def _clip_embeddings(clip: ClipModel, texts: Sequence[str]) -> Any:
    return torch.nn.functional.normalize(clip_texts(clip, texts), dim=-1).numpy().astype(np.float32)
