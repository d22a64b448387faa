"""Support-vector regressions as CORE's head: few hundred rated images are better fitted by kernels than by a net.

One machine answers from the image's standardised features, one from the description's, and a linear combination
of both, fitted to predictions for rows that the machines had not seen (stacking, Wolpert 1992), is the score. In one
joint kernel the many image features drown the description. Without a description the image's machine answers alone.
What planted flaws take from a picture (`flaws`) is added to the image's. Fitted by scikit-learn, evaluated as matrix
products, so that it exports like any other head.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import KFold
from sklearn.svm import SVR
from torch import Tensor, nn

from realm_engine.arrays import Float64, Int64
from realm_train.core.flaws import FlawAxis

BLEND_FOLDS = 5
LEAST_TO_BLEND = 2 * BLEND_FOLDS
"""With fewer described images the blend stays at the image's machine alone."""

ALIKE = 3.0
"""How strongly the blend's weights are held alike, in rows for each row that there is."""

CLIP = 5.0
"""Standardised features are cut here, so that one odd value does not put an image beyond every support."""


class KernelMachine(nn.Module):
    """sum_i coefficient_i * k(x, support_i) + intercept, float32 [B, F] -> [B].

    k is exp(-gamma * |x - support_i|^2), or the mean of such terms over groups of features, each with its own gamma: an
    additive kernel (Durrande et al. 2012), in which no group drowns another. Its buffers take the size of what is
    loaded: the number of support vectors is known only after the fit.
    """

    free_size = ("support", "coefficient")  # read by `towers.load_strictly`

    support: Tensor
    coefficient: Tensor
    intercept: Tensor
    gamma: Tensor

    def __init__(self, width: int, groups: Sequence[int] = ()) -> None:
        """`groups`: how many features each has, in their order; none: all are one."""
        super().__init__()
        self.groups = tuple(groups) or (width,)
        if sum(self.groups) != width:
            raise ValueError(f"groups of {self.groups} features are not {width}")
        self.register_buffer("support", torch.zeros(1, width))
        self.register_buffer("coefficient", torch.zeros(1))
        self.register_buffer("intercept", torch.zeros(()))
        # One number where there is one group, as checkpoints had it before there were several.
        self.register_buffer("gamma", torch.ones(len(self.groups) if len(self.groups) > 1 else ()))

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate."""
        return self.kernel(x, self.support) @ self.coefficient + self.intercept

    def kernel(self, x: Tensor, other: Tensor) -> Tensor:
        """k of each row with each: [B, F] and [S, F] -> [B, S]."""
        values: Tensor | None = None
        mine_and_its = (torch.split(each, list(self.groups), dim=1) for each in (x, other))
        parts = zip(*mine_and_its, self.gamma.reshape(-1), strict=True)
        for mine, its, gamma in parts:
            squares = (mine * mine).sum(1, keepdim=True) + (its * its).sum(1)
            term = torch.exp(-gamma * torch.relu(squares - 2 * mine @ its.T))
            values = term if values is None else values + term
        assert values is not None
        return values / len(self.groups)

    def fit(self, x: Float64, target: Float64, c: float, gamma: float, epsilon: float) -> None:
        """Fit to float (N, F) and (N,); `gamma` is relative to the total variance of a group's features."""
        # Rows may all be equal, as where every description says the same.
        parts = np.split(x, np.cumsum(self.groups)[:-1], axis=1)
        absolute = np.array([gamma / max(float(part.var(axis=0).sum()), 1e-6) for part in parts])
        self.gamma = torch.as_tensor(absolute).reshape(self.gamma.shape)
        points = torch.as_tensor(x)
        machine = SVR(kernel="precomputed", C=c, epsilon=epsilon)
        machine.fit(self.kernel(points, points).numpy(), target)
        for name, value in (
            ("support", x[machine.support_]),
            ("coefficient", machine.dual_coef_[0]),
            ("intercept", machine.intercept_[0]),
            ("gamma", absolute.reshape(tuple(self.gamma.shape))),
        ):
            setattr(self, name, torch.as_tensor(np.asarray(value, np.float32), device=self.support.device))

    @torch.no_grad()
    def answer(self, x: Float64) -> Float64:
        """`forward` of float (N, F) as numpy."""
        points = torch.as_tensor(x, dtype=torch.float32, device=self.support.device)
        return np.asarray(self(points).double().cpu().numpy())

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in self.free_size:
            loaded = state_dict.get(prefix + name)
            if loaded is not None and loaded.shape[1:] == getattr(self, name).shape[1:]:
                setattr(self, name, torch.zeros_like(loaded, device=self.support.device))
        super()._load_from_state_dict(state_dict, prefix, *rest)


