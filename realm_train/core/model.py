"""The CORE network. Its three methods are what the export turns into graphs, so none branches on a tensor."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from realm_train.core.config import CoreModelConfig, TrainConfig
from realm_train.core.kernel import KernelHead
from realm_train.core.unlike import Unlike
from realm_train.errors import ConfigError
from realm_train.towers import ImageTower, TextTower, image_tower, text_tower

_PIXELS = {
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


class FeatureNorm(nn.Module):
    """(x - mean) / std with stored statistics, float32 [B, F] -> [B, F]."""

    mean: Tensor
    std: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Standardise."""
        return (x - self.mean) / self.std

    def fit(self, features: Tensor) -> None:
        """Take the statistics of float32 [N, F]; a feature that hardly varies keeps its scale."""
        std, mean = torch.std_mean(features.double(), dim=0, correction=0)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 1e-6, std, torch.ones_like(std)))


class CoreModel(nn.Module):
    """Image and description -> MOS.

    Attributes:
        config: The architecture.
        image_width: Fi, size of an image's feature vector.
        text_width: Ft, size of a description's.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: CoreModelConfig, image: ImageTower, text: TextTower) -> None:
        super().__init__()
        self.config = config
        self.image = image
        self.text = text.model
        if config.text_pooling == "pooler" and getattr(text.model, "pooler", None) is None:
            raise ConfigError(f"text tower {config.text_tower} has no pooler; set text_pooling=mean")
        bad = [stage for stage in config.stages if not 0 <= stage < len(image.stage_widths)]
        if bad:
            raise ConfigError(
                f"stages: {image.name} has stages 0 to {len(image.stage_widths) - 1}, not {bad[0]}"
            )
        pooled = 0 if config.image_pooling == "stages" else image.width
        self.image_width = pooled + 2 * sum(image.stage_widths[stage] for stage in config.stages)
        self.text_width = text.width
        mean, std = _PIXELS[config.normalisation]
        self.register_buffer("pixel_mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.image_norm = _feature_norm(config.feature_normalisation, self.image_width)
        self.text_norm = _feature_norm(config.feature_normalisation, self.text_width)
        # Zero is the average description once features are standardised, and a neutral start otherwise.
        self.missing_text = (
            nn.Parameter(torch.zeros(self.text_width)) if config.missing_text == "learned" else None
        )
        self._stage_widths = [image.stage_widths[stage] for stage in config.stages]
        # Means of a stage, then deviations: each is a group of its own, and so is what the tower pools itself.
        groups = [width for width in self._stage_widths for _ in range(2)] + ([pooled] if pooled else [])
        groups = groups if config.kernel == "additive" else []
        self.head: nn.Module = (
            KernelHead(self.image_width, self.text_width, groups)
            if config.head == "kernel"
            else _head(self.image_width + self.text_width, config.hidden, config.dropout)
        )
        staged = config.head == "kernel" and bool(config.stages)
        self.unlike = Unlike(sum(self._stage_widths)) if staged else None

    @property
    def knows_unlike(self) -> bool:
        """Whether the model says how far an image is from those that it was fitted to."""
        return self.unlike is not None and self.unlike.fitted

    def spreads(self, image_features: Tensor) -> Tensor:
        """Of features [..., Fi] the standard deviations over space of the maps of `stages`, [..., S]."""
        found, start = [], 0
        for width in self._stage_widths:  # the mean of each map comes before its deviation
            found.append(image_features[..., start + width : start + 2 * width])
            start += 2 * width
        return torch.cat(found, dim=-1)

    def distance(self, image_features: Tensor) -> Tensor:
        """Features [B, Fi] -> how far each image is from those of the training, float32 [B]; see `Unlike`.

        Of a model that `knows_unlike`.
        """
        assert self.unlike is not None
        return self.unlike(self.spreads(image_features)).float()  # type: ignore[no-any-return]

    @property
    def trained_without_text(self) -> bool:
        """Whether an image without a description is something the model has learnt."""
        return self.missing_text is not None or isinstance(self.head, KernelHead)

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Float32 RGB [B, 3, H, W] in [0, 255], of the configured size -> image features float32 [B, Fi]."""
        if not self.config.stages:
            return self.image(self._normalised(pixels)).float()  # type: ignore[no-any-return]
        return self.encode_stages(pixels)[0]

    def encode_stages(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The features of `encode_image`, and the maps [B, C_i, H_i, W_i] of every stage that is computed for them."""
        x, wanted = self._normalised(pixels), self.config.stages
        if wanted and self.config.image_pooling == "stages":
            maps = self.image.stage_maps(x, tuple(range(max(wanted) + 1)))
            return moments([maps[i] for i in wanted]), maps
        maps, pooled = self.image.stages(x, tuple(range(len(self.image.stage_widths))))
        return torch.cat(
            [*([moments([maps[i] for i in wanted])] if wanted else []), pooled.float()], dim=1
        ), maps

    def _normalised(self, pixels: Tensor) -> Tensor:
        return (pixels / 255.0 - self.pixel_mean) / self.pixel_std

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids and mask int64 [B, T] -> text features float32 [B, Ft]."""
        output: Any = self.text(input_ids=input_ids, attention_mask=attention_mask)
        if self.config.text_pooling == "pooler":
            return output.pooler_output.float()  # type: ignore[no-any-return]
        mask = attention_mask.unsqueeze(-1).float()  # [B, T, 1]
        hidden = output.last_hidden_state.float()  # [B, T, Ft]
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1)  # type: ignore[no-any-return]

    def fuse(self, image_features: Tensor, text_features: Tensor, has_text: Tensor) -> Tensor:
        """Features [B, Fi] and [B, Ft], has_text float32 [B] of 0 and 1 -> MOS float32 [B].

        Where has_text is 0 a kernel head answers by its machine for images alone, and otherwise the learned
        vector for missing text replaces text_features. A model with neither (`missing_text` "none") ignores
        has_text, and its caller gives the features of the empty description.
        """
        image_features = self.image_norm(image_features)
        text_features = self.text_norm(text_features)
        if isinstance(self.head, KernelHead):
            return self.head(image_features, text_features, has_text).float()  # type: ignore[no-any-return]
        if self.missing_text is not None:
            text_features = torch.where(has_text.unsqueeze(1) > 0.5, text_features, self.missing_text)
        mos: Tensor = self.head(torch.cat([image_features, text_features], dim=1))  # [B, 1]
        return mos.squeeze(1).float()

    def forward(
        self,
        pixels: Tensor,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        has_text: Tensor,
        text_features: Tensor | None = None,
    ) -> Tensor:
        """Pixels, tokens and has_text as in the methods above -> MOS float32 [B].

        `text_features` [B, Ft] stands for ids and mask where features are known, as those of a frozen tower.
        """
        if text_features is None:
            assert input_ids is not None and attention_mask is not None
            text_features = self.encode_text(input_ids, attention_mask)
        return self.fuse(self.encode_image(pixels), text_features, has_text)


