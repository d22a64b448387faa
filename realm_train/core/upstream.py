"""Checkpoints of the published REALM code: a plain state_dict with keys cnn.*, bert.*, fc.0.*, fc.2.*."""

from pathlib import Path

import torch
from torch import Tensor

from realm_train.core.config import RAISE_TD, CoreConfig, CoreModelConfig
from realm_train.core.loaded import LoadedCore
from realm_train.core.model import CoreModel
from realm_train.core.presets import PAPER
from realm_train.errors import TowerError
from realm_train.towers import TextTower, image_tower, load_strictly, load_weights, text_tower

_PREFIXES = {"cnn.": "image.backbone.", "bert.": "text.", "fc.": "head."}


def load_upstream(
    path: Path | str, config: CoreModelConfig = PAPER.model, text: TextTower | None = None
) -> LoadedCore:
    """Load an upstream checkpoint into our model, whose outputs are then those of the published code.

    Args:
        path: `best_model.pth`; read with weights_only=True.
        config: The architecture; `hidden` is taken from the file.
        text: The text tower to fill; by default the configured one without weights. Its tokenizer is used.

    Raises:
        TowerError: The file is unreadable, is another kind of checkpoint, or lacks keys; names the first.
    """
    state = convert(load_weights(path), str(path))
    if state["head.0.weight"].ndim != 2:
        raise TowerError(f"{path}: not a REALM checkpoint, fc.0.weight is no matrix")
    hidden = int(state["head.0.weight"].shape[0])
    config = CoreModelConfig(**{**vars(config), "hidden": hidden})
    text = text or text_tower(config.text_tower, pretrained=False)
    with torch.random.fork_rng(devices=[]):
        model = CoreModel(config, image_tower(config.image_tower, "none"), text)
    load_strictly(model, state, str(path))
    return LoadedCore(
        model.eval(),
        # The published weights are those of the paper, which was trained on RAISE-TD.
        CoreConfig(model=config, train=PAPER.train, augment=PAPER.augment, ratings=RAISE_TD),
        text.tokenizer,
        Path(path),
    )


def convert(state: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Rename upstream keys to those of CoreModel.

    Raises:
        TowerError: A part is missing, or keys of no part are there.
    """
    # A model trained under DataParallel saves every key with this prefix.
    state = {key.removeprefix("module."): value for key, value in state.items()}
    # A buffer of older transformers versions that only numbers the positions.
    state.pop("bert.embeddings.position_ids", None)
    for needed in ("cnn.", "bert.", "fc.0.weight", "fc.2.weight"):
        if not any(key.startswith(needed) for key in state):
            raise TowerError(f"{where}: not a REALM checkpoint, has no {needed.rstrip('.')}* keys")
    renamed = {}
    for key, value in state.items():
        prefix = next((prefix for prefix in _PREFIXES if key.startswith(prefix)), None)
        if prefix is None:
            raise TowerError(f"{where}: unexpected key {key}; REALM checkpoints hold cnn.*, bert.* and fc.*")
        renamed[_PREFIXES[prefix] + key.removeprefix(prefix)] = value
    return renamed
