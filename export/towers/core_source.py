"""Open a CORE for export: a run folder of `realm-train core`, its checkpoint, or an upstream `.pth`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from export.towers.tokenizer import cut, without_padding
from realm_train.core.checkpoint import load_core
from realm_train.core.config import RAISE_TD
from realm_train.core.loaded import LoadedCore


@dataclass(frozen=True)
class CoreSource:
    """A CORE in evaluation mode with all that its graphs and manifest need.

    `model` offers `encode_image(pixels float32 [B, 3, H, W], 0..255)`, `encode_text(ids, mask)` with a
    transformer of Hugging Face's at `text`, and `fuse(image_features, text_features, has_text)`; where it
    `knows_unlike` also `distance(image_features)`.
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
    raise_td: bool = False  # learned from RAISE-TD's ratings, whose 0-100 scale its scores can be read on

    @property
    def knows_unlike(self) -> bool:
        """Whether it says how far a picture is from those that it was fitted to."""
        return bool(getattr(self.model, "knows_unlike", False))

    @property
    def buckets(self) -> list[int]:
        """Padded lengths that a host should use."""
        return [length for length in (32, 64, 128) if length < self.max_tokens] + [self.max_tokens]


def open_core(path: str | Path) -> CoreSource:
    """Build CORE and load its weights without unpickling code.

    Raises:
        RealmError: nothing is there, it is no CORE, or its weights do not fit.
    """
    path = Path(path)
    # The checkpoint inside a run folder means that run: alone it does not say which architecture it is.
    run = path.parent if path.is_file() and (path.parent / "config.json").is_file() else path
    return core_source(load_core(run))


def core_source(loaded: LoadedCore, weights: str = "trained") -> CoreSource:
    """What the graphs and the manifest need of a loaded CORE."""
    config = loaded.config.model
    return CoreSource(
        model=loaded.model.eval(),
        weights=weights,
        height_px=config.image_height_px,
        width_px=config.image_width_px,
        interpolation=config.interpolation,
        max_tokens=config.max_tokens,
        tokenizer_json=without_padding(json.loads(loaded.tokenizer.to_str())),
        pad_id=loaded.pad_id,
        trained_without_text=loaded.model.trained_without_text,
        raise_td=loaded.config.ratings == RAISE_TD,
    )


@torch.no_grad()
def text_features(core: CoreSource, text: str) -> torch.Tensor:
    """Features float32 [1, F] of one text, cut to `max_tokens` but for its last token, without padding."""
    ids = cut(Tokenizer.from_str(core.tokenizer_json).encode(text).ids, core.max_tokens)
    batch = torch.tensor([ids])
    features: torch.Tensor = core.model.encode_text(batch, torch.ones_like(batch))
    return features


def text_matrix(core: CoreSource, texts: Sequence[str]) -> Any:
    """Features float32 [K, F] of texts, as numpy."""
    return torch.cat([text_features(core, text) for text in texts]).numpy()
