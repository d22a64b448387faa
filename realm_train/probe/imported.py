"""Checkpoints of the published probe code, read without running anything in them.

`{model, optimizer, total_steps}`, where `model` holds `fc.weight` [1, F], `fc.bias` [1] and the backbone under
`model.*`; or a bare head `{weight, bias}`, which stands on the backbone's own weights. The backbone of a checkpoint is
not the one that it began from: its batch norm moved while the head was trained.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from realm_engine.machine.files import sha256_of
from realm_train.errors import TowerError
from realm_train.probe.backbones import (
    CLASSIFIERS,
    CLIP,
    NONE,
    PRETRAINED,
    Backbone,
    backbone,
    image_tower_of_clip,
)
from realm_train.probe.checkpoint import about, save_probe
from realm_train.runs import RunFolder, open_run
from realm_train.towers import load_weights

_HEADS = (("fc.weight", "fc.bias"), ("weight", "bias"))
_MODEL = "model."
# What a whole CLIP has beside its image tower.
_TEXT = (
    "transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_projection", "logit_scale",
    "input_resolution", "context_length", "vocab_size",
)  # fmt: skip
_NAMED = 3


@dataclass(frozen=True)
class ImportedConfig:
    """Where an imported probe comes from.

    Attributes:
        arch: The backbone's name, which the file does not say.
        file: Name of the checkpoint.
        sha256: Of the checkpoint.
        weights: Of the backbone, where the checkpoint has none; else "none".
    """

    arch: str
    file: str
    sha256: str
    weights: str


def import_probe(path: Path, arch: str, output: Path, weights: str = PRETRAINED) -> RunFolder:
    """Write a published checkpoint as a run folder.

    Args:
        path: The checkpoint.
        arch: The backbone's name.
        output: The run folder.
        weights: Of the backbone, where the checkpoint is a bare head; see `backbones.backbone`.

    Raises:
        TowerError: it is no such checkpoint, or not one of that backbone; says which keys are missing.
        RunError: the folder holds something.
    """
    state = {key.removeprefix("module."): value for key, value in load_weights(path).items()}
    head = next((names for names in _HEADS if all(name in state for name in names)), None)
    if head is None:
        raise TowerError(
            f"{path}: no probe, it has neither fc.weight and fc.bias nor weight and bias; "
            f"found {_some(state)}"
        )
    inside = {key.removeprefix(_MODEL): value for key, value in state.items() if key.startswith(_MODEL)}
    others = [key for key in state if key not in head and not key.startswith(_MODEL)]
    if others:
        raise TowerError(
            f"{path}: unexpected {_some(others)}; a probe holds {head[0]}, {head[1]} and {_MODEL}*"
        )
    stem = backbone(arch, NONE if inside else weights, published=True)
    weight, bias = (state[name].float() for name in head)
    if weight.shape != (1, stem.width) or bias.shape != (1,):
        raise TowerError(
            f"{path}: its head takes {_shape(weight)[-1]} features ({_shape(weight)}, {_shape(bias)}), "
            f"{arch} gives {stem.width}; name the backbone that it was trained on"
        )
    if inside:
        _load_backbone(stem, inside, path)
    config = ImportedConfig(arch, path.name, sha256_of(path), NONE if inside else weights)
    run = open_run(output, config, resume=False, **about(stem))
    save_probe(run, stem, weight[0], bias)
    return run


def _load_backbone(stem: Backbone, inside: Mapping[str, Tensor], path: Path) -> None:
    own = stem.network.state_dict()
    if stem.name.startswith(CLIP):
        inside = {key: value for key, value in inside.items() if not key.startswith(_TEXT)}
        if not any(key.startswith("visual.") for key in inside):
            raise TowerError(f"{path}: its {_MODEL}* hold no image tower of a CLIP; found {_some(inside)}")
        given = image_tower_of_clip(inside)
    else:
        given = {k: value for k, value in inside.items() if k in own or not k.startswith(CLASSIFIERS)}
    # Files older than batch norm's counters lack them, and inference never reads them.
    missing = [key for key in own if key not in given and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in given if key not in own]
    other = [key for key in own if key in given and own[key].shape != given[key].shape]
    faults = [
        f"{what} {_some(keys)}"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", other))
        if keys
    ]
    if faults:
        raise TowerError(f"{path}: its backbone is no {stem.name}: {'; '.join(faults)}")
    stem.network.load_state_dict(
        {key: value.to(own[key].dtype) for key, value in given.items()}, strict=False
    )


def _some(keys: Iterable[str]) -> str:
    """The first three, and how many more."""
    names = list(keys)
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "") if names else "nothing"


def _shape(tensor: Tensor) -> list[int]:
    return list(tensor.shape)
