"""The phrase bank: which flaw a picture most likely has, when nobody has described it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from realm_engine.arrays import Float32, UInt8
from realm_engine.bundle.json_file import parse_json
from realm_engine.bundle.manifest import Section
from realm_engine.errors import BundleError
from realm_engine.maps.dream import Dream
from realm_engine.maps.encoders import MOST_COSINE
from realm_engine.maps.realness_map import Phrase
from realm_engine.maps.spec import PhrasePolicy
from realm_engine.maps.windows import WindowGrid

MOST_PHRASES = 1024
MOST_CHARACTERS = 1000  # of a phrase
LEAST_STD = 1e-6


@dataclass(frozen=True)
class BankEntry:
    """A phrase with the mean and standard deviation of its window similarity on clean photographs."""

    text: str
    kind: str
    mean: float
    std: float


def read_bank(path: Path) -> tuple[BankEntry, ...]:
    """The phrase bank in a file. Raises BundleError for one that is none, or cannot be read."""
    try:
        return parse_bank(path.read_bytes(), str(path))
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error


def parse_bank(content: bytes, where: str) -> tuple[BankEntry, ...]:
    """The phrase bank in the file `where`. Raises BundleError for one that is none."""
    section = Section(parse_json(content, where), f"{where}: a phrase bank")
    items = section.get("phrases", list)
    if not 1 <= len(items) <= MOST_PHRASES:
        raise BundleError(
            f"{where}: a phrase bank needs phrases, at most {MOST_PHRASES}, and has {len(items)}; export it again"
        )
    return tuple(
        _entry(Section(item, f"{where}: phrase {number}")) for number, item in enumerate(items, start=1)
    )


def _entry(section: Section) -> BankEntry:
    text, mean, std = section.text("text"), section.number("mean"), section.number("std")
    if len(text) > MOST_CHARACTERS:
        raise BundleError(
            f"{section.where} has more than {MOST_CHARACTERS} characters; export the bundle again"
        )
    if not (abs(mean) <= MOST_COSINE and LEAST_STD <= std <= MOST_COSINE):
        raise BundleError(
            f"{section.where}: mean {mean:g} and std {std:g} are none of cosines (mean within +- {MOST_COSINE}, std "
            f"from {LEAST_STD:g} to {MOST_COSINE}); export the bundle again"
        )
    return BankEntry(text, section.get("kind", str), mean, std)


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
