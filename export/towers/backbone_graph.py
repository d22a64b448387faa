"""A probe's backbone as a module to export: raw pixels to penultimate features."""

from __future__ import annotations

import torch
from torch import nn

from export.graph.model import Port
from export.graph.resize import resample_exactly
from export.graph.to_onnx import GraphExport
from realm_train.probe.backbones import Backbone


class BackboneGraph(nn.Module):
    """Pillow's resize and crop, as two matrices say, and the backbone."""

    def __init__(self, stem: Backbone) -> None:
        super().__init__()
        self.stem = stem

    def forward(
        self, pixels: torch.Tensor, resample_rows: torch.Tensor, resample_cols: torch.Tensor
    ) -> torch.Tensor:
        """Features float32 [B, F].

        Args:
            pixels: uint8 [B, H, W, 3].
            resample_rows: float32 [S, H], of the view "centre-crop".
            resample_cols: float32 [S, W].
        """
        seen = resample_exactly(pixels.permute(0, 3, 1, 2).float(), resample_rows, resample_cols)
        features: torch.Tensor = self.stem(seen)
        return features


def backbone_export(stem: Backbone, name: str, output: str) -> GraphExport:
    """Describe the graph of a backbone: module, example inputs, names and free dimensions."""
    size = stem.look.size_px
    generator = torch.Generator().manual_seed(0)
    return GraphExport(
        name=name,
        module=BackboneGraph(stem).eval(),
        example=(
            torch.randint(0, 256, (2, 75, 90, 3), dtype=torch.uint8, generator=generator),
            torch.full((size, 75), 1 / 75),
            torch.full((size, 90), 1 / 90),
        ),
        inputs=(
            Port("pixels", "uint8", ("batch", "height", "width", 3)),
            Port("resample_rows", "float32", ("resizes", 1, size, "height")),
            Port("resample_cols", "float32", ("resizes", 1, size, "width")),
        ),
        outputs=(Port(output, "float32", ("batch", stem.width)),),
        matrices=("resample_rows", "resample_cols"),
    )
