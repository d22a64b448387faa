"""CORE as two modules to export: its text tower, and the picture with the fusion."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from export.graph.resize import resample
from export.towers.transformer import AdditiveMask, with_child
from realm_train.core.model import moments

# The first stage that is shown to heads: that of a picture halved twice. Moments of one that is larger cost each score
# 3 % of its time, and told the default's probe an AUC of .002 more.
FIRST_SHOWN = 1


def first_shown(stages: int) -> int:
    """The first stage that is shown of so many that are computed: not the largest, unless there is no other."""
    return min(FIRST_SHOWN, stages - 1)


class CoreText(nn.Module):
    """CORE's text tower.

    Args:
        model: See `CoreSource`.
        transformer: `model.text`, or an equal one.
    """

    def __init__(self, model: Any, transformer: AdditiveMask):
        super().__init__()
        self.model = with_child(model, "text", transformer)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Text features float32 [B, F] of ids and mask int64 [B, T]."""
        features: torch.Tensor = self.model.encode_text(input_ids, attention_mask)
        return features


class CoreGraph(nn.Module):
    """CORE from raw pixels: Pillow's resize, the image tower, fusion with text features; and what the tower saw.

    Args:
        model: See `CoreSource`.
        empty_text: float32 [1, F], features of the empty description, which stand for a missing one where
            the model has no learned vector for it; else None.
    """

    empty_text: torch.Tensor

    def __init__(self, model: Any, empty_text: torch.Tensor | None):
        super().__init__()
        self.model = model
        self.substitute = empty_text is not None
        self.unlike = bool(getattr(model, "knows_unlike", False))
        if empty_text is not None:
            self.register_buffer("empty_text", empty_text, persistent=False)

    def forward(
        self,
        pixels: torch.Tensor,
        resample_rows: torch.Tensor,
        resample_cols: torch.Tensor,
        text_features: torch.Tensor,
        has_text: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Mean opinion scores, where the model says so how far the pictures are from those of its training, and stages.

        Args:
            pixels: uint8 [B, H, W, 3] RGB.
            resample_rows: float32 [h, H].
            resample_cols: float32 [w, W].
            text_features: float32 [B, F]; ignored where has_text is 0.
            has_text: float32 [B], 1 or 0.

        Returns:
            `mos`, where there is one `unlike`, float32 [B]; `features` float32 [B, F], the `moments` of all stages
            from `first_shown` on; and the map of each, float32 [B, C_i, H_i, W_i].
        """
        image = resample(pixels.to(torch.float32).permute(0, 3, 1, 2), resample_rows, resample_cols)
        if self.substitute:
            text_features = torch.where(has_text.unsqueeze(1) > 0.5, text_features, self.empty_text)
        features, stages = self.model.encode_stages(image)
        scores = [self.model.fuse(features, text_features, has_text)]
        scores += [self.model.distance(features)] if self.unlike else []
        shown = stages[first_shown(len(stages)) :]
        return (*scores, moments(shown), *shown)
