"""Vision transformers in a form that computes what is used: plain attention, and one query in the last block.

Only the class token leaves a CLIP image tower, so the last block needs the keys and values of all tokens but
the query, the projection and the MLP of one: of 12 blocks 7 % of the arithmetic is saved, and no number changes.
"""

from __future__ import annotations

from typing import Any

import torch
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import nn

from export.towers.transformer import with_child


class PlainBlock(nn.Module):
    """A `ResidualAttentionBlock` with its attention written out, as runtimes know it from other models.

    `first_only`: give the first token alone, [N, 1, D].
    """

    def __init__(self, block: Any, first_only: bool):
        super().__init__()
        self.block = block
        self.first_only = first_only
        attention = block.attn
        self.heads = attention.num_heads
        self.scale = attention.head_dim**-0.5
        weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
        self.query, self.key, self.value = (
            _linear(weight, bias) for weight, bias in zip(weights, biases, strict=True)
        )

    def forward(self, x: torch.Tensor, attn_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Tokens float32 [N, L, D] -> [N, L, D], or [N, 1, D] of the first."""
        assert attn_mask is None
        block = self.block
        normed = block.ln_1(x)
        if self.first_only:
            x = x[:, :1]
        x = x + block.ls_1(self._attend(normed[:, :1] if self.first_only else normed, normed))
        out: torch.Tensor = x + block.ls_2(block.mlp(block.ln_2(x)))
        return out

    def _attend(self, queries: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        query = self._split(self.query(queries)) * self.scale
        scores = torch.matmul(query, self._split(self.key(tokens)).transpose(2, 3))
        mixed = torch.matmul(scores.softmax(dim=-1), self._split(self.value(tokens)))
        out: torch.Tensor = self.block.attn.out_proj(mixed.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """[N, L, D] -> [N, heads, L, D / heads]."""
        per_head: torch.Tensor = torch.unflatten(x, 2, (self.heads, -1))
        return per_head.transpose(1, 2)


def use_class_token_only(tower: nn.Module) -> nn.Module:
    """A copy of a CLIP model's image tower that gives the same embeddings with less work.

    Towers of another kind (convolutional ones, pooling over all tokens) come back as they are.
    """
    plain = isinstance(tower, VisionTransformer) and tower.pool_type == "tok" and tower.attn_pool is None
    if not plain or tower.output_tokens:
        return tower
    blocks: list[Any] = list(tower.transformer.resblocks)  # type: ignore[union-attr,arg-type]
    if not all(_is_plain(block) for block in blocks) or not tower.transformer.batch_first:  # type: ignore[union-attr]
        return tower
    written = [PlainBlock(block, first_only=block is blocks[-1]) for block in blocks]
    transformer = with_child(tower.transformer, "resblocks", nn.ModuleList(written))  # type: ignore[arg-type]
    out: nn.Module = with_child(tower, "transformer", transformer)
    return out


def _is_plain(block: Any) -> bool:
    attention = getattr(block, "attn", None)
    return (
        type(block) is ResidualAttentionBlock
        and not hasattr(block, "ln_1_kv")
        and isinstance(attention, nn.MultiheadAttention)
        and attention.in_proj_weight is not None
        and attention.in_proj_bias is not None
        and attention.bias_k is None
        and not attention.add_zero_attn
    )


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device, dtype=weight.dtype)
    layer.weight, layer.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
    return layer
