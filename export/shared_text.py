"""One text file for CORE and CLIP where both use the same transformer, as they do when it was frozen."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import nn

from export.clip_model import ClipModel
from export.clip_text import HuggingFaceText, text_ports
from export.core import CoreSource, CoreText, text_example, text_width
from export.graph import GraphExport, Port
from export.transformer import AdditiveMask

# Entries of a transformer's configuration that say where it came from, not what it computes.
ORIGIN = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "model_type"}


class SharedText(nn.Module):
    """Both text graphs over one transformer; the exporter's duplicate nodes are merged afterwards."""

    def __init__(self, core: CoreSource, clip: ClipModel):
        super().__init__()
        tower: Any = clip.model.text
        transformer = AdditiveMask(core.model.text)  # bitwise equal to the tower's own
        self.core = CoreText(core.model, transformer)
        self.clip = HuggingFaceText(tower, transformer)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Text features float32 [B, F] and embeddings float32 [B, D] of ids and mask int64 [B, T]."""
        return self.core(input_ids, attention_mask), self.clip(input_ids, attention_mask)


def shared_text_export(core: CoreSource, clip: ClipModel) -> GraphExport | None:
    """The graph with both outputs, or None where transformers or tokenizers differ."""
    if clip.fixed_length or not same_transformer(core, clip):
        return None
    outputs = (
        Port("text_features", "float32", ("batch", text_width(core))),
        Port("text_embedding", "float32", ("batch", clip.embed_dim)),
    )
    return GraphExport("text", SharedText(core, clip).eval(), text_example(), text_ports(), outputs)


def same_transformer(core: CoreSource, clip: ClipModel) -> bool:
    """Whether both towers hold bitwise equal weights, the same configuration and the same tokenizer."""
    if json.loads(core.tokenizer_json) != json.loads(clip.tokenizer_json):
        return False
    ours: Any = core.model.text
    theirs: Any = clip.model.text.transformer  # type: ignore[union-attr]
    if type(ours) is not type(theirs) or _settings(ours) != _settings(theirs):
        return False
    a, b = ours.state_dict(), theirs.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def _settings(transformer: Any) -> dict[str, Any]:
    return {key: value for key, value in transformer.config.to_dict().items() if key not in ORIGIN}
