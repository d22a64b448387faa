"""Every setting of a CORE run."""

import re
from dataclasses import dataclass, field
from typing import Any

from realm_train.augment import AugmentConfig
from realm_train.errors import ConfigError


@dataclass(frozen=True)
class CoreModelConfig:
    """The network; weights are not part of it.

    Attributes:
        image_tower: Name for `towers.image_tower`.
        text_tower: Name for `towers.text_tower`.
        image_height_px: Height every image is resized to; the aspect ratio is not kept.
        image_width_px: Width every image is resized to.
        interpolation: "bilinear" or "bicubic", PIL's.
        normalisation: Of pixels in [0, 1]: "none", "imagenet" (mean and std) or "half" ((x - 0.5) / 0.5).
        image_pooling: "avg" takes the tower's pooled features; "multi-stage" adds mean and standard deviation
            over space of the maps of `stages`; "stages" takes these alone.
        stages: Indices into the tower's stage maps, for "multi-stage".
        text_pooling: "pooler" (BERT's pooler_output) or "mean" (of the hidden states under the mask).
        max_tokens: Longer descriptions are cut.
        text_layers: Layers of the text tower that are kept, from the first on; 0 keeps all.
        head: "mlp" (trained by gradient) or "kernel" (a support-vector regression on features of fixed towers).
        kernel: Head "kernel": "joint" (one kernel on all features of the image) or "additive" (the mean of one on each
            stage's means and one on each stage's deviations).
        hidden: Width of the hidden layer of the head; 0 for a linear head.
        dropout: Before the last layer.
        feature_normalisation: Of either tower's features before fusion: "none", "layernorm", or "standardise"
            (mean and std of the training images under the starting weights, stored).
        missing_text: "learned" (a trained vector stands for no description) or "none" (the empty description
            does).
    """

    image_tower: str = "resnet50"
    text_tower: str = "bert-base-uncased"
    image_height_px: int = 384
    image_width_px: int = 512
    interpolation: str = "bilinear"
    normalisation: str = "none"
    image_pooling: str = "avg"
    stages: tuple[int, ...] = ()
    text_pooling: str = "pooler"
    max_tokens: int = 128
    text_layers: int = 0
    head: str = "mlp"
    kernel: str = "joint"
    hidden: int = 529
    dropout: float = 0.0
    feature_normalisation: str = "none"
    missing_text: str = "none"

    def __post_init__(self) -> None:
        _choice(self, "interpolation", "bilinear", "bicubic")
        _choice(self, "normalisation", "none", "imagenet", "half")
        _choice(self, "image_pooling", "avg", "multi-stage", "stages")
        _choice(self, "text_pooling", "pooler", "mean")
        _choice(self, "feature_normalisation", "none", "layernorm", "standardise")
        _choice(self, "missing_text", "learned", "none")
        _choice(self, "head", "mlp", "kernel")
        _choice(self, "kernel", "joint", "additive")
        if self.head == "kernel" and self.feature_normalisation != "standardise":
            raise ConfigError("head 'kernel' measures distances: set feature_normalisation=standardise")
        _range(self, "text_layers", 0)
        for name, low in (("image_height_px", 8), ("image_width_px", 8), ("max_tokens", 3), ("hidden", 0)):
            _range(self, name, low)
        _range(self, "dropout", 0, 0.99)
        if (self.image_pooling != "avg") != bool(self.stages):
            raise ConfigError("stages: give stage indices unless image_pooling is 'avg', and only then")


