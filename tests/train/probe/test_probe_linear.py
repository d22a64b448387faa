"""The linear probe and its band, against plain loops and on numbers that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from realm_train.probe.band import FAKE, REAL, UNCERTAIN, Band, Calls, choose_band
from realm_train.probe.linear import fit_linear, log_loss, with_temperature

RNG = np.random.default_rng(11)
VIEWS, COUNT, WIDTH = 3, 60, 7
FAKE_ROWS = RNG.random(COUNT) < 0.7


def features(apart: float = 1.0) -> np.ndarray:
    shape = (VIEWS, COUNT, WIDTH)
    means = np.where(FAKE_ROWS[:, None], apart, 0.0) * np.linspace(-1, 1, WIDTH)
    return (5 + 3 * (RNG.normal(size=shape) + means)).astype(np.float32)


def test_the_logit_is_the_formula_and_the_folded_weights_give_it_from_raw_features() -> None:
    x = features()
    probe = with_temperature(fit_linear(x, FAKE_ROWS, 0.1), RNG.normal(size=(VIEWS, COUNT)), FAKE_ROWS)
    weight, bias = probe.folded()
    shifted = probe.folded(prior=0.1)
    for row, logit, unlike, p in zip(
        x[0], probe.logit(x[0]), probe.unlike(x[0]), probe.p_fake(x[0]), strict=True
    ):
        standardised = [(v - m) / s for v, m, s in zip(row, probe.mean, probe.std, strict=True)]
        summed = sum(w * z for w, z in zip(probe.weight, standardised, strict=True))
        expected = (summed + probe.bias) / probe.temperature
        assert logit == pytest.approx(expected, abs=1e-9)
        assert p == pytest.approx(1 / (1 + math.exp(-expected)), abs=1e-12)
        assert unlike == pytest.approx(sum(z * z for z in standardised) / WIDTH, abs=1e-9)
        assert row.astype(float) @ weight + bias == pytest.approx(expected, abs=1e-9)
        assert row.astype(float) @ shifted[0] + shifted[1] == pytest.approx(
            expected + math.log(1 / 9), abs=1e-9
        )


def test_the_weights_minimise_the_balanced_loss() -> None:
    """scikit-learn's own optimum with weights that are counted here, by another of its solvers."""
    x = features()
    probe = fit_linear(x, FAKE_ROWS, 0.05)
    rows, fake = x.reshape(-1, WIDTH).astype(float), np.tile(FAKE_ROWS, VIEWS)
    weights = np.where(fake, len(fake) / (2 * fake.sum()), len(fake) / (2 * (~fake).sum()))
    other = LogisticRegression(C=0.05, solver="newton-cholesky", tol=1e-10).fit(
        (rows - rows.mean(0)) / rows.std(0), fake, weights
    )
    np.testing.assert_allclose(probe.weight, other.coef_[0], atol=2e-3)
    assert probe.bias == pytest.approx(other.intercept_[0], abs=2e-3)


def test_a_feature_that_is_constant_adds_nothing() -> None:
    x = features()
    x[..., 2] = 4.0
    probe = fit_linear(x, FAKE_ROWS, 1.0)
    assert probe.std[2] == 1.0 and abs(probe.weight[2]) < 1e-9


def test_the_temperature_undoes_logits_that_are_too_sure() -> None:
    truth = RNG.normal(size=20_000) * 1.5
    fake = RNG.random(20_000) < 1 / (1 + np.exp(-truth))
    probe = fit_linear(features(), FAKE_ROWS, 1.0)
    assert with_temperature(probe, 4 * truth, fake).temperature == pytest.approx(4, rel=0.1)
    losses = np.array([math.log1p(math.exp(-v if f else v)) for v, f in zip(truth, fake, strict=True)])
    assert log_loss(truth, fake) == pytest.approx((losses[fake].mean() + losses[~fake].mean()) / 2)


def test_a_band_calls_few_of_any_source_wrongly_and_none_narrower_does() -> None:
    fake = np.arange(300) >= 150
    sources = ["a"] * 100 + ["b"] * 47 + ["one", "two", "three"] + ["gan"] * 150
    p = np.clip(np.where(fake, 0.7, 0.3) + RNG.normal(size=(4, 300)) * 0.2, 0, 1)
    p[:, 100:147] += 0.1  # photographs that look more like generated ones
    band = choose_band(p, fake, sources, 0.05, 9.0)
    of_b, of_gan = p[:, 100:147], p[:, 150:]
    assert (of_b >= band.fake_above).mean() <= 0.05 < (of_b >= band.fake_above - 0.02).mean()
    assert (of_gan <= band.real_below).mean() <= 0.05 < (of_gan <= band.real_below + 0.02).mean()
    assert (p[:, :100] >= band.fake_above).mean() < 0.05


def test_sources_of_few_pictures_count_together() -> None:
    fake = np.arange(60) >= 30
    p = np.where(fake, 0.9, np.linspace(0, 0.5, 60))
    many = choose_band(p[None], fake, [f"camera {i}" for i in range(60)], 0.1, 9.0)
    assert many == choose_band(p[None], fake, ["camera"] * 60, 0.1, 9.0)


def test_what_is_told_apart_needs_no_band_and_what_is_not_stays_uncertain() -> None:
    fake, sources = np.arange(40) >= 20, [""] * 40
    far = np.where(fake, 0.9, 0.1)
    apart = choose_band(far[None], fake, sources, 0.0, 9.0)
    np.testing.assert_array_equal(apart.verdicts(far, np.zeros(40)), np.where(fake, FAKE, REAL))
    # A tenth of each label looks like the other one a little, the rest like itself.
    few = np.where(np.arange(40) % 20 < 2, np.where(fake, 0.4, 0.6), np.where(fake, 0.97, 0.02))
    none = choose_band(few[None], fake, sources, 0.1, 9.0)
    assert none.real_below == none.fake_above and 0.4 < none.real_below < 0.6
    same = choose_band(np.full((1, 40), 0.5), fake, sources, 0.04, 9.0)
    assert set(same.verdicts(np.full(40, 0.5), np.zeros(40))) == {UNCERTAIN}


def test_verdicts_and_their_shares() -> None:
    band = Band(0.2, 0.8, 3.0)
    p, unlike = np.array([0.2, 0.21, 0.79, 0.8, 0.9, 0.1]), np.array([0, 0, 0, 3.0, 3.1, 9])
    verdicts = band.verdicts(p, unlike)
    assert list(verdicts) == [REAL, UNCERTAIN, UNCERTAIN, FAKE, UNCERTAIN, UNCERTAIN]
    calls = Calls.of(verdicts, np.array([True, True, False, False, False, True]))
    assert (calls.fake_called_real, calls.real_called_fake, calls.uncertain) == pytest.approx(
        (1 / 3, 1 / 3, 4 / 6)
    )
    with pytest.raises(ValueError, match="band"):
        Band(0.8, 0.2, 1.0)
