"""CLIP's text graph: token ids in, L2-normalised embeddings out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.hf_model import HFTextEncoder
from tokenizers import Tokenizer
from torch import nn

from export.graph.model import Port
from export.graph.to_onnx import GraphExport
from export.towers.clip_model import ClipModel
from export.towers.transformer import AdditiveMask
from realm_engine.arrays import Array


class NativeText(nn.Module):
    """open_clip's own text transformer: `max_tokens` ids, pooled where the tower says (the end token)."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Embeddings float32 [B, D], L2-normalised, of ids int64 [B, max_tokens]."""
        return normalise(self.model.encode_text(input_ids))  # type: ignore[operator]


class HuggingFaceText(nn.Module):
    """open_clip's HFTextEncoder with an explicit attention mask in place of `ids != pad`.

    Args:
        tower: The encoder: its pooler and projection are used.
        transformer: Its transformer, or an equal one.
    """

    def __init__(self, tower: HFTextEncoder, transformer: AdditiveMask):
        super().__init__()
        self.transformer = transformer
        self.pooler = tower.pooler
        self.proj = tower.proj

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Embeddings float32 [B, D], L2-normalised, of ids and mask int64 [B, T]."""
        hidden = self.transformer(input_ids, attention_mask)
        features: torch.Tensor = self.proj(self.pooler(hidden, attention_mask))
        return normalise(features)


def normalise(features: torch.Tensor) -> torch.Tensor:
    """Divide rows of float32 [B, D] by their L2 norm."""
    length: torch.Tensor = torch.linalg.vector_norm(features, dim=-1, keepdim=True)
    return features / length.clamp_min(1e-12)


def clip_text_export(clip: ClipModel) -> GraphExport:
    """Describe the `clip_text` graph: module, example inputs, names and free dimensions."""
    output = (Port("text_embedding", "float32", ("batch", clip.embed_dim)),)
    generator = torch.Generator().manual_seed(0)
    if clip.fixed_length:
        ids = torch.randint(1, 10, (2, clip.max_tokens), generator=generator)
        ports = (Port("input_ids", "int64", ("batch", clip.max_tokens)),)
        return GraphExport("clip_text", NativeText(clip.model).eval(), (ids,), ports, output)
    tower: Any = clip.model.text
    module = HuggingFaceText(tower, AdditiveMask(tower.transformer)).eval()
    ids = torch.randint(1, 10, (2, 12), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    return GraphExport("clip_text", module, (ids, mask), text_ports(), output)


def text_ports() -> tuple[Port, Port]:
    """Inputs of a text graph with free length."""
    shape = ("batch", "tokens")
    return Port("input_ids", "int64", shape), Port("attention_mask", "int64", shape)


@torch.no_grad()
def clip_texts(clip: ClipModel, texts: Sequence[str]) -> torch.Tensor:
    """Embeddings float32 [K, D], not normalised, by PyTorch.

    By open_clip's own tokenizer where it is CLIP's, else by the tower's, padded to full length.
    """
    if clip.own_tokenizer:
        ids = open_clip.tokenizer.SimpleTokenizer(context_length=clip.max_tokens)(list(texts))
    else:
        tokenizer = Tokenizer.from_str(clip.tokenizer_json)
        tokenizer.enable_padding(length=clip.max_tokens, pad_id=clip.pad_id)
        tokenizer.enable_truncation(clip.max_tokens)
        ids = torch.tensor([tokenizer.encode(text).ids for text in texts])
    features: torch.Tensor = clip.model.encode_text(ids)  # type: ignore[operator]
    return features


def text_embeddings(clip: ClipModel, texts: Sequence[str]) -> Array:
    """L2-normalised embeddings float32 [K, D] of texts, by PyTorch."""
    embeddings: Array = torch.nn.functional.normalize(clip_texts(clip, texts), dim=-1).numpy()
    return embeddings.astype(np.float32)
