"""Nested cross-validation: nothing leaks, and its numbers are what they are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from realm_train.probe.band import FAKE, REAL
from realm_train.probe.data import Labelled
from realm_train.probe.nested import Choice, HeldOut, fit, nested
from realm_train.probe.worth import auc_interval, table, worth

COUNT, WIDTH = 120, 12
CHOICE = Choice(c=(1e-3, 1e-1, 10.0), folds=3)


def some(seed: int, apart: float, group_of=str) -> tuple[list[Labelled], np.ndarray]:
    random = np.random.default_rng(seed)
    fake = random.random(COUNT) < 0.6
    x = random.normal(size=(2, COUNT, WIDTH)) + apart * fake[:, None]
    pictures = [
        Labelled(Path(f"{i}.png"), bool(f), "gan" if f else ("a", "b")[i % 2], group_of(i))
        for i, f in enumerate(fake)
    ]
    return pictures, x.astype(np.float32)


def test_labels_that_mean_nothing_are_not_found() -> None:
    """The leak test: chosen and fitted on the pictures that are reported, it would be far above .5."""
    aucs = []
    for seed in range(6):
        pictures, x = some(seed, apart=0.0)
        found = nested(x, {"clean": x[0]}, pictures, CHOICE, 4, [0])["clean"]
        fake = np.array([picture.fake for picture in pictures])
        aucs.append(roc_auc_score(fake, found.p[0]))
        seen = fit(x, x, pictures, CHOICE, 0).probe.p_fake(x[0])
        assert roc_auc_score(fake, seen) > aucs[-1]
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.08)


def test_copies_in_one_group_do_not_help() -> None:
    """Every picture is there three times, with a label of its own that only its copies tell."""
    pictures, x = some(3, apart=0.0, group_of=lambda i: str(i % 40))
    random = np.random.default_rng(0)
    fakes, own = random.random(40) < 0.5, random.normal(size=(2, 40, 60)).astype(np.float32)
    pictures = [
        Labelled(picture.path, bool(fakes[i % 40]), "s", picture.group) for i, picture in enumerate(pictures)
    ]
    x = own[:, np.arange(COUNT) % 40]
    fake = np.array([picture.fake for picture in pictures])
    grouped = nested(x, {"clean": x[0]}, pictures, CHOICE, 4, [0, 1])["clean"]
    alone = [Labelled(p.path, p.fake, p.source, str(i)) for i, p in enumerate(pictures)]
    leaking = nested(x, {"clean": x[0]}, alone, CHOICE, 4, [0])["clean"]
    assert roc_auc_score(fake, leaking.p[0]) > 0.8
    assert np.mean([roc_auc_score(fake, p) for p in grouped.p]) < 0.7


def test_what_differs_is_found_and_few_are_called_wrongly() -> None:
    pictures, x = some(1, apart=1.0)
    said: list[str] = []
    found = nested(x, {"clean": x[0], "other": x[1]}, pictures, CHOICE, 4, [0, 1], said.append)
    assert len(said) == 8 and said[0].startswith("seed 0, fold 1 of 4: C ")
    main = np.array([picture.source != "b" for picture in pictures])
    report = worth(found, pictures, main)
    assert list(report["views"]) == ["clean", "other"] and report["seeds"] == 2
    fake = np.array([picture.fake for picture in pictures])
    clean = found["clean"]
    assert report["views"]["clean"]["auc"] == pytest.approx(
        np.mean([roc_auc_score(fake[main], p[main]) for p in clean.p]), abs=1e-4
    )
    low, high = report["views"]["clean"]["auc_interval"]
    assert 0.8 < low < report["views"]["clean"]["auc"] < high <= 1
    rows = np.array([picture.source == "b" for picture in pictures])
    of_b = report["sources"]["b"]
    assert of_b["images"] == rows.sum()
    assert of_b["right"] == pytest.approx((clean.verdicts[:, rows] == REAL).mean(), abs=1e-4)
    assert of_b["wrong"] == pytest.approx((clean.verdicts[:, rows] == FAKE).mean(), abs=1e-4)
    assert of_b["wrong_low"] <= of_b["wrong"] <= of_b["wrong_high"]
    assert report["all_views"]["real_called_fake"] < 0.12
    lines = table(report)
    assert lines[1].split()[0] == "clean" and any(line.startswith("b: ") for line in lines)


def test_the_interval_of_an_auc_is_the_percentiles_of_resampled_ones() -> None:
    random = np.random.default_rng(2)
    fake = np.arange(80) >= 30
    p = random.normal(size=80) + fake
    low, high = auc_interval(p, fake, 0)
    resampled = []
    for _ in range(2000):
        a, b = random.choice(p[fake], 50), random.choice(p[~fake], 30)
        resampled.append((a[:, None] > b).mean())
    np.testing.assert_allclose([low, high], np.percentile(resampled, [2.5, 97.5]), atol=0.02)


def test_held_out_means_that_every_picture_is_predicted_once_a_seed() -> None:
    pictures, x = some(5, apart=1.0)
    found = nested(x, {"clean": x[0]}, pictures, CHOICE, 3, [7])["clean"]
    assert isinstance(found, HeldOut) and found.p.shape == found.verdicts.shape == (1, COUNT)
    assert ((found.p > 0) & (found.p < 1)).all() and len(np.unique(found.p)) == COUNT
