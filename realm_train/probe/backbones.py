"""Backbones that a probe stands on: networks of torchvision, timm and open_clip, without their classifiers.

The published ones are those of `PUBLISHED_WIDTHS`; their features are taken as they are (CLIP's not normalised).
"""

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from realm_engine.arrays import Float32, UInt8
from realm_engine.machine.online import refuse_offline
from realm_engine.pictures.decode import load_image
from realm_engine.pictures.sources import ImageSource
from realm_engine.tables.rows import batched
from realm_train.errors import TowerError
from realm_train.hub import prepare_hub, refuse_offline_tag
from realm_train.probe.looks import PUBLISHED, CentreCrop
from realm_train.towers import load_strictly, load_weights, quiet_root_logger, refuse_transformers_layout
from realm_train.towers.image import timm_model, torchvision_model
from realm_train.towers.weights import first_line

CLIP = "CLIP:"
NONE, PRETRAINED = "none", "pretrained"
PUBLISHED_WIDTHS: Mapping[str, int] = MappingProxyType(
    {
        "CLIP:RN50": 1024,
        "CLIP:RN101": 512,
        "CLIP:ViT-L/14": 768,
        "resnet18": 512,
        "resnet34": 512,
        "resnet50": 2048,
        "resnet101": 2048,
        "resnet152": 2048,
        "vgg11": 4096,
        "vgg19": 4096,
        "vit_b_16": 768,
    }
)
"""The eleven published backbones, and how many features each gives."""

_OPENAI = "openai"
# OpenAI's weights want its own activation; open_clip's plain names have another.
_QUICK = "-quickgelu"
_WEIGHTS_FILES = (".pt", ".pth", ".bin", ".safetensors")
# Where what follows the penultimate features stands in whole networks, beside parts that are kept (vgg's classifier).
CLASSIFIERS = ("fc.", "classifier.", "heads.", "head.")


