"""A window encoder for small CLIPs: the textured half of EfficientNetV2-B0, registered with timm for open_clip.

Flaws of a generated image are local: melted edges, smeared or scrambled texture, seams. The late stages of a
classifier, which name objects, cost half of its arithmetic and see a 64 px window as 2 x 2 cells. The trunk stops
at stride 16 and describes every stage by its mean and spread over the window.
"""

from typing import Any

import timm
import torch
from timm.models import register_model
from timm.models._efficientnet_blocks import SqueezeExcite
from torch import Tensor, nn
from torch.nn import functional as F

from realm_train.towers import load_strictly, load_weights

BASE = "tf_efficientnetv2_b0"
STAGES = 5  # of 6: up to stride 16, 112 channels
POOLED = (1, 2, 3, 4)  # stages whose statistics make up the features: 32, 48, 96, 112 channels
POOLED_STRIDES = (4, 8, 16, 16)  # of these stages, in pixels
SQUEEZED_CELLS = 5  # of 16 px: what squeeze-and-excite averages over where the trunk sees a whole picture


class WindowTrunk(nn.Module):
    """The first stages of EfficientNetV2-B0, each pooled to mean and standard deviation over space.

    Attributes:
        num_features: width of the pooled features.
    """

    def __init__(self) -> None:
        super().__init__()
        base: Any = timm.create_model(BASE)
        self.conv_stem = base.conv_stem
        self.bn1 = base.bn1
        self.blocks = base.blocks[:STAGES]
        for block in (block for stage in self.blocks for block in stage):
            if isinstance(getattr(block, "se", None), SqueezeExcite):
                block.se = LocalSqueezeExcite(block.se)
        self.num_features = 2 * sum(_width(self.blocks[i][-1]) for i in POOLED)
        self.norm = nn.LayerNorm(self.num_features)
        self.default_cfg: dict[str, Any] = {}  # read by open_clip's timm adapter

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Nothing to remove: the trunk ends in pooled features."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalised windows float32 [B, 3, S, S] -> features [B, num_features]."""
        pooled = []
        for stage in self.stages(x):
            wide = stage.float()
            mean = wide.mean((2, 3), keepdim=True)
            pooled += [mean.flatten(1), spread_of((wide - mean).square().mean((2, 3)))]
        features: Tensor = self.norm(torch.cat(pooled, 1))
        return features

    def stages(self, x: Tensor, local: bool = False) -> list[Tensor]:
        """Normalised pixels float32 [B, 3, H, W] -> the pooled stages, [B, channels, H / stride, W / stride] each.

        `local`: the pixels are a picture and not a window, so squeeze-and-excite averages around every place.
        """
        for module in self.modules():
            if isinstance(module, LocalSqueezeExcite):
                module.local = local
        x = self.bn1(self.conv_stem(x))
        found = []
        for index, stage in enumerate(self.blocks):
            x = stage(x)
            if index in POOLED:
                found.append(x)
        return found


class LocalSqueezeExcite(nn.Module):
    """timm's squeeze-and-excite with the same weights, that can average around every place instead of over all."""

    def __init__(self, timms: SqueezeExcite) -> None:
        super().__init__()
        self.conv_reduce, self.act1 = timms.conv_reduce, timms.act1
        self.conv_expand, self.gate = timms.conv_expand, timms.gate
        self.local = False

    def forward(self, x: Tensor) -> Tensor:
        """Stages of an inverted residual, float32 [B, C, rows, columns], gated per channel."""
        if self.local:
            around = F.avg_pool2d(
                x, SQUEEZED_CELLS, stride=1, padding=SQUEEZED_CELLS // 2, count_include_pad=False
            )
        else:
            around = x.mean((2, 3), keepdim=True)
        gates: Tensor = self.gate(self.conv_expand(self.act1(self.conv_reduce(around))))
        return x * gates


def spread_of(variance: Tensor) -> Tensor:
    """Standard deviation, differentiable at 0 and of what rounding made negative."""
    return variance.clamp(min=0).add(1e-5).sqrt()


def _width(block: Any) -> int:
    return int((block.conv_pwl if hasattr(block, "conv_pwl") else block.conv).out_channels)


@register_model  # type: ignore[untyped-decorator]
def realm_window_efficientnetv2_b0(pretrained: bool = False, **_: Any) -> WindowTrunk:
    """Random weights; `load_imagenet` fills in those of the EfficientNetV2-B0 it was cut from."""
    return WindowTrunk()


def load_imagenet(trunk: WindowTrunk, path: str) -> None:
    """Take the stages' weights from a `tf_efficientnetv2_b0` state_dict; its later stages are not used.

    Raises:
        TowerError: the file is missing or is of another architecture.
    """
    state = {k: v for k, v in load_weights(path).items() if k.startswith(("conv_stem.", "bn1.", "blocks."))}
    state = {k: v for k, v in state.items() if not k.startswith(f"blocks.{STAGES}.")}
    own = trunk.state_dict()
    state |= {k: own[k] for k in own if k.startswith("norm.")}
    load_strictly(trunk, state, path)
