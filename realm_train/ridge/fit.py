"""Ridge regression on standardised features: few ratings, many features, no network to train.

The regression is that of GRepQ's data-efficient setting (arXiv 2312.04838). It leaves open on what data the penalty was
chosen; here that is done by cross-validation on the labelled rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from realm_engine.arrays import Float32, Float64

FOLDS = 5
ALPHAS = tuple(float(alpha) for alpha in 10.0 ** np.arange(-1, 5.5, 0.5))
"""Penalties of standardised features; 0.1, 1, 10 and 100 are the published ones, too weak for 1000 features."""

LEAST_ROWS = 10
"""With fewer ratings an inner fold would be tested on one row."""


@dataclass(frozen=True)
class Ridge:
    """rating = (features - mean) / std @ weight + bias.

    Attributes:
        mean: Of each feature over the labelled rows, float64 [D].
        std: Likewise; 1 where a feature does not vary.
        weight: float64 [D].
        bias: The mean rating.
        alpha: The penalty that was chosen.
    """

    mean: Float64
    std: Float64
    weight: Float64
    bias: float
    alpha: float

    def predict(self, features: Float64 | Float32) -> Float64:
        """Ratings float64 [N] of features [N, D]."""
        return np.asarray((features - self.mean) / self.std @ self.weight + self.bias, dtype=np.float64)

    @property
    def folded(self) -> tuple[Float64, float]:
        """Weight float64 [D] and bias for features as the tower gives them: the standardisation is inside."""
        weight = self.weight / self.std
        return weight, float(self.bias - self.mean @ weight)


def fit_ridge(
    features: Float64 | Float32, ratings: Float64, alphas: Sequence[float] = ALPHAS, seed: int = 0
) -> Ridge:
    """Fit [N, D] to ratings [N], the penalty chosen by the squared error of 5 inner folds. Needs `LEAST_ROWS` rows."""
    fitted = _pipeline(alphas, seed).fit(np.asarray(features, dtype=np.float64), ratings)
    scaler, ridge = fitted[0], fitted[1]
    return Ridge(
        mean=scaler.mean_,
        std=scaler.scale_,
        weight=ridge.coef_,
        bias=float(ridge.intercept_),
        alpha=float(ridge.alpha_),
    )


def held_out_predictions(
    features: Float64 | Float32, ratings: Float64, alphas: Sequence[float] = ALPHAS, seed: int = 0
) -> Float64:
    """A prediction for each of N rows by a ridge that was fitted, penalty and all, without its fold; float64 [N]."""
    outer = KFold(FOLDS, shuffle=True, random_state=seed)
    x = np.asarray(features, dtype=np.float64)
    return np.asarray(cross_val_predict(_pipeline(alphas, seed), x, ratings, cv=outer))


def _pipeline(alphas: Sequence[float], seed: int) -> Pipeline:
    inner = KFold(FOLDS, shuffle=True, random_state=seed)
    return make_pipeline(StandardScaler(), RidgeCV(alphas, cv=inner, scoring="neg_mean_squared_error"))
