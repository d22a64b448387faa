"""The phrase bank: which flaw a picture most likely has, when nobody has described it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from realm_engine.arrays import Float32, UInt8
from realm_engine.errors import BundleError
from realm_engine.maps.dream import Dream
from realm_engine.maps.realness_map import Phrase
from realm_engine.maps.spec import PhrasePolicy
from realm_engine.maps.windows import WindowGrid


@dataclass(frozen=True)
class BankEntry:
    """A phrase with the mean and standard deviation of its window similarity on clean photographs."""

    text: str
    kind: str
    mean: float
    std: float


def read_bank(path: Path) -> tuple[BankEntry, ...]:
    """Read a phrase bank. Raises BundleError for a file that is not one."""
    try:
        entries = tuple(
            BankEntry(str(item["text"]), str(item["kind"]), float(item["mean"]), float(item["std"]))
            for item in json.loads(path.read_text(encoding="utf-8"))["phrases"]
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{path}: not a phrase bank ({error!r}); export the bundle again") from error
    if not entries or any(not (entry.std > 0 and math.isfinite(entry.mean)) for entry in entries):
        raise BundleError(f"{path}: a phrase bank needs phrases, each with std > 0; export the bundle again")
    return entries


def pick_phrases(
    dream: Dream, bank: tuple[BankEntry, ...], image: UInt8, window_px: int
) -> tuple[Phrase, ...]:
    """Pick the phrases that stand out most on an image, best first, as many as the bundle's policy allows.

    Every phrase is compared with windows of `window_px` at half-window stride. Its score is a percentile (the
    95th) over windows of (similarity - mean) / std: a flaw is local, so a mean would dilute it, and a maximum
    would follow one window. Phrases too far behind the best (1 standard deviation) are left out.
    """
    grid = WindowGrid(image.shape[0], image.shape[1], window_px, max(1, window_px // 2))
    similarity = dream.similarities(image, grid, dream.embed([entry.text for entry in bank]))
    return choose_phrases(similarity, bank, dream.spec.phrase_policy)


def choose_phrases(
    similarity: Float32, bank: tuple[BankEntry, ...], policy: PhrasePolicy
) -> tuple[Phrase, ...]:
    """The phrases that count, best first, for similarities (windows, phrases) with a whole bank."""
    mean = np.array([entry.mean for entry in bank])
    std = np.array([entry.std for entry in bank])
    scores = np.percentile((similarity - mean) / std, policy.percentile, axis=0)
    order = np.argsort(-scores, kind="stable")[: policy.most]
    return tuple(
        Phrase(bank[index].text, bank[index].kind, round(float(scores[index]), 3))
        for index in order
        if scores[index] >= scores[order[0]] - policy.margin_z
    )
