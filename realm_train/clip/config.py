"""Settings of a CLIP training."""

from dataclasses import dataclass, field

from realm_train.clip.pairs import PairsConfig
from realm_train.errors import ConfigError

TINY = "realm-tiny"
EACH_WINDOW, ONE_PASS = "each-window", "one-pass"


@dataclass(frozen=True)
class ClipConfig:
    """One CLIP training.

    Attributes:
        model: an open_clip name ("ViT-B-32-quickgelu"), the path of a JSON model configuration, or "realm-tiny".
        weights: "none", an open_clip tag, or the path of a state_dict to start from.
        image_weights: realm-tiny only: path of the `tf_efficientnetv2_b0` state_dict to start from, or "none".
        text_tower: realm-tiny only: name or folder of the text transformer.
        text_layers: realm-tiny only: how many of its layers are kept.
        embed_dim: realm-tiny only: size of the shared embedding space.
        image_size_px: realm-tiny only: side of the tower's input.
        lock_text: keep the text transformer as it is; its projection is trained all the same.
        lock_image: keep the image tower as it is, to train the text projection alone.
        lock_batch_norm: keep the running statistics of batch norm.
        encoder: "each-window": windows are cut out and embedded; realm-tiny also "one-pass": the trunk runs over a
            picture, and windows are pooled from what it gives.
        steps: batches to train on.
        steps_per_epoch: batches between two validations and savings.
        head_lr: learning rate of parts without pretrained weights.
        lr: learning rate of all others.
        warmup_steps: steps in which the rates rise; then they fall as a cosine.
        flat_weight: weight of the variance, over windows without a flaw, of their similarity to descriptions of
            flaws: a picture without flaws shall have a flat map.
        other_flaws: share of a description's target that goes to windows with another kind of flaw: it keeps a
            sense of unrealness in general, which kinds never trained on depend on.
        neutral_denials: 0 pairs texts that deny any flaw with windows without one. Above 0 they are to be like no
            window at all instead, with this weight on their mean squared similarity: "No, ..." then draws a map that
            is uniformly real.
        ema: decay of the moving average that is validated and kept.
        precision: "fp32" or "bf16" (autocast).
        workers: processes that draw batches.
        validation_photographs: photographs held out for validation.
        test_photographs: photographs held out for the final evaluation.
    """

    model: str = TINY
    weights: str = "none"
    image_weights: str = "none"
    text_tower: str = "minilm"
    text_layers: int = 4
    embed_dim: int = 256
    image_size_px: int = 64
    lock_text: bool = True
    lock_image: bool = False
    lock_batch_norm: bool = True
    encoder: str = EACH_WINDOW
    steps: int = 1000
    steps_per_epoch: int = 200
    head_lr: float = 1e-3
    lr: float = 3e-4
    weight_decay: float = 0.05
    warmup_steps: int = 100
    gradient_clip: float = 1.0
    flat_weight: float = 4.0
    other_flaws: float = 0.2
    neutral_denials: float = 0.0
    ema: float = 0.995
    precision: str = "bf16"
    workers: int = 1
    seed: int = 42
    validation_photographs: int = 15
    test_photographs: int = 24
    pairs: PairsConfig = field(default_factory=PairsConfig)

    def __post_init__(self) -> None:
        for name in ("steps", "steps_per_epoch", "text_layers", "embed_dim", "image_size_px"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.precision not in ("fp32", "bf16"):
            raise ConfigError(f"precision {self.precision!r}: known are fp32 and bf16")
        if self.encoder not in (EACH_WINDOW, ONE_PASS):
            raise ConfigError(f"encoder {self.encoder!r}: known are {EACH_WINDOW} and {ONE_PASS}")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"ema must be in [0, 1), not {self.ema}")

    @property
    def epochs(self) -> int:
        """Number of validations; the last epoch may be short."""
        return -(-self.steps // self.steps_per_epoch)
