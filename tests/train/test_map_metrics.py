import itertools

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from realm_train.clip import map_metrics


def example(seed: int, levels: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A map and a mask of one blob; with `levels` the map has many equal values."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((24, 31), bool)
    mask[5:14, 8 : 15 + seed] = True
    values = rng.normal(size=mask.shape) + 0.7 * mask
    if levels is not None:
        values = np.round(values * levels) / levels
    return values, mask


@pytest.mark.parametrize("levels", [None, 3, 1])
@pytest.mark.parametrize("seed", range(4))
def test_auc_is_that_of_scikit_learn(seed: int, levels: int | None) -> None:
    values, mask = example(seed, levels)
    expected = roc_auc_score(mask.ravel(), values.ravel())
    assert map_metrics.auc(values, mask) == pytest.approx(expected, abs=1e-12)
    assert map_metrics.auc(-values, mask) == pytest.approx(1 - expected, abs=1e-12)


def test_auc_of_extremes() -> None:
    values, mask = example(0)
    assert map_metrics.auc(mask.astype(np.float32), mask) == 1
    assert map_metrics.auc(np.zeros(mask.shape), mask) == 0.5
    for none in (np.zeros_like(mask), np.ones_like(mask)):
        assert np.isnan(map_metrics.auc(values, none)) and np.isnan(map_metrics.auc_judd(values, none))


def judd(values: np.ndarray, mask: np.ndarray) -> float:
    """The definition: for each value in the mask the shares at or above it, then trapezia."""
    points = [(0.0, 0.0)]
    for threshold in sorted(set(values[mask].tolist()), reverse=True):
        above = values >= threshold
        points.append((float(above[~mask].mean()), float(above[mask].mean())))
    points.append((1.0, 1.0))
    return sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in itertools.pairwise(points))


@pytest.mark.parametrize("levels", [None, 3, 1])
@pytest.mark.parametrize("seed", range(3))
def test_auc_judd_is_that_of_a_plain_loop(seed: int, levels: int | None) -> None:
    values, mask = example(seed, levels)
    assert map_metrics.auc_judd(values, mask) == pytest.approx(judd(values, mask), abs=1e-12)


def test_a_constant_map_is_chance() -> None:
    values, mask = np.full((10, 12), 0.25), np.eye(10, 12, dtype=bool)
    assert map_metrics.auc_judd(values, mask) == pytest.approx(0.5)
    assert map_metrics.nss(values, mask) == 0
    assert map_metrics.cc(values, mask) == 0
    assert map_metrics.best_iou(values, mask) == pytest.approx(mask.mean())


@pytest.mark.parametrize("seed", range(3))
def test_nss_and_cc(seed: int) -> None:
    values, mask = example(seed)
    standard = (values - np.mean(values)) / np.std(values)
    assert map_metrics.nss(values, mask) == pytest.approx(sum(standard[mask]) / mask.sum())
    assert map_metrics.nss(3 * values + 2, mask) == pytest.approx(map_metrics.nss(values, mask))
    expected = np.corrcoef(values.ravel(), mask.ravel())[0, 1]
    assert map_metrics.cc(values, mask) == pytest.approx(expected)
    assert map_metrics.cc(mask.astype(float), mask) == pytest.approx(1)
    assert map_metrics.cc(values, np.zeros_like(mask)) == 0


@pytest.mark.parametrize("levels", [None, 3])
@pytest.mark.parametrize("seed", range(3))
def test_best_iou_is_that_of_brute_force(seed: int, levels: int | None) -> None:
    values, mask = example(seed, levels)
    scores = []
    for threshold in np.unique(values):
        above = values >= threshold
        scores.append((above & mask).sum() / (above | mask).sum())
    assert map_metrics.best_iou(values, mask, thresholds=mask.size) == pytest.approx(max(scores))
    coarse = map_metrics.best_iou(values, mask, thresholds=20)
    assert 0.5 * max(scores) < coarse <= max(scores)
    assert map_metrics.best_iou(mask.astype(float), mask) == 1


def test_centre_prior() -> None:
    prior = map_metrics.centre_prior(21, 41)
    assert prior.shape == (21, 41) and prior[10, 20] == 1 == prior.max()
    np.testing.assert_allclose(prior, prior[::-1, ::-1])
    assert prior[10, 20 + 10] == pytest.approx(np.exp(-((10 / 10.25) ** 2) / 2))
    assert prior[10 + 5, 20] == pytest.approx(np.exp(-((5 / 5.25) ** 2) / 2))


def test_texture_prior_is_the_local_standard_deviation() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (60, 70, 3), dtype=np.uint8)
    image[:, :30] = 90
    prior = map_metrics.texture_prior(image, window_px=16)
    grey = cv2.copyMakeBorder(image.astype(np.float64).mean(2), 16, 16, 16, 16, cv2.BORDER_REFLECT_101)
    for y, x in ((0, 0), (20, 33), (31, 60), (59, 69), (40, 28)):
        # A window of an even side reaches half of it up and left, one pixel less down and right.
        assert prior[y, x] == pytest.approx(grey[y + 8 : y + 24, x + 8 : x + 24].std(), abs=1e-6)
    assert prior[30, 10] == pytest.approx(0, abs=1e-6)
