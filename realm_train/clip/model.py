"""CLIP models by open_clip: made anew for a training, or opened from a run folder.

A run folder holds `clip_config.json` (an open_clip model configuration with its `preprocess_cfg`), the weights,
and for a Hugging Face text tower a folder `text` with its config.json and tokenizer.json.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor, nn

from realm_engine.machine.online import refuse_offline
from realm_train.clip import trunk
from realm_train.clip.config import EACH_WINDOW, TINY, ClipConfig
from realm_train.errors import TowerError
from realm_train.hub import OPEN_CLIP_CONFIG, open_clip_folder, prepare_hub, refuse_offline_tag
from realm_train.runs import RunFolder
from realm_train.towers import (
    load_strictly,
    load_weights,
    never_ask,
    quiet_root_logger,
    refuse_own_code,
    refuse_transformers_layout,
    save_text_tower_config,
    text_tower,
)
from realm_train.towers.weights import first_line

CONFIG_NAME = "clip_config.json"
TEXT_FOLDER = "text"
MAX_TOKENS = 128


class Clip:
    """A CLIP with its tokenizer and preprocessing.

    Attributes:
        model: open_clip's module.
        config: its open_clip configuration, as in `clip_config.json`.
        image_size_px: side of the image tower's input.
    """

    def __init__(self, model: nn.Module, config: dict[str, Any], folder: Path | None) -> None:
        # Without it convolutions of these small windows run ten times slower on a CPU.
        self.model: Any = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config = config
        visual: Any = self.model.visual
        preprocess: dict[str, Any] = visual.preprocess_cfg
        size = preprocess["size"]
        self.image_size_px = int(size if isinstance(size, int) else size[0])
        self._mean = torch.tensor(preprocess["mean"]).view(1, 3, 1, 1)
        self._std = torch.tensor(preprocess["std"]).view(1, 3, 1, 1)
        self._tokenize = _tokenizer(config, folder)

    @property
    def encoder(self) -> str:
        """What it was trained as: "each-window" or "one-pass"."""
        return str(self.config.get("encoder", EACH_WINDOW))

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = next(self.model.parameters()).device
        return device

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Token ids int64 [B, T]."""
        ids: Tensor = self._tokenize(list(texts))
        return ids.to(self.device)

    def encode_windows(self, windows: Tensor) -> Tensor:
        """uint8 [B, S, S, 3] RGB -> L2-normalised embeddings float32 [B, D]."""
        encoded = self.model.encode_image(self.normalise(windows))
        embedding: Tensor = nn.functional.normalize(encoded.float(), dim=-1)
        return embedding

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 [B, H, W, 3] RGB -> what the image tower takes, float32 [B, 3, H, W]."""
        pixels = images.to(self.device).permute(0, 3, 1, 2).float().div(255)
        pixels = (pixels - self._mean.to(self.device)) / self._std.to(self.device)
        return pixels.contiguous(memory_format=torch.channels_last)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts -> L2-normalised embeddings float32 [B, D]."""
        embedding: Tensor = nn.functional.normalize(
            self.model.encode_text(self.tokenize(texts)).float(), dim=-1
        )
        return embedding


def new_clip(config: ClipConfig, run: Path) -> Clip:
    """Make the model of a training and write what describes it into the run folder.

    Raises:
        TowerError: an unknown model, or weights that cannot be had or do not fit.
    """
    tiny = config.model == TINY
    model_config = _tiny_config(config, run) if tiny else _named_config(config.model)
    run.mkdir(parents=True, exist_ok=True)
    clip = build_clip(model_config, run, tag=config.weights if _is_tag(config.weights) else None)
    if tiny:
        _load_tiny_towers(clip.model, config)
    if config.weights != "none" and not _is_tag(config.weights):
        try:
            refuse_transformers_layout(
                load_weights(config.weights), config.weights
            )  # or anything but tensors
            open_clip.load_checkpoint(clip.model, config.weights)
        except RuntimeError as error:
            first = str(error).splitlines()[0]
            raise TowerError(f"{config.weights}: does not fit {config.model} ({first})") from error
    if config.encoder != EACH_WINDOW:
        model_config["encoder"] = config.encoder  # the export and `evaluate map` ask
    (run / CONFIG_NAME).write_text(json.dumps(model_config, indent=2) + "\n", encoding="utf-8")
    return clip


def open_clip_run(path: Path | str) -> Clip:
    """Open the kept weights of a run of `realm-train clip`.

    Raises:
        TowerError: the folder is no such run, or its weights do not fit its configuration.
        RunError: its weights cannot be read.
    """
    folder = Path(path)
    try:
        config = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
    except OSError as error:
        raise TowerError(
            f"{folder}: has no {CONFIG_NAME}; give the folder of a `realm-train clip` run"
        ) from error
    except json.JSONDecodeError as error:
        raise TowerError(f"{folder / CONFIG_NAME}: not JSON ({error})") from error
    clip = build_clip(config, folder)
    run = RunFolder(folder)
    load_strictly(clip.model, run.load_checkpoint(), str(run.checkpoint))
    clip.model.eval()
    return clip


