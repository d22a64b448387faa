"""A trained CORE from disk: a run folder of ours, or an upstream `best_model.pth`."""

from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer
from torch import Tensor

from realm_train.core.config import CoreConfig
from realm_train.core.model import CoreModel, build_core
from realm_train.errors import RunError
from realm_train.runs import RunFolder, replacing
from realm_train.towers import TextTower, load_strictly, save_text_tower_config

TEXT_FOLDER = "text_tower"


@dataclass(frozen=True)
class LoadedCore:
    """A model in eval mode on the CPU, its configuration, its tokenizer without padding or truncation."""

    model: CoreModel
    config: CoreConfig
    tokenizer: Tokenizer
    path: Path

    @property
    def pad_id(self) -> int:
        """Token id that pads descriptions."""
        return text_pad_id(self.model)


def text_pad_id(model: CoreModel) -> int:
    """Token id that pads descriptions; 0 where the tower does not say."""
    pad_id = getattr(model.text.config, "pad_token_id", None)
    return int(pad_id) if isinstance(pad_id, int) else 0


def load_core(path: Path | str) -> LoadedCore:
    """Load a run folder, or an upstream `best_model.pth`, without running code from it and without a network.

    Raises:
        RunError: Nothing is there, or it is not a CORE run.
        TowerError: Its weights do not fit its configuration.
    """
    path = Path(path)
    if path.is_file():
        from realm_train.core.upstream import load_upstream

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
    from realm_train.runs import open_run

    run = open_run(path, loaded.config, resume=False)
    save_architecture(run, TextTower(loaded.model.text, loaded.tokenizer, loaded.model.text_width))
    state: dict[str, Tensor] = loaded.model.state_dict()
    run.save_checkpoint(state, metadata)
    return run