@dataclass(frozen=True)
class Normalisation:
    """Per channel, of pixels in 0..1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OPENAI = Normalisation((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


class Backbone(nn.Module):
    """A network from pixels to its penultimate features.

    Attributes:
        name: As in `PUBLISHED_WIDTHS`, or of timm, or "CLIP:" and one of open_clip.
        network: Without its classifier; normalised pixels [B, 3, S, S] -> features [B, width].
        width: Number of features.
        look: What it sees of a picture.
        normalisation: Of its family.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, name: str, network: nn.Module, width: int, look: CentreCrop, normalisation: Normalisation
    ) -> None:
        super().__init__()
        self.name, self.network, self.width = name, network, width
        self.look, self.normalisation = look, normalisation
        for key in ("mean", "std"):
            values = torch.tensor(getattr(normalisation, key)).view(3, 1, 1)
            self.register_buffer(key, values, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 [B, 3, S, S] in 0..255 -> features float32 [B, width]."""
        features: Tensor = self.network((pixels / 255 - self.mean) / self.std)
        return features

    @cached_property
    def sha256(self) -> str:
        """Of what decides its features when it is first asked: weights, and what it sees of a picture."""
        digest = hashlib.sha256(repr((self.name, self.look, self.normalisation)).encode())
        for key, value in sorted(self.network.state_dict().items()):
            digest.update(key.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def features(self, pictures: Iterable[ImageSource], batch_size: int = 16) -> Float32:
        """Pictures of any sizes -> features float32 [N, width], in evaluation mode. Raises ImageError."""
        self.eval()
        found = [np.zeros((0, self.width), np.float32)]
        seen = (self.look.of(load_image(picture)) for picture in pictures)
        for batch in batched(seen, batch_size):
            found.append(self(self.pixels(batch)).float().cpu().numpy())
        return np.concatenate(found)

    def pixels(self, seen: Iterable[UInt8]) -> Tensor:
        """What it sees of pictures, uint8 (S, S, 3) each, as `forward` takes it, where the network is."""
        stacked = torch.from_numpy(np.stack(list(seen))).to(next(self.parameters()).device)
        return stacked.permute(0, 3, 1, 2).float()


def backbone(name: str, weights: str = PRETRAINED, published: bool = False) -> Backbone:
    """Build a backbone, in evaluation mode.

    Args:
        name: One of `PUBLISHED_WIDTHS`, a model of timm ("timm:NAME" where torchvision has one of that name), or
            "CLIP:NAME" with a model of open_clip.
        weights: "pretrained" (fetched; of CLIP OpenAI's), "none" (random), a path of a state_dict, or one of
            open_clip's tags.
        published: Look at pictures as the published code does, 224 px of 256, whatever the network's own look is.

    Raises:
        TowerError: unknown name, weights that cannot be fetched or do not fit, or a network that takes no 224 px.
        OfflineError: weights would have to be fetched, and this process stays offline.
    """
    if name.startswith(CLIP):
        found = _clip(name, weights)
    elif name in PUBLISHED_WIDTHS:
        found = _torchvision(name, weights)
    else:
        found = _timm(name, weights)
    if published:
        if found.look.size_px != PUBLISHED.size_px:
            raise TowerError(
                f"backbone {name}: sees {found.look.size_px} px, the published recipe {PUBLISHED.size_px}; "
                "take --recipe linear"
            )
        found.look = PUBLISHED
    return found.eval()


def _torchvision(name: str, weights: str) -> Backbone:
    network: Any = torchvision_model(name, weights == PRETRAINED)
    if name.startswith("resnet"):
        network.fc = nn.Identity()
    elif name.startswith("vgg"):
        network.classifier = network.classifier[:5]  # to its second ReLU
    else:
        network.heads = nn.Identity()
    if weights not in (PRETRAINED, NONE):
        load_strictly(network, load_weights(weights), weights, ignore=CLASSIFIERS)
    return Backbone(name, network, PUBLISHED_WIDTHS[name], PUBLISHED, IMAGENET)


def _timm(name: str, weights: str) -> Backbone:
    import timm.data

    data: Any = timm.data
    try:
        network: Any = timm_model(name, weights == PRETRAINED)
    except TowerError as error:
        near = difflib.get_close_matches(name, (*PUBLISHED_WIDTHS, "core"), n=1)
        raise TowerError(f"{error}; did you mean {near[0]}?") if near else error from None
    if weights not in (PRETRAINED, NONE):
        load_strictly(network, load_weights(weights), weights, ignore=CLASSIFIERS)
    config = data.resolve_model_data_config(network)
    _, height, width = config["input_size"]
    if height != width:
        raise TowerError(f"backbone {name}: sees {width} x {height} px; a probe needs one that sees a square")
    look = CentreCrop(int(height / config["crop_pct"]), height, _interpolation(config["interpolation"]))
    features = int(getattr(network, "head_hidden_size", None) or network.num_features)
    return Backbone(name, network, features, look, Normalisation(config["mean"], config["std"]))


def _clip(name: str, weights: str) -> Backbone:
    import open_clip

    model = name.removeprefix(CLIP).replace("/", "-")
    if name in PUBLISHED_WIDTHS:
        model += _QUICK
    config = open_clip.get_model_config(model)
    if config is None:
        near = difflib.get_close_matches(model, open_clip.list_models(), n=3)
        more = f"; did you mean {', '.join(near)}?" if near else ""
        raise TowerError(f"backbone {name}: unknown to open_clip{more}")
    fetched = weights != NONE and Path(weights).suffix not in _WEIGHTS_FILES
    if fetched:
        network = _tagged(name, model, _OPENAI if weights == PRETRAINED else weights)
    else:
        network = open_clip.model._build_vision_tower(
            config["embed_dim"], config["vision_cfg"], config.get("quick_gelu", False)
        )
        if weights != NONE:
            state = load_weights(weights)
            refuse_transformers_layout(state, weights)
            load_strictly(network, image_tower_of_clip(state), weights)
    seen = getattr(network, "preprocess_cfg", {})
    size = config["vision_cfg"].get("image_size", 224)
    size_px = int(size if isinstance(size, int) else size[0])
    normalisation = Normalisation(seen.get("mean", OPENAI.mean), seen.get("std", OPENAI.std))
    look = CentreCrop(size_px, size_px, _interpolation(seen.get("interpolation", "bicubic")))
    return Backbone(name, network, int(config["embed_dim"]), look, normalisation)


def image_tower_of_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of a whole CLIP's state_dict what belongs to its image tower; that of an image tower is returned as it is."""
    inside = {key.removeprefix("visual."): value for key, value in state.items() if key.startswith("visual.")}
    return inside or dict(state)


def _tagged(name: str, model: str, tag: str) -> Any:
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(model)
    if tag not in tags:
        raise TowerError(
            f"backbone {name}: no weights {tag!r}; give a path or one of {', '.join(tags) or NONE}"
        )
    cure = "give the path of a downloaded file"
    refuse_offline_tag(model, tag, cure)
    prepare_hub()
    try:
        with quiet_root_logger():
            return open_clip.create_model(model, pretrained=tag).visual
    except Exception as error:  # the hub client's and open_clip's own errors share no base class
        refuse_offline(f"backbone {name}: weights {tag!r}", cure)
        raise TowerError(
            f"backbone {name}: weights {tag!r} cannot be had ({first_line(error)}); {cure}"
        ) from error


def _interpolation(name: str) -> str:
    """The one of the two that Pillow's resize is known for here; timm's "random" is bicubic in evaluation."""
    return "bilinear" if name == "bilinear" else "bicubic"
