"""How far a picture is from anything that the training has seen, from the features that its score is made of.

A regression answers far from its examples as near them: plain grey gets a score in the middle. The distance is one
between logarithms of spreads: how strongly each channel of the tower's stages varies over the picture. What has no
texture, or none but texture, lies far outside on this scale, where the spreads themselves would only be a little
smaller or larger. Its square is the mean over the directions in which training pictures differ most of squares
relative to their variance there, plus the share that all others have, relative to theirs: an odd mixture of usual
spreads counts, and one that no mixture of them gives. Divided by what 99 % of training pictures stay below that did
not take part in the fit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.model_selection import KFold
from torch import Tensor, nn

from realm_engine.arrays import Float64

DIMENSIONS = 32
FOLDS = 5
QUANTILE = 0.99
LEAST_VARIANCE = 1e-6
LEAST_SPREAD = 1e-6
LEAST_ROWS = 2 * FOLDS
"""With fewer pictures nothing is fitted."""


class Unlike(nn.Module):
    """Spreads float32 [B, S], above 0 -> distance float32 [B]; 1 is further than 99 % of pictures like those seen.

    Its buffers take the size of what is loaded, and a checkpoint may lack them all: nothing is fitted then.
    """

    free_size = ("axes", "inverse")  # read by `towers.load_strictly`
    optional = True  # likewise
    axes: Tensor
    inverse: Tensor
    centre: Tensor
    scale: Tensor
    outside: Tensor
    unit: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("axes", torch.zeros(0, width))  # [K, S], orthonormal rows
        self.register_buffer("inverse", torch.zeros(0))  # [K], 1 / (K variances along them)
        self.register_buffer("centre", torch.zeros(width))  # of the logarithms
        self.register_buffer("scale", torch.ones(width))  # their deviations
        self.register_buffer("outside", torch.zeros(()))  # 1 / variance in all other directions together
        self.register_buffer("unit", torch.ones(()))

    @property
    def fitted(self) -> bool:
        """Whether there is anything to answer from."""
        return len(self.axes) > 0

    def forward(self, spreads: Tensor) -> Tensor:
        """Evaluate."""
        x = (torch.log(spreads.clamp(min=LEAST_SPREAD)) - self.centre) / self.scale
        along = x @ self.axes.T  # [B, K]
        rest = x - along @ self.axes
        squares = (along * along * self.inverse).sum(1) + self.outside * (rest * rest).sum(1)
        return torch.sqrt(squares) / self.unit

    def fit(self, views: Tensor) -> None:
        """Fit to float [V, N, S], V views of each image, of which the first is the image itself.

        Fewer than `LEAST_ROWS` images leave it as it is.
        """
        seen = views.double().cpu().numpy()
        if seen.shape[1] < LEAST_ROWS:
            return
        apart = np.zeros(seen.shape[1])
        self.unit.fill_(1.0)
        for train, held_out in KFold(FOLDS, shuffle=True, random_state=0).split(apart):
            self._fit(seen[:, train].reshape(-1, seen.shape[2]))
            apart[held_out] = self.answer(seen[0, held_out])
        self._fit(seen.reshape(-1, seen.shape[2]))
        self.unit.fill_(max(float(np.quantile(apart, QUANTILE, method="higher")), LEAST_VARIANCE))

    @torch.no_grad()
    def answer(self, spreads: Float64) -> Float64:
        """`forward` of float (N, S) as numpy."""
        points = torch.as_tensor(spreads, dtype=torch.float32, device=self.centre.device)
        return np.asarray(self(points).double().cpu().numpy())

    def _fit(self, spreads: Float64) -> None:
        """Leading directions of the standardised logarithms of float (N, S)."""
        x = np.log(np.maximum(spreads, LEAST_SPREAD))
        centre, scale = x.mean(axis=0), x.std(axis=0)
        scale = np.where(scale > LEAST_VARIANCE, scale, 1.0)
        _, lengths, axes = np.linalg.svd((x - centre) / scale, full_matrices=False)
        variances = np.maximum(lengths**2 / len(x), LEAST_VARIANCE)
        kept = min(DIMENSIONS, len(variances) - 1)
        for name, value in (
            ("axes", axes[:kept]),
            ("inverse", 1.0 / (kept * variances[:kept])),
            ("centre", centre),
            ("scale", scale),
            ("outside", 1.0 / variances[kept:].sum()),
        ):
            setattr(self, name, torch.as_tensor(np.asarray(value, np.float32), device=self.unit.device))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in self.free_size:
            loaded = state_dict.get(prefix + name)
            if loaded is not None and loaded.shape[1:] == getattr(self, name).shape[1:]:
                setattr(self, name, torch.zeros_like(loaded, device=self.unit.device))
        super()._load_from_state_dict(state_dict, prefix, *rest)
