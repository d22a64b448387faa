"""One text file for two parts where one's transformer begins the other's, as frozen ones do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from export.graph.to_onnx import GraphExport

# Entries of a transformer's configuration that say where it came from, not what it computes.
ORIGIN = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "model_type"}


LAYERS = "encoder.layer."


@dataclass(frozen=True)
class TextGraph:
    """The text tower of a part.

    Attributes:
        label: Names its tokenizer's file and its weights in a shared graph.
        graph: Its graph.
        tokenizer_json: Its tokenizer.
        transformer: Hugging Face's, for a tower of free length; None for one that no other can share.
    """

    label: str
    graph: GraphExport
    tokenizer_json: str
    transformer: Any = None


class SharedText(nn.Module):
    """Text graphs side by side; `tidy` merges equal weights, then equal nodes, into one transformer."""

    def __init__(self, first: TextGraph, second: TextGraph):
        super().__init__()
        shallow, deep = _by_depth(first, second)
        # Equal numbers may still be different bytes (-0.0), and only equal bytes are merged.
        weights = deep.state_dict()
        shallow.load_state_dict({key: weights[key] for key in shallow.state_dict()})
        self.labels = (first.label, second.label)
        for text in (first, second):
            self.add_module(text.label, text.graph.module)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What either graph makes of ids and mask int64 [B, T]."""
        first, second = (getattr(self, label)(input_ids, attention_mask) for label in self.labels)
        return first, second


def shared_text_export(first: TextGraph, second: TextGraph) -> GraphExport | None:
    """The graph with both outputs, or None where neither transformer is the beginning of the other."""
    if not shared_transformer(first, second):
        return None
    module, one = SharedText(first, second).eval(), first.graph
    return GraphExport("text", module, one.example, one.inputs, (*one.outputs, *second.graph.outputs))


def shared_transformer(first: TextGraph, second: TextGraph) -> bool:
    """Whether one tower's layers are the first layers of the other's.

    That is: equal weights, the same configuration but for the number of layers, the same tokenizer.
    """
    if first.transformer is None or second.transformer is None:
        return False
    if json.loads(first.tokenizer_json) != json.loads(second.tokenizer_json):
        return False
    towers = [first.transformer, second.transformer]
    if type(towers[0]) is not type(towers[1]) or _settings(towers[0]) != _settings(towers[1]):
        return False
    shallow, deep = (tower.state_dict() for tower in _by_depth(first, second))
    more = [key for key in deep if key not in shallow]
    if not all(key.startswith(LAYERS) for key in more):
        return False
    return all(key in deep and torch.equal(shallow[key], deep[key]) for key in shallow)


def _by_depth(first: TextGraph, second: TextGraph) -> list[Any]:
    return sorted([first.transformer, second.transformer], key=lambda tower: len(tower.state_dict()))


def _settings(transformer: Any) -> dict[str, Any]:
    settings: dict[str, Any] = transformer.config.to_dict()
    return {key: value for key, value in settings.items() if key not in ORIGIN | {"num_hidden_layers"}}
