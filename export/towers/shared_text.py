"""One text file for CORE and CLIP where one's transformer begins the other's, as frozen ones do."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import nn

from export.graph.to_onnx import GraphExport, Port
from export.parts.core import CoreSource, CoreText, text_example, text_width
from export.towers.clip_model import ClipModel
from export.towers.clip_text import HuggingFaceText, text_ports
from export.towers.transformer import AdditiveMask

# Entries of a transformer's configuration that say where it came from, not what it computes.
ORIGIN = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "model_type"}


LAYERS = "encoder.layer."


class SharedText(nn.Module):
    """Both text graphs side by side; `graph.tidy` merges equal weights, then equal nodes, into one transformer."""

    def __init__(self, core: CoreSource, clip: ClipModel):
        super().__init__()
        tower: Any = clip.model.text
        shallow, deep = sorted([core.model.text, tower.transformer], key=lambda t: len(t.state_dict()))
        # Equal numbers may still be different bytes (-0.0), and only equal bytes are merged.
        weights = deep.state_dict()
        shallow.load_state_dict({key: weights[key] for key in shallow.state_dict()})
        self.core = CoreText(core.model, AdditiveMask(core.model.text))
        self.clip = HuggingFaceText(tower, AdditiveMask(tower.transformer))

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Text features float32 [B, F] and embeddings float32 [B, D] of ids and mask int64 [B, T]."""
        return self.core(input_ids, attention_mask), self.clip(input_ids, attention_mask)


def shared_text_export(core: CoreSource, clip: ClipModel) -> GraphExport | None:
    """The graph with both outputs, or None where neither transformer is the beginning of the other."""
    if clip.fixed_length or not shared_transformer(core, clip):
        return None
    outputs = (
        Port("text_features", "float32", ("batch", text_width(core))),
        Port("text_embedding", "float32", ("batch", clip.embed_dim)),
    )
    return GraphExport("text", SharedText(core, clip).eval(), text_example(), text_ports(), outputs)


def shared_transformer(core: CoreSource, clip: ClipModel) -> bool:
    """Whether one tower's layers are the first layers of the other's.

    That is: equal weights, the same configuration but for the number of layers, the same tokenizer.
    """
    if json.loads(core.tokenizer_json) != json.loads(clip.tokenizer_json):
        return False
    towers: list[Any] = [core.model.text, clip.model.text.transformer]  # type: ignore[union-attr]
    if type(towers[0]) is not type(towers[1]) or _settings(towers[0]) != _settings(towers[1]):
        return False
    shallow, deep = sorted((tower.state_dict() for tower in towers), key=len)
    more = [key for key in deep if key not in shallow]
    if not all(key.startswith(LAYERS) for key in more):
        return False
    return all(key in deep and torch.equal(shallow[key], deep[key]) for key in shallow)


def _settings(transformer: Any) -> dict[str, Any]:
    settings: dict[str, Any] = transformer.config.to_dict()
    return {key: value for key, value in settings.items() if key not in ORIGIN | {"num_hidden_layers"}}
