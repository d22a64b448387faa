"""The arithmetic of comparisons against SciPy, choix and plain loops, and what its intervals and tests promise."""

from __future__ import annotations

import itertools

import choix
import numpy as np
import pytest
import scipy.stats

from realm_engine.verbs.compare.statistics import bootstrap
from realm_engine.verbs.compare.statistics.bootstrap import (
    percentile_interval,
    resample_weights,
    resampled_means,
)
from realm_engine.verbs.compare.statistics.permutation import holm, label_p, sign_flip_p
from realm_engine.verbs.compare.statistics.sets import (
    frechet_distance,
    kernel_distance,
    squared_mmd,
    standardised,
)
from realm_engine.verbs.compare.statistics.wins import POINTS, ranking, strengths, wilson, wins

EXACT = {"rtol": 0, "atol": 1e-6}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


# ---------------------------------------------------------------- bootstrap


def test_the_percentile_interval_is_scipys_with_the_same_resamples(rng):
    values = rng.normal(3, 2, 60)
    found = percentile_interval(resampled_means(values[:, None], 2000, seed=5))
    wanted = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=2000, method="percentile", rng=np.random.default_rng(5)
    ).confidence_interval
    np.testing.assert_allclose(found[:, 0], wanted, **EXACT)


def test_resamples_do_not_depend_on_chunks_and_a_shorter_run_has_the_first_of_them(monkeypatch):
    whole = np.concatenate(list(resample_weights(37, 400)))
    monkeypatch.setattr(bootstrap, "CHUNK_BYTES", 37 * bootstrap._BYTES_PER_DRAW * 7)
    chunks = list(resample_weights(37, 400))
    assert len(chunks) == 58
    np.testing.assert_array_equal(np.concatenate(chunks), whole)
    np.testing.assert_array_equal(np.concatenate(list(resample_weights(37, 90))), whole[:90])
    assert (whole.sum(axis=1) == 37).all()


def test_many_columns_have_the_intervals_that_each_has_alone(rng, monkeypatch):
    values = rng.normal(size=(20, 5))
    alone = [bootstrap.intervals_of_means(values[:, [k]], 300)[:, 0] for k in range(5)]
    monkeypatch.setattr(bootstrap, "CHUNK_BYTES", 16 * 300 * 2)
    np.testing.assert_allclose(bootstrap.intervals_of_means(values, 300).T, alone, rtol=0, atol=1e-12)


def test_chunks_stay_small():
    assert next(iter(resample_weights(5000))).nbytes * 5 <= bootstrap.CHUNK_BYTES < 64 << 20
    assert next(iter(resample_weights(3_000_000, 2))).shape == (1, 3_000_000)  # never less than a row


def test_a_missing_value_counts_for_nothing(rng):
    values = rng.normal(size=(12, 3))
    values[[2, 5], 0] = np.nan
    found = resampled_means(values, 50)
    for weights, row in zip(np.concatenate(list(resample_weights(12, 50))), found, strict=True):
        drawn = np.repeat(np.arange(12), weights.astype(int))
        np.testing.assert_allclose(row, [np.nanmean(values[drawn, k]) for k in range(3)], **EXACT)


# -------------------------------------------------------------- permutation


def test_sign_flips_agree_with_all_sign_flips_of_scipy(rng):
    differences = rng.normal(0.4, 1, (12, 3))
    wanted = [
        scipy.stats.permutation_test(
            (column,), np.mean, permutation_type="samples", vectorized=True, n_resamples=np.inf, axis=-1
        ).pvalue
        for column in differences.T
    ]
    assert sign_flip_p(differences) == pytest.approx(wanted, abs=0.02)


def test_sign_flips_equal_a_plain_loop_over_the_same_signs(rng):
    differences = rng.normal(0.3, 1, 15)
    signs = 2.0 * np.random.default_rng(3).integers(0, 2, size=(500, 15), dtype=np.int8) - 1
    extreme = sum(abs(np.mean(row * differences)) >= abs(np.mean(differences)) - 1e-12 for row in signs)
    assert sign_flip_p(differences[:, None], 500, seed=3) == pytest.approx([(1 + extreme) / 501], abs=1e-12)