@dataclass(frozen=True)
class TrainConfig:
    """The recipe.

    Attributes:
        image_weights: Where the image tower starts: "pretrained", "none", or the path of a state_dict.
        text_weights: Where the text tower starts: "pretrained" or "none".
        init: Run folder or upstream `.pth` whose whole model is the start instead; "" for none.
        seed: Of weights, shuffling, augmentation and dropout.
        epochs: Upper limit.
        batch_size: Images per step over all processes.
        accumulation: Steps whose gradients are summed before the optimizer moves.
        lr: Learning rate of AdamW; image_lr, text_lr and head_lr replace it for their parts.
        image_lr: See lr.
        text_lr: See lr.
        head_lr: See lr.
        weight_decay: Of AdamW.
        decay_norms: Whether weight decay also takes biases and normalisation parameters, as the paper's does.
        schedule: "constant" or "cosine" (to 0), after the warm-up.
        warmup_epochs: Of linear warm-up.
        grad_clip: Largest gradient norm; 0 for no limit.
        loss: "mse", "huber", or "mse+rank" / "mse+plcc": plus `extra_weight` times a pairwise ranking term /
            one minus the batch's PLCC.
        extra_weight: See loss.
        huber_delta: Where "huber" turns linear, in MOS.
        freeze_image: "none", "all" or "until-stage-K": stages 0 (the stem) to K do not learn.
        freeze_text: Whether the text tower stays as it is.
        freeze_batch_norm: Whether batch norm keeps its statistics everywhere.
        text_dropout: Share of training images whose description is replaced by "missing".
        ema_decay: Of the exponential moving average of the weights that is evaluated and kept; 0 for none.
        patience: Epochs without a better validation before training stops; 0 never stops.
        select: Which validation SROCC decides: "text", "image-only" or their "mean".
        keep: "best" epoch by it, or the "last".
        svr_c: Head "kernel": penalty of the support-vector regression.
        svr_gamma: Head "kernel": of exp(-gamma d^2 / total variance of the features).
        svr_epsilon: Head "kernel": errors below this, in MOS, cost nothing.
        flaws: Head "kernel": folder of recipes/flaw_features.py, by which planted flaws lower the score; "" for none.
        flaw_weight: Deviation over the training images of what they take from or add to the score, in MOS.
        flaw_ridge: Regularisation of their direction, relative to the mean variance of the features.
        mixed_precision: "no", "bf16", "fp16", or "auto" (bf16 where the processor has it, else fp16 on GPUs,
            else none).
    """

    image_weights: str = "pretrained"
    text_weights: str = "pretrained"
    init: str = ""
    seed: int = 42
    epochs: int = 15
    batch_size: int = 16
    accumulation: int = 1
    lr: float = 1.1e-4
    image_lr: float | None = None
    text_lr: float | None = None
    head_lr: float | None = None
    weight_decay: float = 0.01
    decay_norms: bool = True
    schedule: str = "constant"
    warmup_epochs: float = 0.0
    grad_clip: float = 0.0
    loss: str = "mse"
    extra_weight: float = 0.5
    huber_delta: float = 1.0
    freeze_image: str = "none"
    freeze_text: bool = False
    freeze_batch_norm: bool = False
    text_dropout: float = 0.0
    ema_decay: float = 0.0
    patience: int = 0
    select: str = "text"
    keep: str = "best"
    svr_c: float = 1.0
    svr_gamma: float = 0.7
    svr_epsilon: float = 0.1
    flaws: str = ""
    flaw_weight: float = 0.09
    flaw_ridge: float = 0.01
    mixed_precision: str = "auto"

    def __post_init__(self) -> None:
        _choice(self, "text_weights", "pretrained", "none")
        _choice(self, "schedule", "constant", "cosine")
        _choice(self, "loss", "mse", "huber", "mse+rank", "mse+plcc")
        _choice(self, "select", "text", "image-only", "mean")
        _choice(self, "keep", "best", "last")
        _choice(self, "mixed_precision", "auto", "no", "bf16", "fp16")
        for name in ("epochs", "batch_size", "accumulation"):
            _range(self, name, 1)
        for name in ("seed", "lr", "weight_decay", "warmup_epochs", "grad_clip", "extra_weight", "patience"):
            _range(self, name, 0)
        for name in ("flaw_weight", "flaw_ridge"):
            _range(self, name, 0)
        _range(self, "text_dropout", 0, 1)
        _range(self, "ema_decay", 0, 0.99999)
        if self.huber_delta <= 0:
            raise ConfigError(f"huber_delta is {self.huber_delta}, expected more than 0")
        if self.freeze_image not in ("none", "all") and not re.fullmatch(
            r"until-stage-\d+", self.freeze_image
        ):
            raise ConfigError(f"freeze_image is {self.freeze_image!r}, expected none, all or until-stage-K")


@dataclass(frozen=True)
class SplitConfig:
    """Which training rows are held out: "holdout" (20 %, as published), one "fold" of several, or "none"."""

    kind: str = "holdout"
    folds: int = 5
    fold: int = 0
    seed: int = 42

    def __post_init__(self) -> None:
        _choice(self, "kind", "holdout", "fold", "none")
        _range(self, "folds", 2)
        if not 0 <= self.fold < self.folds:
            raise ConfigError(f"fold is {self.fold}, expected 0 to {self.folds - 1}")


RAISE_TD, OWN = "raise-td", "own"


@dataclass(frozen=True)
class CoreConfig:
    """All settings of one run; what config.json of its folder holds.

    `ratings` says whose MOS these are, "raise-td" or "own": only scores learned from RAISE-TD have a place on its
    0-100 scale.
    """

    model: CoreModelConfig = field(default_factory=CoreModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    ratings: str = OWN

    def __post_init__(self) -> None:
        _choice(self, "ratings", RAISE_TD, OWN)


def _choice(config: Any, name: str, *choices: str) -> None:
    value = getattr(config, name)
    if value not in choices:
        raise ConfigError(f"{name} is {value!r}, expected one of {', '.join(choices)}")


def _range(config: Any, name: str, low: float, high: float | None = None) -> None:
    value = getattr(config, name)
    if value < low or (high is not None and value > high):
        limits = f"at least {low}" if high is None else f"{low} to {high}"
        raise ConfigError(f"{name} is {value}, expected {limits}")
