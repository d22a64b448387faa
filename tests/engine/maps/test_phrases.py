"""Which phrases of a bank count, on similarities that are made by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from realm_engine.maps.phrases import BankEntry, pick_phrases
from realm_engine.maps.spec import PhrasePolicy

BANK = tuple(
    BankEntry(f"flaw {index}", f"kind {index}", 0.25 * index, 0.5 + 0.25 * index) for index in range(5)
)


class Hand:
    """A model whose windows are so many standard deviations from what photographs have, window by phrase."""

    def __init__(self, z: np.ndarray, policy: PhrasePolicy) -> None:
        self.spec = SimpleNamespace(phrase_policy=policy)
        self.z = z
        self.grids: list = []

    def embed(self, texts: list[str]) -> np.ndarray:
        assert texts == [entry.text for entry in BANK]
        return np.eye(len(texts), dtype=np.float32)

    def similarities(self, image: np.ndarray, grid, embeddings: np.ndarray) -> np.ndarray:
        self.grids.append(grid)
        means, stds = (np.array([getattr(entry, name) for entry in BANK]) for name in ("mean", "std"))
        return means + self.z * stds


def picked(z: np.ndarray, policy: PhrasePolicy | None = None) -> list[int]:
    hand = Hand(z, policy or PhrasePolicy())
    found = pick_phrases(hand, BANK, np.zeros((48, 64, 3), np.uint8), 16)
    (grid,) = hand.grids
    assert (grid.height, grid.width, grid.window_px, grid.stride_px) == (48, 64, 16, 8)
    assert [phrase.kind for phrase in found] == [phrase.text.replace("flaw", "kind") for phrase in found]
    return [int(phrase.text.split()[1]) for phrase in found]


def constant(*scores: float) -> np.ndarray:
    return np.repeat(np.array([scores]), 35, axis=0)


def test_the_three_best_count_the_best_first():
    assert picked(constant(2.0, 2.4, 2.3, 2.1, 2.2)) == [1, 2, 4]
    assert picked(constant(2.0, 2.0, 2.0, 2.0, 2.0)) == [0, 1, 2]  # of equals the first of the bank


@pytest.mark.parametrize("most", [1, 2, 5, 9])
def test_so_many_as_the_policy_says(most):
    assert picked(constant(2.0, 2.4, 2.3, 2.1, 2.2), PhrasePolicy(most=most)) == [1, 2, 4, 3, 0][:most]


@pytest.mark.parametrize("margin", [1.0, 0.5, 2.0])
def test_a_phrase_further_behind_the_best_than_the_margin_is_left_out(margin):
    scores = constant(3.0, 3.0 - margin + 1e-6, 3.0 - margin - 1e-6, -9.0, -9.0)
    assert picked(scores, PhrasePolicy(margin_z=margin)) == [0, 1]
    if margin == 1.0:
        assert picked(scores) == [0, 1]


@pytest.mark.parametrize("percentile", [95.0, 50.0, 0.0, 100.0])
def test_the_percentile_over_windows_decides(percentile):
    z = np.random.default_rng(1).gumbel(size=(35, 5)) * np.array([1.0, 0.2, 3.0, 0.5, 2.0])
    scores = np.percentile(z, percentile, axis=0)
    policy = PhrasePolicy(most=5, margin_z=1e9, percentile=percentile)
    assert picked(z, policy) == np.argsort(-scores).tolist()
    found = pick_phrases(Hand(z, policy), BANK, np.zeros((48, 64, 3), np.uint8), 16)
    assert [phrase.z_score for phrase in found] == pytest.approx(-np.sort(-scores), abs=5e-4)


def test_by_default_that_is_the_95th():
    """Of 41 windows in order the 39th: three that stand out reach it, two do not, however far they do."""
    z = np.zeros((41, 5))
    z[:3, 0], z[:2, 1] = 1.0, 100.0
    found = pick_phrases(Hand(z, PhrasePolicy(most=5)), BANK, np.zeros((48, 64, 3), np.uint8), 16)
    assert [(phrase.text, phrase.z_score) for phrase in found] == [
        ("flaw 0", 1.0),
        *((f"flaw {index}", 0.0) for index in range(1, 5)),
    ]