def test_label_permutations_agree_with_all_permutations_of_scipy(rng):
    first, second = rng.normal(0.8, 1, (7, 2)), rng.normal(0, 1, (7, 2))
    wanted = [
        scipy.stats.permutation_test(
            (a, b),
            lambda x, y, axis: np.mean(x, axis=axis) - np.mean(y, axis=axis),
            n_resamples=np.inf,
        ).pvalue
        for a, b in zip(first.T, second.T, strict=True)
    ]
    assert label_p(first, second) == pytest.approx(wanted, abs=0.02)


def test_label_permutations_of_unequal_groups_equal_a_plain_loop(rng):
    first, second = rng.normal(1, 1, (4, 1)), rng.normal(0, 1, (9, 1))
    pooled, observed = np.concatenate([first, second])[:, 0], first.mean() - second.mean()
    null = [
        pooled[list(chosen)].mean() - np.delete(pooled, chosen).mean()
        for chosen in itertools.combinations(range(13), 4)
    ]
    wanted = np.mean(np.abs(null) >= abs(observed) - 1e-12)
    assert label_p(first, second)[0] == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize("test", [lambda d: sign_flip_p(d), lambda d: label_p(d, d)])
def test_no_difference_has_p_1_and_nothing_has_none(test):
    assert test(np.ones((5, 1)) * 0)[0] == 1.0
    assert np.isnan(test(np.empty((0, 1)))[0])


def test_the_least_p_is_one_in_ten_thousand():
    assert sign_flip_p(np.ones((100, 1)))[0] == label_p(np.ones((50, 1)), -np.ones((50, 1)))[0] == 1e-4


def test_holm_is_its_definition():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.5])), [0.04, 0.09, 0.09, 0.5], **EXACT)
    np.testing.assert_allclose(holm(np.array([0.02, np.nan, 0.9, 0.8])), [0.06, np.nan, 1, 1], **EXACT)
    assert holm(np.full((2, 3), 0.01)).shape == (2, 3)


# --------------------------------------------------------------------- wins


@pytest.mark.parametrize(("won", "games"), [(0, 7), (3, 7), (7, 7), (120, 200), (1, 1)])
def test_wilson_is_scipys(won, games):
    wanted = scipy.stats.binomtest(won, games).proportion_ci(method="wilson")
    assert wilson(won, games) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_wilson_without_a_game():
    assert wilson(0, 0) == (0.0, 1.0)


def test_bradley_terry_is_choixs_with_doubled_counts(rng):
    won = rng.integers(0, 20, (5, 5)) + 0.5 * rng.integers(0, 2, (5, 5))
    np.fill_diagonal(won, 0)
    doubled = [
        pair for i, j in itertools.permutations(range(5), 2) for pair in [(i, j)] * int(2 * won[i, j] + 1)
    ]
    np.testing.assert_allclose(strengths(won), choix.opt_pairwise(5, doubled, alpha=0, tol=1e-12), **EXACT)
    np.testing.assert_allclose(strengths(won), choix.mm_pairwise(5, doubled, tol=1e-12), **EXACT)


def test_one_that_always_wins_is_finite_and_points_are_what_they_say():
    values = np.array([[3.0, 2.0, 1.0]] * 30)
    points, ends = ranking(values, True)
    assert np.isfinite(points).all() and (np.diff(points) < 0).all()
    assert points.mean() == pytest.approx(1000)
    assert (ends[0] <= points + 1e-6).all() and (ends[1] >= points - 1e-6).all()
    two = strengths(np.array([[0.0, 9.5], [0.5, 0.0]]))  # ten wins to one, the half wins included
    assert POINTS * (two[0] - two[1]) == pytest.approx(400)
    assert (np.diff(ranking(values, False)[0]) > 0).all()


