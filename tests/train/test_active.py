"""Active learning: every formula against a plain loop, the committee against scikit-learn, the published defects."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from realm_train.active import compare, published
from realm_train.active.acquisitions import ACQUISITIONS, UNIFORM
from realm_train.active.config import QueryConfig, SimulationConfig, simulation_config
from realm_train.active.heads import fit_heads
from realm_train.active.labels import read_labels
from realm_train.active.learner import Refitted
from realm_train.active.passes import answers, bootstrap_counts, fit_with_passes
from realm_train.active.pool import PoolConfig
from realm_train.active.query import highest, highest_balanced, published_balanced
from realm_train.active.run import simulate
from realm_train.active.simulate import Cell, Trajectory, first_rows, run_cell
from realm_train.errors import ConfigError, DataError, RunError
from realm_train.probe.data import Labelled
from realm_train.runs import open_run
from realm_train.splits import Split

# ------------------------------------------------------------------------------------------- acquisitions


def h(p: float) -> float:
    return -p * math.log(p + 1e-10) - (1 - p) * math.log(1 - p + 1e-10)


def plain(name: str, table: list[list[float]], fake: list[bool]) -> list[float]:
    """u of each picture by loops over passes."""
    found = []
    kind = name.removeprefix("loss-")
    for column in zip(*table, strict=True):
        count, mean = len(column), sum(column) / len(column)
        if kind == "max-entropy":
            found.append(h(mean))
        elif kind == "bald":
            found.append(h(mean) - sum(map(h, column)) / count)
        elif kind == "variation-ratio":
            votes = sum(p > 0.5 for p in column)
            found.append(1 - max(votes, count - votes) / count)
        else:
            found.append(math.sqrt(sum((p - mean) ** 2 for p in column) / count))
    if kind == name:
        return found
    floor = min(*found, 0.1)
    means = [sum(column) / len(column) for column in zip(*table, strict=True)]
    losses = [-math.log((p if y else 1 - p) + 1e-10) for p, y in zip(means, fake, strict=True)]
    return [
        loss * (1 + (u - floor) / (max(found) - floor + 1e-10)) for loss, u in zip(losses, found, strict=True)
    ]


NAMES = [name for name in ACQUISITIONS if name != UNIFORM]


@pytest.mark.parametrize("name", NAMES)
def test_each_formula_is_that_of_a_plain_loop(name):
    rng = np.random.default_rng(0)
    for trial in range(1000):
        table = rng.beta(0.5, 0.5, (rng.integers(1, 12), rng.integers(1, 9)))
        if trial % 10 == 0:
            table = np.round(table)  # certain, and ties
        fake = rng.random(table.shape[1]) < 0.5
        found = ACQUISITIONS[name].score(table, fake)
        np.testing.assert_allclose(found, plain(name, table.tolist(), fake.tolist()), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("passes", [1, 10])
def test_answers_that_are_all_equal_ask_for_the_first_ones(name, p, passes):
    table, one_label = np.full((passes, 7), p), np.ones(7, bool)
    u = ACQUISITIONS[name].score(table, one_label)
    assert np.isfinite(u).all() and np.ptp(u) == 0
    assert highest(u, 3).tolist() == [0, 1, 2]


def test_the_nine_are_numbered_as_published_and_only_the_last_four_read_labels():
    assert [each.number for each in ACQUISITIONS.values()] == list(range(1, 10))
    assert [each.number for each in ACQUISITIONS.values() if each.loss] == [6, 7, 8, 9]
    assert [each.number for each in ACQUISITIONS.values() if each.uncertainty is None] == [1]


# -------------------------------------------------------------------------------------------- the committee


def problem(rows: int = 40, width: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    fake = rng.random(rows) < 0.7
    x = rng.normal(size=(rows, width)) * 10.0 ** rng.uniform(-2, 2, width)
    x[:, :4] += fake[:, None] * x[:, :4].std(axis=0)
    return x.astype(np.float32), fake


@pytest.mark.parametrize(("rows", "width"), [(40, 60), (60, 8)])
def test_heads_together_are_each_the_regression_of_scikit_learn(rows, width):
    x, fake = problem(rows, width)
    counts = np.concatenate([np.ones((1, rows), int), bootstrap_counts(fake, 4, np.random.default_rng(1))])
    heads = fit_heads(x, fake, counts, c=0.01)
    z = heads.standardised(x)
    for weight, bias, count in zip(heads.weight, heads.bias, counts, strict=True):
        repeated = np.repeat(np.arange(rows), count)
        model = LogisticRegression(C=0.01, class_weight="balanced", tol=1e-10, max_iter=10_000)
        model.fit(z[repeated], fake[repeated])
        np.testing.assert_allclose(weight, model.coef_[0], atol=2e-4)
        assert bias == pytest.approx(model.intercept_[0], abs=2e-3)


def test_a_sample_has_as_many_of_each_label_as_there_are():
    fake = np.array([True] * 3 + [False] * 17)
    counts = bootstrap_counts(fake, 50, np.random.default_rng(0))
    assert (counts[:, fake].sum(axis=1) == 3).all() and (counts[:, ~fake].sum(axis=1) == 17).all()
    assert len(np.unique(counts, axis=0)) > 40


@pytest.mark.parametrize(("passes", "views"), [("bootstrap", 1), ("views", 6), ("dropout", 1)])
def test_passes_are_as_many_as_asked_and_differ(passes, views):
    x, fake = problem()
    seen = np.stack([x * (1 + 0.1 * view) for view in range(views)])
    heads = fit_with_passes(x, fake, passes, 5, 0.01, np.random.default_rng(0))
    p = answers(heads, seen, passes, 5, np.random.default_rng(0))
    assert p.shape == (5, 40) and ((p > 0) & (p < 1)).all()
    assert (p.std(axis=0) > 0).mean() > 0.9
    assert np.corrcoef(p.mean(axis=0), heads.p_fake(x)[0])[0, 1] > 0.7


# ------------------------------------------------------------------------------------------- what is asked


def test_the_highest_are_taken_and_ties_by_place():
    assert highest(np.array([1.0, 3, 2, 3, 0]), 3).tolist() == [1, 3, 2]
    assert highest(np.array([1.0, 2]), 5).tolist() == [1, 0]


def test_a_balanced_query_takes_half_of_each_predicted_label_and_fills_up():
    u = np.array([9.0, 8, 7, 6, 5, 4])
    predicted = np.array([True, True, True, True, False, False])
    assert highest_balanced(u, predicted, 4).tolist() == [0, 1, 4, 5]
    assert sorted(highest_balanced(u, predicted, 6).tolist()) == [0, 1, 2, 3, 4, 5]
    assert sorted(highest_balanced(u, ~predicted, 5).tolist()) == [0, 1, 2, 4, 5]
    assert highest_balanced(u, np.ones(6, bool), 4).tolist() == [0, 1, 2, 3]


def test_the_published_balanced_query_asks_about_the_wrong_pictures():
    # Real: places 1, 3, 5 with u 5, 4, 0. Fake: places 0, 2, 4 with u 9, 1, 2.
    fake = np.array([True, False, True, False, True, False])
    u = np.array([9.0, 5, 1, 4, 2, 0])
    # Highest real ones are the 1st and 2nd real, highest fake the 1st and 3rd fake: taken for places in all of them.
    assert published_balanced(u, fake, 4).tolist() == [0, 1, 2]
    assert sorted(highest_balanced(u, fake, 4).tolist()) == [0, 1, 3, 4]


def test_published_weights_are_cubed_and_decay_but_not_below_one():
    import torch

    u = np.array([0.0, 0.3, 0.6])
    expected = [(1 + (value - 0.0) / (0.6 + 1e-10)) ** 3 for value in u]
    np.testing.assert_allclose(published.query_weights(u), expected)
    np.testing.assert_allclose(published.query_weights(u)[[0, 2]], [1, 8], rtol=1e-6)
    weights = torch.tensor([1.0, 1.2, 8.0])
    assert published.decayed(weights, 0.75).tolist() == [1.0, 1.0, 6.0]


def test_the_published_learner_goes_on_where_it_was_and_the_default_leaves_no_trace():
    x, fake = problem(60, 20)
    features = np.stack([x / 100] * 3)
    rows = np.arange(30)
    config = SimulationConfig(
        profile="published", choose=QueryConfig(passes="views", count=2), warm_up=3, epochs=3
    )

    def continued(*rounds: np.ndarray) -> np.ndarray:
        learner = published.Continued(features, fake, "bald", config, np.random.default_rng(0))
        for each in rounds:
            learner.learn(each)
        return learner.p_fake(features[0])

    assert (continued(rows) != continued(rows, rows)).any()
    np.testing.assert_array_equal(continued(rows), continued(rows))

    def refitted(*rounds: np.ndarray) -> np.ndarray:
        learner = Refitted(features, fake, "bald", QueryConfig(), (0, 0))
        for each in rounds:
            learner.learn(each)
        return learner.p_fake(features[0])

    np.testing.assert_array_equal(refitted(rows), refitted(rows[:20], rows[::-1].copy()))


# -------------------------------------------------------------------------------------------- simulations


def small(**more: object) -> SimulationConfig:
    return SimulationConfig(**{"folds": 2, "seeds": 2, "start": 6, "query": 5, "most": 21, **more})


def pictures(fake: np.ndarray) -> list[Labelled]:
    return [Labelled(Path(f"{row}.png"), bool(label), "pool", f"{row}.png") for row, label in enumerate(fake)]


@pytest.mark.parametrize("profile", ["default", "published"])
def test_a_run_asks_for_what_it_has_not_and_starts_where_the_others_do(profile):
    x, fake = problem(80, 20)
    config = simulation_config(tuple(ACQUISITIONS), profile, balanced=False, weighted=profile == "published")
    config = small(
        profile=config.profile, weighted=config.weighted, choose=config.choose, warm_up=2, epochs=2
    )
    features = np.stack([x / 10] * (11 if profile == "published" else 1))
    cell = Cell(0, 0, Split(tuple(range(50)), tuple(range(50, 80))))
    found = run_cell(features, fake, cell, config)
    assert [each.acquisition for each in found] == list(ACQUISITIONS)
    assert {each.labels for each in found} == {(6, 11, 16, 21)}
    assert len({each.auc[0] for each in found}) == 1 and len({each.auc for each in found}) > 3
    assert run_cell(features, fake, cell, config) == found


def test_the_start_has_half_of_each_label_and_nothing_twice():
    fake = np.array([True] * 30 + [False] * 5)
    rows = first_rows(fake, 10, np.random.default_rng(0))
    assert len(set(rows.tolist())) == 10 and fake[rows].sum() == 5
    with pytest.raises(DataError, match="5 real pictures, the start takes 6"):
        first_rows(fake, 12, np.random.default_rng(0))


def test_a_simulation_goes_on_after_a_kill_with_the_same_curves(tmp_path):
    x, fake = problem(60, 12)
    config = small(acquisitions=("uniform", "bald"))
    whole = simulate(x[None], pictures(fake), config, open_run(tmp_path / "a", config, False), lambda _: None)

    class KilledError(Exception):
        pass

    def kill(cell: str) -> None:
        if cell == "seed 0, fold 1":
            raise KilledError

    with pytest.raises(KilledError):
        simulate(x[None], pictures(fake), config, open_run(tmp_path / "b", config, False), kill)
    seen: list[str] = []
    simulate(x[None], pictures(fake), config, open_run(tmp_path / "b", config, True), seen.append)
    for name in ("curves.csv", "metrics.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert len(seen) == 4 and list(whole) == ["uniform", "bald"]
    (tmp_path / "b" / "cells" / "seed-1-fold-0.json").write_text('{"trajectories": [{}]}')
    with pytest.raises(RunError, match=r"seed-1-fold-0\.json: damaged"):
        simulate(x[None], pictures(fake), config, open_run(tmp_path / "b", config, True), seen.append)


# ----------------------------------------------------------------------------------------------- curves


def test_the_area_is_that_of_trapezoids_over_its_width():
    assert Trajectory("x", (20, 40, 80), (0.5, 0.7, 0.9), (0.5, 0.5, 0.5)).area == pytest.approx(
        ((0.5 + 0.7) / 2 * 20 + (0.7 + 0.9) / 2 * 40) / 60
    )


def test_curves_are_percentiles_over_cells_and_gains_are_paired():
    rng = np.random.default_rng(0)
    luck = rng.normal(0, 0.05, 20)  # of a cell, the same for both

    def cell(index: int) -> list[Trajectory]:
        base = 0.8 + luck[index]
        return [
            Trajectory("uniform", (20, 40), (base, base), (0.5, 0.5)),
            Trajectory("bald", (20, 40), (base, base + 0.02), (0.5, 0.6)),
        ]

    found = compare.curves([cell(index) for index in range(20)])
    assert found["uniform"].gain is None and not found["uniform"].beats_uniform
    mean, low, high = found["bald"].gain
    assert mean == pytest.approx(0.01) and low == pytest.approx(0.01) and high == pytest.approx(0.01)
    assert found["bald"].beats_uniform
    np.testing.assert_allclose(found["uniform"].auc[:, 0], np.percentile(0.8 + luck, [5, 50, 95]))


def test_the_interval_of_a_gain_is_that_of_a_plain_bootstrap():
    rng = np.random.default_rng(0)
    mine, uniform = rng.normal(0.9, 0.02, 50), rng.normal(0.89, 0.02, 50)
    mean, low, high = compare.paired_gain(mine, uniform)
    draws = rng.integers(50, size=(20_000, 50))
    expected = np.percentile((mine - uniform)[draws].mean(axis=1), [2.5, 97.5])
    assert mean == pytest.approx((mine - uniform).mean())
    np.testing.assert_allclose([low, high], expected, atol=3e-4)


# ------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (QueryConfig, {"acquisition": "0"}),
        (QueryConfig, {"passes": "noise"}),
        (QueryConfig, {"count": 0}),
        (QueryConfig, {"c": 0.0}),
        (SimulationConfig, {"acquisitions": ("0",)}),
        (SimulationConfig, {"start": 5}),
        (SimulationConfig, {"most": 10}),
        (SimulationConfig, {"weighted": True}),
        (SimulationConfig, {"decay": 0.0}),
    ],
)
def test_settings_that_are_none_are_refused(kind, change):
    with pytest.raises(ConfigError):
        kind(**change)


@pytest.mark.parametrize("name", [name for name, each in ACQUISITIONS.items() if each.loss])
def test_a_loss_needs_labels_that_nobody_has_given(name):
    with pytest.raises(ConfigError, match="the loss needs labels that nobody has given"):
        PoolConfig("pool", "realm-tiny", "ab", QueryConfig(acquisition=name))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("filename,label\na.png,real\nb.png,maybe\n", "line 3: label 'maybe'; write real or fake"),
        ("filename,label\nz.png,real\n", "line 2: no picture 'z.png' in the pool"),
        ("filename,label\na.png,real\na.png,fake\n", "line 3: 'a.png' stands on line 2 already"),
        ("filename,label\nb.png,fake\n", "line 2: 'b.png' was labelled real before; --correct changes it"),
        ("filename,label\na.png\n", "line 2: 1 cells, the header has 2"),
        ("filename\na.png\n", "line 1: no column 'label'; found filename"),
        ("", "line 1: no column 'filename'; found nothing"),
        ('filename,label\n"a.png,real\n', "cannot be read as UTF-8 CSV"),
    ],
)
def test_labels_that_are_wrong_name_the_line(tmp_path, text, words):
    table = tmp_path / "labelled.csv"
    table.write_text(text)
    with pytest.raises(DataError) as raised:
        read_labels(table, ["a.png", "b.png"], {"b.png": "real"})
    assert str(raised.value).startswith(str(table)) and words in str(raised.value)


def test_labels_are_read_as_people_write_them(tmp_path):
    table = tmp_path / "labelled.csv"
    table.write_text("number;filename;label\n1;a.png;Real\n2;b.png; \n\n3;c.png;FAKE\n4;d.png;real\n")
    found = read_labels(
        table, ["a.png", "b.png", "c.png", "d.png"], {"d.png": "real", "a.png": "fake"}, correct=True
    )
    assert found.by_name == {"a.png": "real", "c.png": "fake", "d.png": "real"} and found.blank == 1
