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