class KernelHead(nn.Module):
    """Standardised features of image and description -> MOS.

    Attributes:
        image: the machine on [B, Fi].
        flaws: what is added to it.
        text: the machine on [B, Ft].
        blend: float32 (3), intercept and weights of the two where there is a description.
    """

    blend: Tensor

    def __init__(self, image_width: int, text_width: int, groups: Sequence[int] = ()) -> None:
        """`groups`: of the image's features, see `KernelMachine`."""
        super().__init__()
        self.image = KernelMachine(image_width, groups)
        self.flaws = FlawAxis(image_width)
        self.text = KernelMachine(text_width)
        self.register_buffer("blend", torch.tensor([0.0, 1.0, 0.0]))

    def forward(self, image: Tensor, text: Tensor, has_text: Tensor) -> Tensor:
        """Features [B, Fi] and [B, Ft], has_text float32 [B] of 0 and 1 -> MOS float32 [B]."""
        alone = self.image(scaled(image)) + self.flaws(image.clamp(-CLIP, CLIP))
        both = self.blend[0] + self.blend[1] * alone + self.blend[2] * self.text(scaled(text))
        return torch.where(has_text > 0.5, both, alone)

    def fit(
        self,
        image: Tensor,
        text: Tensor,
        has_text: Tensor,
        mos: Float64,
        c: float,
        gamma: float,
        epsilon: float,
    ) -> None:
        """Fit to standardised features of N images; rows without a description teach the image's machine only.

        Args:
            image: float [V, N, Fi], V views of each image, of which the first is the image itself.
            text: float [N, Ft].
            has_text: float [N] of 0 and 1.
            mos: float (N,).
            c: penalty, see scikit-learn's SVR.
            gamma: see `KernelMachine.fit`.
            epsilon: see scikit-learn's SVR.
        """
        views = scaled(image).double().cpu().numpy()
        words = scaled(text).double().cpu().numpy()
        rows = np.arange(len(mos))
        described = rows[has_text.cpu().numpy() > 0.5]

        def fit_both(image_rows: Int64, text_rows: Int64) -> None:
            # Views of one image share its penalty, so that their number does not change how much it counts.
            seen = views[:, image_rows].reshape(-1, views.shape[2])
            self.image.fit(seen, np.tile(mos[image_rows], len(views)), c / len(views), gamma, epsilon)
            if len(text_rows) > 1:
                self.text.fit(words[text_rows], mos[text_rows], c, gamma, epsilon)

        if len(described) >= LEAST_TO_BLEND:
            answers = np.zeros((len(described), 2))
            for train, held_out in KFold(BLEND_FOLDS, shuffle=True, random_state=0).split(described):
                fit_both(described[train], described[train])
                answers[held_out, 0] = self.image.answer(views[0, described[held_out]])
                answers[held_out, 1] = self.text.answer(words[described[held_out]])
            self.blend.copy_(torch.as_tensor(blended(answers, mos[described])))
        fit_both(rows, described)


def blended(answers: Float64, mos: Float64) -> Float64:
    """Intercept and weights of two answers (N, 2) to MOS (N,): least squares, drawn towards two weights that are equal.

    Few hundred rows tell how far to stretch both, but hardly which of the two is the better.
    """
    mean, difference = answers.mean(axis=1), answers[:, 0] - answers[:, 1]
    design = np.column_stack([np.ones(len(mos)), mean, difference])
    normal = design.T @ design
    normal[2, 2] += ALIKE * len(mos) * difference.var()
    intercept, both, apart = np.linalg.lstsq(normal, design.T @ mos, rcond=None)[0]
    return np.array([intercept, both / 2 + apart, both / 2 - apart])


def scaled(features: Tensor) -> Tensor:
    """Standardised features cut at `CLIP` and scaled to about unit length, [..., F] -> [..., F]."""
    return features.clamp(-CLIP, CLIP) / math.sqrt(features.shape[-1])
