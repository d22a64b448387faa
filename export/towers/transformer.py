"""A Hugging Face text transformer in a form that exports to a small graph with finite masks."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from torch import nn

from export.graph.to_onnx import MASK_FLOOR


class AdditiveMask(nn.Module):
    """A transformer that gets its attention mask as finite float32 numbers to add to the scores.

    Given a mask of 0 and 1 the library builds its own with -inf, gathers of booleans and guards against NaN;
    a mask of four dimensions it adds as it is.
    """

    def __init__(self, transformer: Any):
        super().__init__()
        self.transformer = transformer
        self.config = transformer.config
        self.segments = "token_type_ids" in inspect.signature(transformer.forward).parameters

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        """The transformer's output for ids and mask int64 [B, T]."""
        additive = (1.0 - attention_mask[:, None, None, :].to(torch.float32)) * MASK_FLOOR  # [B, 1, 1, T]
        options = {"token_type_ids": torch.zeros_like(input_ids)} if self.segments else {}
        return self.transformer(input_ids=input_ids, attention_mask=additive, **options)


def with_child(module: nn.Module, name: str, child: nn.Module) -> Any:
    """A shallow copy of a module in which one child is another; the original stays as it is."""
    clone = copy.copy(module)
    clone._modules = {**module._modules, name: child}
    return clone
