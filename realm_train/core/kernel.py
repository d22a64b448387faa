"""A support-vector regression as CORE's head: few hundred rated images are better fitted by a kernel than by a net.

Standardised features of both towers, each scaled to unit mean square, meet in one RBF kernel; a second machine on
the image's features alone answers where there is no description. Fitted by scikit-learn, evaluated as two matrix
products, so that it exports like any other head.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Floats = NDArray[np.float64]

CLIP = 5.0
"""Standardised features are cut here, so that one odd value does not put an image beyond every support."""


class KernelMachine(nn.Module):
    """sum_i coefficient_i * exp(-gamma * |x - support_i|^2) + intercept, float32 [B, F] -> [B].

    Its buffers take the size of what is loaded: the number of support vectors is known only after the fit.
    """

    free_size = ("support", "coefficient")  # read by `towers.load_strictly`

    support: Tensor
    coefficient: Tensor
    intercept: Tensor
    gamma: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("support", torch.zeros(1, width))
        self.register_buffer("coefficient", torch.zeros(1))
        self.register_buffer("intercept", torch.zeros(()))
        self.register_buffer("gamma", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate."""
        squares = (x * x).sum(1, keepdim=True) + (self.support * self.support).sum(1)  # [B, S]
        distance = torch.relu(squares - 2 * x @ self.support.T)
        return torch.exp(-self.gamma * distance) @ self.coefficient + self.intercept

    def fit(self, x: Floats, target: Floats, c: float, gamma: float, epsilon: float) -> None:
        """Fit to float (N, F) and (N,); `gamma` is relative to the total variance of x."""
        from sklearn.svm import SVR

        absolute = gamma / float(x.var(axis=0).sum())
        machine = SVR(kernel="rbf", C=c, gamma=absolute, epsilon=epsilon).fit(x, target)
        for name, value in (
            ("support", machine.support_vectors_),
            ("coefficient", machine.dual_coef_[0]),
            ("intercept", machine.intercept_[0]),
            ("gamma", absolute),
        ):
            setattr(self, name, torch.as_tensor(np.asarray(value, np.float32), device=self.support.device))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in self.free_size:
            loaded = state_dict.get(prefix + name)
            if loaded is not None and loaded.shape[1:] == getattr(self, name).shape[1:]:
                setattr(self, name, torch.zeros_like(loaded, device=self.support.device))
        super()._load_from_state_dict(state_dict, prefix, *rest)


class KernelHead(nn.Module):
    """Standardised features of image and description -> MOS, by one machine for both and one for images alone."""

    def __init__(self, image_width: int, text_width: int, text_share: float) -> None:
        super().__init__()
        self.image_scale = 1 / math.sqrt(image_width)
        self.text_scale = text_share / math.sqrt(text_width)
        self.both = KernelMachine(image_width + text_width)
        self.image_only = KernelMachine(image_width)

    def joined(self, image: Tensor, text: Tensor) -> Tensor:
        """Both towers' features in one space, [B, Fi + Ft]; the first Fi are those of the image alone."""
        return torch.cat(
            [image.clamp(-CLIP, CLIP) * self.image_scale, text.clamp(-CLIP, CLIP) * self.text_scale], dim=1
        )

    def forward(self, image: Tensor, text: Tensor, has_text: Tensor) -> Tensor:
        """Features [B, Fi] and [B, Ft], has_text float32 [B] of 0 and 1 -> MOS float32 [B]."""
        joined = self.joined(image, text)
        alone = self.image_only(joined[:, : image.shape[1]])
        return torch.where(has_text > 0.5, self.both(joined), alone)

    def fit(
        self,
        image: Tensor,
        text: Tensor,
        has_text: Tensor,
        mos: Floats,
        c: float,
        gamma: float,
        epsilon: float,
    ) -> None:
        """Fit both machines to standardised features of N images; rows without a description teach one only."""
        joined = self.joined(image, text).double().cpu().numpy()
        described = has_text.cpu().numpy() > 0.5
        if described.sum() > 1:
            self.both.fit(joined[described], mos[described], c, gamma, epsilon)
        self.image_only.fit(joined[:, : image.shape[1]], mos, c, gamma, epsilon)
