"""A probe that brings its backbone: what its run folder says of it, and its weights in one file.

checkpoint.safetensors  weight, mean, std float32 [F]; bias, temperature float32 [1]; the backbone's under backbone.*

p(fake) = sigmoid(((features - mean) / std . weight + bias) / temperature). The published probes standardise nothing.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from realm_train.probe.backbones import Backbone
from realm_train.runs import RunFolder

FORMAT, RECIPE = "realm-probe", "published"
BACKBONE = "backbone."


def about(stem: Backbone) -> dict[str, Any]:
    """What config.json says beside the settings."""
    return {"format": FORMAT, "recipe": RECIPE, "arch": stem.name, "width": stem.width}


def save_probe(
    run: RunFolder, stem: Backbone, weight: Tensor, bias: Tensor, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write the weights of a published probe: a head float32 [F], [1] and its backbone. Raises RunError."""
    run.save_checkpoint(
        {
            "weight": weight,
            "bias": bias,
            "mean": torch.zeros(stem.width),
            "std": torch.ones(stem.width),
            "temperature": torch.ones(1),
            **{BACKBONE + key: value for key, value in stem.network.state_dict().items()},
        },
        metadata,
    )


def backbone_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The backbone's part of a checkpoint, a state_dict of its network."""
    return {key.removeprefix(BACKBONE): value for key, value in state.items() if key.startswith(BACKBONE)}
