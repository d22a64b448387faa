"""DREAM's graph: an image, window origins, a resize matrix and text embeddings in, cosines out."""

from __future__ import annotations

import torch
from torch import nn

from export.graph.resize import gather_windows, resample_exactly
from export.towers.class_token import use_class_token_only
from export.towers.transformer import with_child


class DreamGraph(nn.Module):
    """Gather, resize, encode and compare, around an open_clip image tower.

    Args:
        encoder: module that maps float32 [N, 3, S, S] (normalised) to float32 [N, D], not normalised.
        mean: per-channel mean of the tower's preprocessing, of pixels in 0..1.
        std: per-channel standard deviation, likewise.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, encoder: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.encoder = encoder
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(
        self,
        image: torch.Tensor,
        top: torch.Tensor,
        left: torch.Tensor,
        resample_matrix: torch.Tensor,
        text: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosine of every window with every text, and the windows' embeddings.

        Args:
            image: uint8 [H, W, 3] RGB.
            top: int64 [N].
            left: int64 [N].
            resample_matrix: float32 [S, w]; w is the window's side.
            text: float32 [K, D], L2-normalised.

        Returns:
            Cosines float32 [N, K] and embeddings float32 [N, D], L2-normalised.
        """
        offsets = torch.arange(resample_matrix.shape[1], device=image.device)
        windows = gather_windows(image.to(torch.float32), top, left, offsets)  # [N, 3, w, w]
        resized = resample_exactly(windows, resample_matrix, resample_matrix)  # [N, 3, S, S]
        features: torch.Tensor = self.encoder((resized / 255.0 - self.mean) / self.std)  # [N, D]
        features = features / torch.linalg.vector_norm(features, dim=-1, keepdim=True).clamp_min(1e-12)
        return torch.matmul(features, text.transpose(0, 1)), features


class ImageTower(nn.Module):
    """open_clip's `encode_image` as a module, so that the exporter sees one named scope."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embeddings float32 [N, D], not normalised, of normalised pixels float32 [N, 3, S, S]."""
        features: torch.Tensor = self.model.encode_image(pixels)  # type: ignore[operator]
        return features


def lean(model: nn.Module) -> nn.Module:
    """The CLIP with an image tower that computes only what its embedding needs."""
    visual = getattr(model, "visual", None)
    if not isinstance(visual, nn.Module):
        return model
    lean: nn.Module = with_child(model, "visual", use_class_token_only(visual))
    return lean