def build_core(
    config: CoreModelConfig,
    image_weights: str = "none",
    text_weights: str = "none",
    text_folder: str | None = None,
) -> tuple[CoreModel, TextTower]:
    """Make a CORE model and the text tower it holds (for its tokenizer), in eval mode, on the CPU.

    Args:
        config: The architecture.
        image_weights: "none" (random: seed torch first), "pretrained", or the path of a state_dict.
        text_weights: "none" or "pretrained".
        text_folder: Folder with config.json and tokenizer.json instead of the configured text tower's name.

    Raises:
        TowerError, ConfigError: See `towers`.
    """
    text = text_tower(
        text_folder or config.text_tower,
        pretrained=text_weights == "pretrained",
        pooler=config.text_pooling == "pooler",
        layers=config.text_layers,
    )
    model = CoreModel(config, image_tower(config.image_tower, image_weights), text)
    return model.eval(), text


def freeze(model: CoreModel, config: TrainConfig) -> None:
    """Switch off gradients as configured.

    Raises:
        ConfigError: `until-stage-K` names a stage the tower does not have.
    """
    if config.freeze_text:
        model.text.requires_grad_(False)
    if config.freeze_image == "all":
        model.image.requires_grad_(False)
    elif config.freeze_image != "none":
        last = int(config.freeze_image.rpartition("-")[2])
        stages = model.image.parameter_stages()
        if last >= max(stages.values()):
            raise ConfigError(
                f"freeze_image: {model.image.name} has stages 0 to {max(stages.values())}; "
                f"until-stage-{last} leaves none to train, use 'all'"
            )
        for name, parameter in model.image.backbone.named_parameters():
            parameter.requires_grad_(stages[name] > last)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside the block; afterwards every module is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _feature_norm(kind: str, width: int) -> nn.Module:
    if kind == "layernorm":
        return nn.LayerNorm(width)
    return FeatureNorm(width) if kind == "standardise" else nn.Identity()


def _head(width: int, hidden: int, dropout: float) -> nn.Module:
    drop = [nn.Dropout(dropout)] if dropout else []
    if not hidden:
        return nn.Sequential(*drop, nn.Linear(width, 1))
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), *drop, nn.Linear(hidden, 1))


def moments(stages: Sequence[Tensor]) -> Tensor:
    """Means over space and then deviations of [B, C_i, H_i, W_i], stage by stage, float32 [B, 2 sum C_i]."""
    return torch.cat([moment for stage in stages for moment in _moments(stage)], dim=1)


def _moments(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over space of [B, C, H, W], each float32 [B, C]."""
    maps = maps.float()  # squares of bf16 maps would lose the variance
    mean = maps.mean(dim=(2, 3), keepdim=True)
    variance = ((maps - mean) ** 2).mean(dim=(2, 3))
    return mean.flatten(1), torch.sqrt(variance + 1e-6)
