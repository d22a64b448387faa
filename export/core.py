"""CORE's graphs: `core_text` (token ids -> text features) and `core` (pixels, text features -> MOS)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from export.clip_text import text_ports
from export.graph import GraphExport, Port
from export.manifest import RATING, text_section
from export.resize import resample


@dataclass(frozen=True)
class CoreSource:
    """A CORE in evaluation mode with all that its graphs and manifest need.

    `model` offers `encode_image(pixels float32 [B, 3, H, W], 0..255)`, `encode_text(ids, mask)` and
    `fuse(image_features, text_features, has_text)`.
    """

    model: Any
    weights: str  # "trained" or "random (seed 0)"
    height_px: int
    width_px: int
    interpolation: str
    max_tokens: int
    tokenizer_json: str
    pad_id: int
    missing_text: str  # "trained" or "empty-description"

    @property
    def buckets(self) -> list[int]:
        """Padded lengths that a host should use."""
        return [length for length in (32, 64, 128) if length < self.max_tokens] + [self.max_tokens]


class CoreText(nn.Module):
    """CORE's text tower."""

    def __init__(self, model: Any):
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Text features float32 [B, F] of ids and mask int64 [B, T]."""
        features: torch.Tensor = self.model.encode_text(input_ids, attention_mask)
        return features


class CoreGraph(nn.Module):
    """CORE from raw pixels: Pillow's resize, the image tower, fusion with text features."""

    def __init__(self, model: Any):
        super().__init__()
        self.model = model

    def forward(
        self,
        pixels: torch.Tensor,
        resample_rows: torch.Tensor,
        resample_cols: torch.Tensor,
        text_features: torch.Tensor,
        has_text: torch.Tensor,
    ) -> torch.Tensor:
        """Mean opinion scores.

        Args:
            pixels: uint8 [B, H, W, 3] RGB.
            resample_rows: float32 [h, H].
            resample_cols: float32 [w, W].
            text_features: float32 [B, F]; ignored where has_text is 0.
            has_text: float32 [B], 1 or 0.

        Returns:
            float32 [B].
        """
        image = resample(pixels.to(torch.float32).permute(0, 3, 1, 2), resample_rows, resample_cols)
        mos: torch.Tensor = self.model.fuse(self.model.encode_image(image), text_features, has_text)
        return mos


def core_text_export(core: CoreSource) -> GraphExport:
    """Describe the `core_text` graph: module, example inputs, names and free dimensions."""
    ids, mask = text_example()
    module = CoreText(core.model).eval()
    outputs = (Port("text_features", "float32", ("batch", _text_width(core))),)
    return GraphExport("core_text", module, (ids, mask), text_ports(), outputs)


def core_export(core: CoreSource) -> GraphExport:
    """Describe the `core` graph: module, example inputs, names and free dimensions."""
    generator = torch.Generator().manual_seed(0)
    height, width, features = core.height_px, core.width_px, _text_width(core)
    return GraphExport(
        name="core",
        module=CoreGraph(core.model).eval(),
        example=(
            torch.randint(0, 256, (2, 75, 90, 3), dtype=torch.uint8, generator=generator),
            torch.full((height, 75), 1 / 75),
            torch.full((width, 90), 1 / 90),
            torch.randn(2, features, generator=generator),
            torch.tensor([1.0, 0.0]),
        ),
        inputs=(
            Port("pixels", "uint8", ("batch", "height", "width", 3)),
            Port("resample_rows", "float32", (height, "height")),
            Port("resample_cols", "float32", (width, "width")),
            Port("text_features", "float32", ("batch", features)),
            Port("has_text", "float32", ("batch",)),
        ),
        outputs=(Port("mos", "float32", ("batch",)),),
    )


def core_section(core: CoreSource, tokenizer: str) -> dict[str, Any]:
    """The "core" object of the manifest."""
    return {
        "image": {
            "height_px": core.height_px,
            "width_px": core.width_px,
            "interpolation": core.interpolation,
        },
        "text": text_section(tokenizer, core.max_tokens, core.pad_id, False, core.buckets),
        "missing_text": core.missing_text,
        "rating": RATING,
    }


def text_example() -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask int64 [2, 12], the second row padded."""
    ids = torch.randint(1, 100, (2, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    ids[1, 7:] = 0
    mask[1, 7:] = 0
    return ids, mask


def _text_width(core: CoreSource) -> int:
    with torch.no_grad():
        return int(core.model.encode_text(*text_example()).shape[1])
