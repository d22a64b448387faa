"""Open a CLIP for export: an open_clip name, a JSON configuration or a run folder of `realm-train clip`."""

from __future__ import annotations

import importlib
import json
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor, nn

from export.errors import ExportError
from export.towers.tokenizer import clip_tokenizer, folder_tokenizer, pad_id, with_kwargs
from realm_engine.machine.online import refuse_offline
from realm_train.clip.config import EACH_WINDOW
from realm_train.hub import (
    OPEN_CLIP_CONFIG,
    open_clip_folder,
    open_clip_weights,
    prepare_hub,
    refuse_offline_tag,
)
from realm_train.towers import load_weights, quiet_root_logger, refuse_own_code, refuse_transformers_layout

RANDOM_SEED = 0
RANDOM = "random"


@dataclass(frozen=True)
class ClipModel:
    """A CLIP in evaluation mode with all that its graphs and manifest need."""

    model: nn.Module
    name: str
    weights: str  # "trained" or "random (seed 0)"
    image_size_px: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    embed_dim: int
    max_tokens: int
    tokenizer_json: str
    pad_id: int
    fixed_length: bool  # the native text transformer takes exactly max_tokens ids
    own_tokenizer: bool  # CLIP's, not one of a folder
    encoder: str = EACH_WINDOW  # what it was trained as

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 [B, H, W, 3] RGB -> what the image tower takes, float32 [B, 3, H, W]."""
        pixels = images.permute(0, 3, 1, 2).float() / 255
        return (pixels - torch.tensor(self.mean).view(3, 1, 1)) / torch.tensor(self.std).view(3, 1, 1)

    @property
    def buckets(self) -> list[int]:
        """Padded lengths that a host should use."""
        if self.fixed_length:
            return [self.max_tokens]
        return [length for length in (16, 32, 64) if length < self.max_tokens] + [self.max_tokens]


def open_clip_model(model: str, weights: str | None = None) -> ClipModel:
    """Build a CLIP and load its weights without unpickling code.

    Args:
        model: open_clip name, path of a JSON model configuration, or run folder with `clip_config.json`.
        weights: state_dict file (`.pt`, `.safetensors`), open_clip tag, or "random"; None for the run's own.

    Raises:
        ExportError: unknown model, weights that do not fit or cannot be had, a tower that has no graph here.
        TowerError: the weights file is missing or holds more than tensors.
    """
    path = Path(model)
    config, folder = _configuration(model, path)
    if folder is not None and weights is None:
        weights = str(open_clip_weights(folder) or folder / "checkpoint.safetensors")
    if weights is None:
        raise ExportError(f"no weights for CLIP {model}; give --clip-weights PATH, TAG or {RANDOM}")
    preprocess = config.pop("preprocess_cfg", None)
    config.pop("name", None)  # `realm-train clip` notes which open_clip model it started from
    encoder = str(config.pop("encoder", EACH_WINDOW))
    config = config.pop("model_cfg", config)
    text_config = config["text_cfg"]
    text_folder = _text_folder(text_config, folder)
    if text_folder is not None and text_config.get("hf_model_name"):
        refuse_own_code(text_folder)  # open_clip opens it by transformers, and lets that ask
        text_config["hf_model_name"] = str(text_folder)
    local = path.exists() or folder is not None
    name = path.stem if local else model
    network = _build(name, config, weights, preprocess, tag_name=None if local else model)
    tower: Any = network.visual
    settings: dict[str, Any] = tower.preprocess_cfg
    if text_folder is not None:
        tokenizer_json = with_kwargs(folder_tokenizer(text_folder), text_config.get("tokenizer_kwargs") or {})
    else:
        tokenizer_json = clip_tokenizer()
    native = not text_config.get("hf_model_name")
    return ClipModel(
        model=network,
        name=name,
        weights=f"random (seed {RANDOM_SEED})" if weights == RANDOM else "trained",
        image_size_px=_square(settings["size"], name),
        interpolation=settings["interpolation"],
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
        embed_dim=int(config["embed_dim"]),
        max_tokens=int(text_config.get("context_length", 77)),
        tokenizer_json=tokenizer_json,
        pad_id=0 if native and text_folder is None else pad_id(tokenizer_json),
        fixed_length=native,
        own_tokenizer=text_folder is None,
        encoder=encoder,
    )


def _configuration(model: str, path: Path) -> tuple[dict[str, Any], Path | None]:
    """The configuration, and the folder that also holds weights and the text tower, where it is one."""
    published = open_clip_folder(model)
    if published is not None:
        return _json(published / OPEN_CLIP_CONFIG), published
    if path.is_dir() or path.suffix == ".json":
        file = path / "clip_config.json" if path.is_dir() else path
        return _json(file), path if path.is_dir() else None
    config = open_clip.get_model_config(model.replace("/", "-"))
    if config is None:
        raise ExportError(
            f"open_clip has no model named {model}; `open_clip.list_models()` lists them, "
            "or give a JSON configuration or a run folder"
        )
    return dict(config), None


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExportError(f"no CLIP configuration at {file}") from None
    except (ValueError, OSError, RecursionError) as error:
        raise ExportError(f"{file} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ExportError(f"{file} holds no CLIP configuration; it must be a JSON object")
    return found


def _text_folder(text_config: dict[str, Any], run_folder: Path | None) -> Path | None:
    """Folder of the text tower's `config.json` and `tokenizer.json`; None where CLIP's tokenizer applies."""
    named = text_config.get("hf_tokenizer_name") or text_config.get("hf_model_name")
    if not named:
        return None
    candidates = [run_folder / named, run_folder / "text", run_folder] if run_folder is not None else []
    for candidate in [*candidates, Path(named)]:
        if (candidate / "tokenizer.json").is_file():
            return Path(candidate)
    raise ExportError(
        f"no local folder with a tokenizer.json for text tower {named}; download it and give its path"
    )


def _build(
    name: str, config: dict[str, Any], weights: str, preprocess: dict[str, Any] | None, tag_name: str | None
) -> nn.Module:
    torch.manual_seed(RANDOM_SEED)
    if str(config["vision_cfg"].get("timm_model_name", "")).startswith("realm_"):
        importlib.import_module("realm_train.clip.trunk")  # registers its architectures with timm
    tag = weights if tag_name is not None and weights != RANDOM and not Path(weights).is_file() else None
    if tag is not None:
        tags = open_clip.list_pretrained_tags_by_model(tag_name)
        if tag not in tags:
            raise ExportError(f"no weights file or tag {tag!r} for {name}; tags: {', '.join(tags) or 'none'}")
        cure = f"download them elsewhere and give the file, or use --clip-weights {RANDOM}"
        refuse_offline_tag(str(tag_name), tag, cure)
        prepare_hub()
        try:
            with quiet_root_logger():
                model: nn.Module = open_clip.create_model(tag_name, pretrained=tag)
        except Exception as error:
            refuse_offline(f"CLIP {name}: weights {tag!r}", cure)
            raise ExportError(
                f"weights {tag!r} of {name} could not be downloaded ({type(error).__name__}); {cure}"
            ) from None
        return model.eval()
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"realm-export-{name}.json"
            file.write_text(json.dumps(config), encoding="utf-8")
            open_clip.add_model_config(file)
            # The registry keeps what it read; the file's own entry would fail on the next rescan.
            open_clip.factory._MODEL_CONFIG_PATHS.remove(file)
        with quiet_root_logger():  # open_clip warns that weights are random; the manifest says so
            model = open_clip.create_model(file.stem, pretrained_text=False, force_preprocess_cfg=preprocess)
    except Exception as error:
        logging.getLogger(__name__).debug("open_clip refused the configuration", exc_info=True)
        raise ExportError(f"open_clip cannot build {name}: {str(error).splitlines()[0]}") from None
    if weights != RANDOM:
        _load(model, Path(weights), name)
    return model.eval()


def _load(model: nn.Module, path: Path, name: str) -> None:
    # Refuses anything but tensors and says why, before open_clip reads the same file.
    refuse_transformers_layout(load_weights(path), path)
    try:
        open_clip.load_checkpoint(model, str(path))
    except Exception as error:
        raise ExportError(f"weights {path} do not fit CLIP {name}: {str(error).splitlines()[0]}") from None


def _square(size: Any, name: str) -> int:
    sides = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if sides[0] != sides[-1]:
        raise ExportError(f"CLIP {name} takes {sides[0]} x {sides[-1]} images; windows need a square input")
    return int(sides[0])