def build_clip(config: dict[str, Any], folder: Path | None, tag: str | None = None) -> Clip:
    """The architecture of an open_clip configuration, with random weights, or those of a tag."""
    plain = json.loads(json.dumps(config))
    preprocess = plain.pop("preprocess_cfg", None)
    name = plain.pop("name", None)
    plain.pop("encoder", None)
    if tag is not None:
        if name is None:
            raise TowerError(
                f"weights {tag!r}: a tag needs an open_clip model name; give the path of the weights"
            )
        cure = "give the path of a downloaded file"
        refuse_offline_tag(name, tag, cure)
        prepare_hub()
        try:
            with quiet_root_logger():
                model = open_clip.create_model(name, pretrained=tag)
        except Exception as error:  # the hub client's and open_clip's own errors share no base class
            refuse_offline(f"{name}: weights {tag!r}", cure)
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise TowerError(f"{name}: weights {tag!r} cannot be had ({first}); {cure}") from error
        return Clip(model, config, folder)
    if folder is not None and plain["text_cfg"].get("hf_model_name") == TEXT_FOLDER:
        plain["text_cfg"]["hf_model_name"] = str(folder / TEXT_FOLDER)
    if plain["text_cfg"].get("hf_model_name"):  # open_clip opens it by transformers, and lets that ask
        refuse_own_code(Path(plain["text_cfg"]["hf_model_name"]))
        prepare_hub()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "realm-clip.json"
        file.write_text(json.dumps(plain), encoding="utf-8")
        open_clip.add_model_config(file)
        # The registry keeps what it read; the file's entry would fail on its next scan.
        open_clip.factory._MODEL_CONFIG_PATHS.remove(file)
    try:
        with quiet_root_logger(), never_ask():  # a hub's text tower was not looked into
            model = open_clip.create_model(
                "realm-clip", pretrained_text=False, force_preprocess_cfg=preprocess
            )
    except (RuntimeError, TypeError, ValueError, OSError) as error:
        first = str(error).splitlines()[0]
        raise TowerError(f"open_clip cannot build this model configuration: {first}") from error
    return Clip(model, config, folder)


def _is_tag(weights: str) -> bool:
    return weights != "none" and Path(weights).suffix not in (".pt", ".pth", ".bin", ".safetensors")


def _named_config(name: str) -> dict[str, Any]:
    path = Path(name)
    if path.suffix == ".json":
        try:
            config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise TowerError(f"{path}: not a readable model configuration ({error})") from error
        return config
    published = open_clip_folder(name)
    if published is not None:
        return _published_config(name, published)
    found = open_clip.get_model_config(name)
    if found is None:
        raise TowerError(
            f"open_clip has no model {name!r}; give one of open_clip.list_models() or a JSON file"
        )
    return {"name": name, **found}


def _published_config(name: str, folder: Path) -> dict[str, Any]:
    """What a folder of open_clip's own form says; a text tower of transformers lies in it as well."""
    file = folder / OPEN_CLIP_CONFIG
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        config = {**found["model_cfg"], "preprocess_cfg": found.get("preprocess_cfg")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TowerError(
            f"CLIP {name}: {file} is no configuration of open_clip ({first_line(error)})"
        ) from error
    for key in ("hf_model_name", "hf_tokenizer_name"):
        if config["text_cfg"].get(key):
            config["text_cfg"][key] = str(folder)
    return config


def _tiny_config(config: ClipConfig, run: Path) -> dict[str, Any]:
    tower = text_tower(config.text_tower, pretrained=False, pooler=False, layers=config.text_layers)
    save_text_tower_config(tower, run / TEXT_FOLDER)
    text_config: Any = tower.model.config
    return {
        "embed_dim": config.embed_dim,
        "vision_cfg": {
            "timm_model_name": trunk.realm_window_efficientnetv2_b0.__name__,
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "mlp",
            "image_size": config.image_size_px,
        },
        "text_cfg": {
            "hf_model_name": TEXT_FOLDER,
            "hf_tokenizer_name": TEXT_FOLDER,
            "hf_model_pretrained": False,
            "hf_pooler_type": "mean_pooler",
            "hf_proj_type": "mlp",
            "context_length": min(MAX_TOKENS, getattr(text_config, "max_position_embeddings", MAX_TOKENS)),
        },
        "preprocess_cfg": {
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "interpolation": "bicubic",
        },
    }


def _load_tiny_towers(model: Any, config: ClipConfig) -> None:
    if config.image_weights != "none":
        trunk.load_imagenet(model.visual.trunk, config.image_weights)
    tower = text_tower(config.text_tower, pretrained=True, pooler=False, layers=config.text_layers)
    model.text.transformer.load_state_dict(tower.model.state_dict())


def _tokenizer(config: dict[str, Any], folder: Path | None) -> Any:
    text = config["text_cfg"]
    length = int(text.get("context_length", 77))
    if not text.get("hf_tokenizer_name"):
        return open_clip.SimpleTokenizer(context_length=length)
    from tokenizers import Tokenizer

    named = Path(text["hf_tokenizer_name"])
    file = next(
        (f for f in ((folder or named) / named / "tokenizer.json", named / "tokenizer.json") if f.is_file()),
        None,
    )
    if file is None:
        raise TowerError(f"{folder}: has no {named}/tokenizer.json")
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.enable_truncation(length)
    pad = next(
        (tokenizer.token_to_id(t) for t in ("[PAD]", "<pad>") if tokenizer.token_to_id(t) is not None), 0
    )
    native = not text.get(
        "hf_model_name"
    )  # open_clip's own transformer: always as many ids as it has positions
    tokenizer.enable_padding(pad_id=pad, length=length if native else None)
    kwargs = dict(text.get("tokenizer_kwargs") or {})
    separator = tokenizer.token_to_id("[SEP]") if kwargs.pop("strip_sep_token", False) else None
    if kwargs.pop("clean", "whitespace") not in ("whitespace",) or kwargs:
        raise TowerError(
            f"{file}: tokenizer_kwargs {text['tokenizer_kwargs']} are not known here; use a tower without"
        )

    def tokenize(texts: list[str]) -> Tensor:
        ids = torch.tensor([encoding.ids for encoding in tokenizer.encode_batch(texts)], dtype=torch.int64)
        return ids if separator is None else ids.masked_fill(ids == separator, 0)

    return tokenize
