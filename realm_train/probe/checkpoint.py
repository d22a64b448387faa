"""A probe that brings its backbone: what its run folder says of it, and its weights in one file.

Of a published probe (of a linear one see `run`):

checkpoint.safetensors  weight, mean, std float32 [F]; bias, temperature float32 [1]; the backbone's under backbone.*

p(fake) = sigmoid(((features - mean) / std . weight + bias) / temperature). The published probes standardise nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from realm_engine.arrays import Float32
from realm_train.errors import RunError
from realm_train.probe.backbones import NONE, Backbone, backbone
from realm_train.probe.config import CORE, ProbeConfig
from realm_train.runs import RunFolder
from realm_train.towers import load_strictly

FORMAT, RECIPE = "realm-probe", "published"
SUMMARY = "summary.json"
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


@dataclass(frozen=True)
class OpenedProbe:
    """A probe with its backbone, in evaluation mode.

    Attributes:
        stem: The backbone, with the weights of the checkpoint.
        weight: float32 [F], of the features as they are.
        bias: Of the logit.
        selected_on: "test", "validation", or "" where nothing says which pictures its epoch was chosen on.
        summary: What it was found to be worth, as its training wrote it.
    """

    stem: Backbone
    weight: Float32
    bias: float
    selected_on: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)


def recipe_of(path: Path | str) -> str:
    """What made a run: "published", "core" (linear, on a bundle's trunk) or "linear" (on a backbone of its own).

    Raises:
        RunError: it is no run of a probe.
    """
    run = RunFolder(Path(path))
    facts = run.read_json("config.json")
    if facts.get("format") == FORMAT and facts.get("recipe") == RECIPE and isinstance(facts.get("arch"), str):
        return RECIPE
    return CORE if run.read_config(ProbeConfig).arch == CORE else "linear"


def backbone_of_run(path: Path | str) -> Backbone:
    """The backbone of a linear probe's run, with its weights.

    Raises:
        RunError: the checkpoint holds none, or another than the probe was fitted on.
        TowerError: it is not the backbone that the run names.
    """
    run = RunFolder(Path(path))
    config, tower = run.read_config(ProbeConfig), run.read_json("probe.json").get("tower")
    stem = backbone(config.arch, NONE)
    load_strictly(stem.network, backbone_of(run.load_checkpoint()), str(run.checkpoint))
    if not isinstance(tower, dict) or tower.get("sha256") != stem.sha256:
        raise RunError(
            f"{run.path}: its probe was fitted on another backbone than lies there; train it again"
        )
    return stem


def open_probe(path: Path | str) -> OpenedProbe:
    """Open a run of the published recipe, or an imported probe.

    Raises:
        RunError: it is no such run, or its checkpoint lacks something.
        TowerError: the backbone of the checkpoint is not the one that the run names.
    """
    run = RunFolder(Path(path))
    if recipe_of(path) != RECIPE:
        raise RunError(f"{run.path}: no published probe; train one with --recipe {RECIPE}")
    facts = run.read_json("config.json")
    state = run.load_checkpoint()
    stem = backbone(facts["arch"], NONE, published=True)
    load_strictly(stem.network, backbone_of(state), str(run.checkpoint))
    for key, size in (
        ("weight", stem.width),
        ("bias", 1),
        ("mean", stem.width),
        ("std", stem.width),
        ("temperature", 1),
    ):
        if key not in state or state[key].shape != (size,):
            raise RunError(f"{run.checkpoint}: has no {key} [{size}]; train or import the probe again")
    scale = state["std"].double() * state["temperature"].double()
    weight = state["weight"].double() / scale
    bias = float(state["bias"].double() / state["temperature"].double() - state["mean"].double() @ weight)
    settings = facts.get("config")
    selected = settings.get("select", "") if isinstance(settings, dict) else ""
    summary = run.read_json(SUMMARY) if (run.path / SUMMARY).is_file() else {}
    return OpenedProbe(stem, weight.float().numpy(), bias, str(selected), summary)
