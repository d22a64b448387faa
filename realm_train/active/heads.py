"""Several logistic regressions on the same rows, each with weights of its own for them, fitted as one problem.

A committee is fitted anew after every query, thousands of times in a simulation: in the space that the rows span, and
all its members together, that takes a tenth of the time of one `LogisticRegression` after the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from realm_engine.arrays import Bool, Float32, Float64, Int64

_MOST_STEPS = 1000
_GRADIENT = 1e-5  # of the mean loss
_RANK = 1e-10
_CONSTANT = 1e-6  # a feature that varies less keeps its scale


@dataclass(frozen=True)
class Heads:
    """p(fake) = sigmoid((x - mean) / std @ weight + bias), H of them.

    Attributes:
        mean: float64 [F], of the rows that they were fitted to.
        std: Likewise.
        weight: float64 [H, F].
        bias: float64 [H].
    """

    mean: Float64
    std: Float64
    weight: Float64
    bias: Float64

    def standardised(self, features: Float32 | Float64) -> Float64:
        """Features [..., F] as the heads take them."""
        return (np.asarray(features, dtype=np.float64) - self.mean) / self.std

    def p_fake(self, features: Float32 | Float64) -> Float64:
        """Of features [N, F], float64 [H, N]."""
        return np.asarray(expit(self.weight @ self.standardised(features).T + self.bias[:, None]))


def fit_heads(features: Float32 | Float64, fake: Bool, counts: Int64, c: float) -> Heads:
    """Logistic regressions with an L2 penalty on standardised features, both labels weighing the same.

    Args:
        features: [n, F].
        fake: bool [n].
        counts: [H, n], how often each head has each row; of both labels some.
        c: Inverse strength of the penalty, as scikit-learn's `LogisticRegression(class_weight="balanced")` has it.
    """
    rows = np.asarray(features, dtype=np.float64)
    mean, std = rows.mean(axis=0), rows.std(axis=0)
    std = np.where(std < _CONSTANT, 1.0, std)
    inside, back = _spanned((rows - mean) / std)
    found = _minimise(inside, fake, _balanced(counts, fake), c)  # [H, r + 1]
    return Heads(mean, std, found[:, :-1] @ back, found[:, -1])


def _spanned(rows: Float64) -> tuple[Float64, Float64]:
    """Coordinates [n, r] of rows [n, F] in the space that they span, and its orthonormal directions [r, F].

    A penalty on the length of the weights is the same there.
    """
    squares, directions = np.linalg.eigh(rows @ rows.T)
    kept = squares > _RANK * max(float(squares[-1]), _RANK)
    lengths = np.sqrt(squares[kept])
    inside = directions[:, kept] * lengths
    return inside, (inside / squares[kept]).T @ rows


def _balanced(counts: Int64, fake: Bool) -> Float64:
    """Counts [H, n] scaled so that each label makes up half of a head's rows."""
    halves = counts.sum(axis=1, keepdims=True) / 2
    of_label = np.where(
        fake, counts[:, fake].sum(axis=1, keepdims=True), counts[:, ~fake].sum(axis=1, keepdims=True)
    )
    return np.asarray(counts * halves / of_label)


def _minimise(inside: Float64, fake: Bool, weights: Float64, c: float) -> Float64:
    """The minima [H, r + 1] of c * sum of weighted losses + |w|^2 / 2, the last of each its intercept."""
    heads, width = len(weights), inside.shape[1]
    sign = np.where(fake, 1.0, -1.0)
    # The curvature lies below 1 + c * squares / 4 in each direction; with steps of its inverse few are enough.
    step = 1 / np.sqrt(1 + c / 4 * np.square(inside).sum(axis=0))
    scaled = inside * step

    def objective(flat: Float64) -> tuple[float, Float64]:
        theta = flat.reshape(heads, width + 1)
        w = theta[:, :-1] * step
        margin = sign * (theta[:, :-1] @ scaled.T + theta[:, -1:])  # [H, n]
        loss = c * (weights * np.logaddexp(0, -margin)).sum() + np.square(w).sum() / 2
        slope = -c * weights * sign * expit(-margin)
        gradient = np.concatenate([slope @ scaled + w * step, slope.sum(axis=1, keepdims=True)], axis=1)
        return float(loss), gradient.ravel()

    options = {
        "maxiter": _MOST_STEPS,
        "maxfun": 2 * _MOST_STEPS,
        "ftol": 0.0,
        "gtol": _GRADIENT * c * len(fake),
    }
    start = np.zeros(heads * (width + 1))
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x.reshape(
        heads, width + 1
    )
    return np.concatenate([found[:, :-1] * step, found[:, -1:]], axis=1)
