"""Named CORE configurations."""

from collections.abc import Mapping
from types import MappingProxyType

from realm_train.augment import AugmentConfig
from realm_train.core.config import CoreConfig, CoreModelConfig, TrainConfig
from realm_train.errors import ConfigError

# The published recipe (arXiv 2509.13289, its code): ResNet-50 on unnormalised pixels, BERT's pooler_output,
# one hidden layer, everything fine-tuned. The epoch is chosen on validation rows, not test images as there.
PAPER = CoreConfig(
    model=CoreModelConfig(),
    train=TrainConfig(),
    augment=AugmentConfig(
        flip=0.5,
        rotation_deg=10.0,
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
        hue=0.1,
        border="black",
        interpolation="nearest",
    ),
)

# The recipe of the embedded default: small towers, an image alone is a supported input.
SMALL = CoreConfig(
    model=CoreModelConfig(
        image_tower="tf_efficientnetv2_b0",
        text_tower="minilm",
        normalisation="imagenet",
        image_pooling="multi-stage",
        stages=(2, 3, 4),
        text_pooling="mean",
        hidden=128,
        dropout=0.3,
        feature_normalisation="standardise",
        missing_text="learned",
    ),
    train=TrainConfig(
        epochs=20,
        lr=1e-4,
        head_lr=1e-3,
        weight_decay=0.05,
        decay_norms=False,
        schedule="cosine",
        warmup_epochs=1.0,
        grad_clip=1.0,
        loss="mse+plcc",
        freeze_image="until-stage-2",
        freeze_text=True,
        freeze_batch_norm=True,
        text_dropout=0.3,
        ema_decay=0.99,
        select="mean",
    ),
    augment=AugmentConfig(
        flip=0.5, rotation_deg=3.0, crop_scale=0.8, brightness=0.1, contrast=0.1, saturation=0.1
    ),
)

# The embedded default: fixed towers and support-vector regressions on them. It was never compared with a tuned
# "small", whose numbers are a starting point. Of the image tower's six stages the last three, texture to shape,
# carry the score; of the text tower the first four layers.
TINY = CoreConfig(
    model=CoreModelConfig(
        image_tower="tf_efficientnetv2_b0",
        text_tower="minilm",
        image_height_px=336,
        image_width_px=448,
        normalisation="imagenet",
        image_pooling="stages",
        stages=(3, 4, 5),
        text_pooling="mean",
        text_layers=4,
        head="kernel",
        kernel="additive",
        feature_normalisation="standardise",
    ),
    augment=AugmentConfig(flip=0.5),
    train=TrainConfig(freeze_image="all", freeze_text=True, svr_c=1.5, svr_gamma=0.8, svr_epsilon=0.2),
)

CORE_PRESETS: Mapping[str, CoreConfig] = MappingProxyType({"paper": PAPER, "small": SMALL, "tiny": TINY})


def core_preset(name: str) -> CoreConfig:
    """The configuration of that name.

    Raises:
        ConfigError: There is no such preset; names those there are.
    """
    if name not in CORE_PRESETS:
        raise ConfigError(f"preset {name!r} is unknown; there are {', '.join(CORE_PRESETS)}")
    return CORE_PRESETS[name]
