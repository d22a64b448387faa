"""Image towers: convolutional backbones of torchvision and timm without their classifiers."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from realm_engine.machine.online import refuse_offline
from realm_train.errors import TowerError
from realm_train.hub import hub_folder
from realm_train.towers.weights import first_line, load_strictly, load_weights

TORCHVISION_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_CLASSIFIERS = ("fc.", "classifier.", "head.fc.", "head.")


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
    if name in TORCHVISION_RESNETS:
        backbone: Any = torchvision_model(name, fetched)
        backbone.fc = nn.Identity()
    else:
        backbone = timm_model(name, fetched)
    tower = ImageTower(name, backbone)
    if weights not in ("pretrained", "none"):
        load_strictly(tower.backbone, load_weights(weights), weights, ignore=_CLASSIFIERS)
    return tower.eval()


def torchvision_model(name: str, pretrained: bool) -> nn.Module:
    """A model of torchvision with its classifier. Raises TowerError where its weights cannot be fetched."""
    import torchvision

    if pretrained:
        _refuse_offline_unless_kept(name)
    try:
        # V1 are the weights of the published recipe ("pretrained=True" of its time).
        model: nn.Module = torchvision.models.get_model(name, weights="IMAGENET1K_V1" if pretrained else None)
    except OSError as error:
        raise TowerError(
            f"image tower {name}: weights cannot be fetched ({first_line(error)}); "
            "give the path of a state_dict as image weights, or 'none'"
        ) from error
    return model


def _refuse_offline_unless_kept(name: str) -> None:
    """torch.hub knows no way to stay offline; what it has fetched before lies in its folder."""
    import torchvision

    weights = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
    kept = Path(torch.hub.get_dir(), "checkpoints", weights.url.rsplit("/", 1)[-1])
    if not kept.is_file():
        refuse_offline(
            f"image tower {name}: weights", "give the path of a state_dict as image weights, or 'none'"
        )


def timm_model(name: str, pretrained: bool) -> nn.Module:
    """A model of timm ("timm:" may stand before its name) without its classifier.

    Raises:
        TowerError: timm does not know it, or its weights cannot be fetched.
    """
    import timm

    name = name.removeprefix("timm:")
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
        raise TowerError(f"image tower {name}: cannot be built ({first_line(error)})") from error
    return model  # type: ignore[no-any-return]


def _probe_hub(name: str) -> None:
    """Fetch the weights ourselves first: timm retries a missing network for most of a minute."""
    import timm

    config = timm.get_pretrained_cfg(name)
    hub = getattr(config, "hf_hub_id", None) if config is not None else None
    cure = "give the path of a .safetensors state_dict as image weights, or 'none'"
    if hub:
        hub_folder(hub, ["model.safetensors", "config.json"], f"image tower {name}: weights", cure)
    else:
        refuse_offline(f"image tower {name}: weights", cure)
