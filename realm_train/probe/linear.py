"""A linear probe: is a picture a photograph or generated, from what a tower sees in it.

Logistic regression on standardised features. It stays linear in the features themselves, so that a map can say
where in the picture its number comes from; no feature is clipped, and nothing else is done to one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit
from sklearn.linear_model import LogisticRegression

from realm_engine.arrays import Bool, Float32, Float64

_MOST_STEPS = 500
_TEMPERATURES = (1e-2, 1e2)
_CONSTANT = 1e-6  # a feature that varies less keeps its scale


@dataclass(frozen=True)
class LinearProbe:
    """p(fake) = sigmoid(((x - mean) / std . weight + bias) / temperature), for equally many pictures of both labels.

    `mean`, `std`, `weight`: float64 [F], of the features x.
    """

    mean: Float64
    std: Float64
    weight: Float64
    bias: float
    temperature: float = 1.0

    def logit(self, features: Float32 | Float64) -> Float64:
        """Of features [..., F], float64 [...]; above 0 where fake is likelier."""
        return np.asarray((self._standardised(features) @ self.weight + self.bias) / self.temperature)

    def p_fake(self, features: Float32 | Float64) -> Float64:
        """Of features [..., F], float64 [...] in 0 to 1."""
        return np.asarray(expit(self.logit(features)))

    def unlike(self, features: Float32 | Float64) -> Float64:
        """How far from what was seen: the mean square of standardised features, 1 on average where it was fitted."""
        return np.asarray(np.square(self._standardised(features)).mean(axis=-1))

    def folded(self, prior: float = 0.5) -> tuple[Float64, float]:
        """(w [F], b) with logit = x . w + b of raw features, where a share `prior` of pictures is fake."""
        weight = self.weight / (self.std * self.temperature)
        shift = float(np.log(prior / (1 - prior)))
        return weight, self.bias / self.temperature - float(self.mean @ weight) + shift

    def _standardised(self, features: Float32 | Float64) -> Float64:
        return (np.asarray(features, dtype=np.float64) - self.mean) / self.std


def fit_linear(features: Float32, fake: Bool, c: float) -> LinearProbe:
    """Fit to views of pictures, both labels weighing the same.

    Args:
        features: float32 [views, N, F]; every view of a picture is a row of its own.
        fake: bool [N], both labels among them.
        c: Inverse strength of the L2 penalty.
    """
    rows = np.asarray(features, dtype=np.float64).reshape(-1, features.shape[-1])
    mean, std = rows.mean(axis=0), rows.std(axis=0)
    std[std < _CONSTANT] = 1.0
    model = LogisticRegression(C=c, class_weight="balanced", max_iter=_MOST_STEPS)
    model.fit((rows - mean) / std, np.tile(fake, len(features)))
    return LinearProbe(mean, std, np.asarray(model.coef_[0]), float(model.intercept_[0]))


def log_loss(logits: Float64, fake: Bool) -> float:
    """Mean over both labels of -log p of what each picture is; logits [..., N], fake [N]."""
    losses = -log_expit(np.where(fake, logits, -logits))
    return float((losses[..., fake].mean() + losses[..., ~fake].mean()) / 2)


def with_temperature(probe: LinearProbe, logits: Float64, fake: Bool) -> LinearProbe:
    """The probe whose p are most likely for pictures that it had not seen, by `logits` [..., N] of such pictures."""
    low, high = np.log(_TEMPERATURES)
    found = minimize_scalar(
        lambda log: log_loss(logits / np.exp(log), fake), bounds=(low, high), method="bounded"
    )
    return replace(probe, temperature=probe.temperature * float(np.exp(found.x)))
