"""CORE's graphs: `core_text` (token ids -> text features) and `core` (pixels, text features -> MOS)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn

from export.graph.resize import resample
from export.graph.to_onnx import GraphExport, Port
from export.manifest import RATING, text_section
from export.towers.clip_text import text_ports
from export.towers.tokenizer import cut
from export.towers.transformer import AdditiveMask, with_child


@dataclass(frozen=True)
class CoreSource:
    """A CORE in evaluation mode with all that its graphs and manifest need.

    `model` offers `encode_image(pixels float32 [B, 3, H, W], 0..255)`, `encode_text(ids, mask)` with a
    transformer of Hugging Face's at `text`, and `fuse(image_features, text_features, has_text)`.
    """

    model: Any
    weights: str  # "trained" or "random (seed 0)"
    height_px: int
    width_px: int
    interpolation: str
    max_tokens: int
    tokenizer_json: str
    pad_id: int
    trained_without_text: bool  # else a missing description is scored as an empty one

    @property
    def buckets(self) -> list[int]:
        """Padded lengths that a host should use."""
        return [length for length in (32, 64, 128) if length < self.max_tokens] + [self.max_tokens]


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
    """CORE from raw pixels: Pillow's resize, the image tower, fusion with text features.

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
        if empty_text is not None:
            self.register_buffer("empty_text", empty_text, persistent=False)

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
        if self.substitute:
            text_features = torch.where(has_text.unsqueeze(1) > 0.5, text_features, self.empty_text)
        mos: torch.Tensor = self.model.fuse(self.model.encode_image(image), text_features, has_text)
        return mos


def core_text_export(core: CoreSource) -> GraphExport:
    """Describe the `core_text` graph: module, example inputs, names and free dimensions."""
    ids, mask = text_example()
    module = CoreText(core.model, AdditiveMask(core.model.text)).eval()
    outputs = (Port("text_features", "float32", ("batch", text_width(core))),)
    return GraphExport("core_text", module, (ids, mask), text_ports(), outputs)


def core_export(core: CoreSource) -> GraphExport:
    """Describe the `core` graph: module, example inputs, names and free dimensions."""
    generator = torch.Generator().manual_seed(0)
    empty = None if core.trained_without_text else text_features(core, "")
    height, width, features = core.height_px, core.width_px, text_width(core)
    return GraphExport(
        name="core",
        module=CoreGraph(core.model, empty).eval(),
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


@torch.no_grad()
def text_features(core: CoreSource, text: str) -> torch.Tensor:
    """Features float32 [1, F] of one text, cut to `max_tokens` but for its last token, without padding."""
    ids = cut(Tokenizer.from_str(core.tokenizer_json).encode(text).ids, core.max_tokens)
    batch = torch.tensor([ids])
    features: torch.Tensor = core.model.encode_text(batch, torch.ones_like(batch))
    return features


def core_section(core: CoreSource, tokenizer: str) -> dict[str, Any]:
    """The "core" object of the manifest."""
    return {
        "image": {
            "height_px": core.height_px,
            "width_px": core.width_px,
            "interpolation": core.interpolation,
        },
        "text": text_section(tokenizer, core.max_tokens, core.pad_id, False, core.buckets),
        "missing_text": "trained" if core.trained_without_text else "empty-description",
        "rating": RATING,
    }


def text_example() -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask int64 [2, 12], the second row padded."""
    ids = torch.randint(1, 10, (2, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    ids[1, 7:] = 0
    mask[1, 7:] = 0
    return ids, mask


def text_width(core: CoreSource) -> int:
    """Number of text features."""
    with torch.no_grad():
        return int(core.model.encode_text(*text_example()).shape[1])
