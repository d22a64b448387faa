"""A trained CORE from disk: a run folder of ours, or an upstream `best_model.pth`."""

from pathlib import Path

from torch import Tensor

from realm_train.core.config import CoreConfig
from realm_train.core.loaded import LoadedCore
from realm_train.core.model import CoreModel, build_core
from realm_train.core.upstream import load_upstream
from realm_train.errors import RunError
from realm_train.runs import RunFolder, open_run, replacing
from realm_train.towers import TextTower, load_strictly, save_text_tower_config

TEXT_FOLDER = "text_tower"


def load_core(path: Path | str) -> LoadedCore:
    """Load a run folder, or an upstream `best_model.pth`, without running code from it and without a network.

    Raises:
        RunError: Nothing is there, or it is not a CORE run.
        TowerError: Its weights do not fit its configuration.
    """
    path = Path(path)
    if path.is_file():
        return load_upstream(path)
    if not path.is_dir():
        raise RunError(f"{path}: no such run folder or checkpoint")
    run = RunFolder(path)
    config = run.read_config(CoreConfig)
    state = run.load_checkpoint()
    model, text = rebuild(run, config)
    load_strictly(model, state, str(run.checkpoint))
    return LoadedCore(model, config, text.tokenizer, path)


def rebuild(run: RunFolder, config: CoreConfig) -> tuple[CoreModel, TextTower]:
    """The architecture of a run with random weights, from what its folder holds."""
    folder = run.path / TEXT_FOLDER
    if not folder.is_dir():
        raise RunError(f"{run.path}: has no {TEXT_FOLDER} folder; it is not a complete CORE run")
    return build_core(config.model, text_folder=str(folder))


def save_architecture(run: RunFolder, text: TextTower) -> None:
    """Write what `rebuild` needs beside config.json."""
    folder = run.path / TEXT_FOLDER
    if folder.is_dir():
        return
    with replacing(folder) as temporary:
        save_text_tower_config(text, temporary)


def save_run(path: Path | str, loaded: LoadedCore, metadata: dict[str, str]) -> RunFolder:
    """Write a model as a run folder that can be evaluated and exported.

    Raises:
        RunError: The folder is occupied or cannot be written.
    """
    run = open_run(path, loaded.config, resume=False)
    save_architecture(run, TextTower(loaded.model.text, loaded.tokenizer, loaded.model.text_width))
    state: dict[str, Tensor] = loaded.model.state_dict()
    run.save_checkpoint(state, metadata)
    return run
