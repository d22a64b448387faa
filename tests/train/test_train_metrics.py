import numpy as np
import pytest
from scipy import stats

from realm_train import metrics


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    target = rng.normal(size=60).round(1)  # with ties
    return target * 0.5 + rng.normal(size=60).round(1), target


def test_correlations_agree_with_scipy(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert metrics.srocc(*pair) == pytest.approx(stats.spearmanr(*pair).statistic, abs=1e-12)
    assert metrics.plcc(*pair) == pytest.approx(stats.pearsonr(*pair).statistic, abs=1e-12)


def test_equal_rank_correlations_are_equal_numbers() -> None:
    """Epochs are compared by them: of equals none is better."""
    rng = np.random.default_rng(0)
    target = np.arange(20)
    found: dict[int, set[float]] = {}
    for _ in range(3000):
        order = rng.permutation(20)
        found.setdefault(int(((order - target) ** 2).sum()), set()).add(metrics.srocc(order, target))
    assert len(found) > 300 and all(len(values) == 1 for values in found.values())
    for distance, values in found.items():
        assert values.pop() == pytest.approx(1 - 6 * distance / (20 * 399), abs=1e-14)


def test_rmse() -> None:
    assert metrics.rmse([1, 2, 3], [1, 2, 6]) == pytest.approx(np.sqrt(3))


def test_constant_prediction_has_no_correlation() -> None:
    assert np.isnan(metrics.srocc([1, 1, 1], [1, 2, 3]))
    assert np.isnan(metrics.plcc([0.1] * 7, np.arange(7)))


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="equally long"):
        metrics.srocc([1, 2], [1, 2, 3])


def test_bootstrap_interval(pair: tuple[np.ndarray, np.ndarray]) -> None:
    ours = metrics.bootstrap(metrics.plcc, *pair, samples=1500)
    reference = stats.bootstrap(
        pair,
        lambda x, y: stats.pearsonr(x, y).statistic,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=1500,
        random_state=1,
    ).confidence_interval
    assert ours.value == metrics.plcc(*pair)
    assert ours.low == pytest.approx(reference.low, abs=0.04)
    assert ours.high == pytest.approx(reference.high, abs=0.04)
    assert ours == metrics.bootstrap(metrics.plcc, *pair, samples=1500)


@pytest.mark.parametrize("name", metrics.STATISTICS)
def test_bootstrap_is_one_statistic_for_each_drawn_sample(name: str, pair: tuple[np.ndarray, ...]) -> None:
    """Percentiles over resamples that are drawn and measured here one by one."""
    statistic = metrics.STATISTICS[name]
    generator = np.random.default_rng(7)
    draws = [generator.integers(0, 60, 60) for _ in range(450)]
    values = [statistic(pair[0][draw], pair[1][draw]) for draw in draws]
    found = metrics.bootstrap(statistic, *pair, samples=450, seed=7)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])), abs=1e-12)


def test_resamples_without_a_correlation_are_left_out(recwarn: pytest.WarningsRecorder) -> None:
    found = metrics.bootstrap(metrics.srocc, [0.1, 0.2, 0.3], [1, 2, 3])
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))
    single = metrics.estimates([1.0], [3.0])
    assert np.isnan(single["plcc"].value) and np.isnan(single["srocc"].low)
    assert (single["rmse"].value, single["rmse"].low, single["rmse"].high) == (2, 2, 2)
    assert not recwarn.list