def test_ties_are_half_and_missing_players_play_not():
    found = wins(np.array([1.0, 1.0, 0.0, np.nan]), np.array([0.0, 1.0, 1.0, 1.0]))
    np.testing.assert_array_equal(found, [1.0, 0.5, 0.0, np.nan])


# --------------------------------------------------------------------- sets


def test_the_kernel_distance_is_a_plain_loop(rng):
    first, second = rng.normal(size=(6, 4)), rng.normal(0.5, 1, (5, 4))

    def kernel(x, y):
        return (sum(a * b for a, b in zip(x, y, strict=True)) / 4 + 1) ** 3

    same = [kernel(x, y) for a, x in enumerate(first) for b, y in enumerate(first) if a != b]
    other = [kernel(x, y) for a, x in enumerate(second) for b, y in enumerate(second) if a != b]
    between = [kernel(x, y) for x in first for y in second]
    wanted = np.mean(same) + np.mean(other) - 2 * np.mean(between)
    assert squared_mmd(first, second) == pytest.approx(wanted, abs=1e-9)
    mean, deviation = kernel_distance(first, second, subsets=3)  # every subset holds all of the smaller side
    assert deviation > 0 and abs(mean - wanted) < 3 * deviation + 1e-6


def test_one_distribution_is_at_no_distance_and_another_is(rng):
    reference = rng.normal(size=(200, 16))
    alike, other = rng.normal(size=(200, 16)), rng.normal(0.6, 1.3, (200, 16))
    own = standardised(reference, reference)
    mean, deviation = kernel_distance(standardised(alike, reference), own, 20, size=100)
    assert 0 < abs(mean) < 3 * deviation
    assert kernel_distance(standardised(other, reference), own, 20, size=100)[0] > 0.5
    assert kernel_distance(own, own)[1] == 0.0  # every subset is all there is


def test_features_that_never_move_do_not_divide_by_zero(rng):
    reference = np.column_stack([rng.normal(5, 2, 50), np.full(50, 7.0)])
    found = standardised(reference, reference)
    np.testing.assert_allclose(found[:, 0].std(), 1.0, **EXACT)
    assert (found[:, 1] == 0).all()


def test_the_frechet_distance_is_its_formula_with_scipys_root(rng):
    first, second = rng.normal(size=(80, 5)), rng.normal(1, 2, (90, 5))
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    shift = first.mean(axis=0) - second.mean(axis=0)
    wanted = shift @ shift + np.trace(a + b - 2 * np.real(scipy.linalg.sqrtm(a @ b)))
    assert frechet_distance(first, second) == pytest.approx(wanted, abs=1e-6)


# ------------------------------------------------------- what is promised


def test_intervals_cover_the_true_difference():
    """500 comparisons of skewed scores that share their prompts: 93 to 97 % of the intervals hold the truth."""
    rng = np.random.default_rng(0)
    prompts, true, held = 120, 0.3, 0
    for _ in range(500):
        difficulty = rng.normal(size=prompts)
        first = difficulty + true + rng.gamma(2.0, 0.5, prompts) - 1.0
        second = difficulty + rng.gamma(2.0, 0.5, prompts) - 1.0
        low, high = percentile_interval(resampled_means((first - second)[:, None], 1000))[:, 0]
        held += low <= true <= high
    assert 0.93 <= held / 500 <= 0.97


@pytest.mark.parametrize("paired", [True, False])
def test_four_folders_of_one_generator_are_rarely_said_to_differ(paired):
    rng = np.random.default_rng(1)
    pairs, falsely, rounds = list(itertools.combinations(range(4), 2)), 0, 300
    for _ in range(rounds):
        scores = rng.normal(size=(60, 4)) + paired * rng.normal(size=(60, 1))
        if paired:
            p = sign_flip_p(np.stack([scores[:, a] - scores[:, b] for a, b in pairs], axis=1), 999)
        else:
            p = np.array([label_p(scores[:, [a]], scores[:, [b]], 999)[0] for a, b in pairs])
        falsely += bool((holm(p) < 0.05).any())
    assert falsely / rounds < 0.05 + 0.02  # 300 rounds of a test at its level come this close
