"""A trained CORE, wherever it was read from."""

from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from realm_train.core.config import CoreConfig
from realm_train.core.model import CoreModel


@dataclass(frozen=True)
class LoadedCore:
    """A model in eval mode on the CPU, its configuration, its tokenizer without padding or truncation."""

    model: CoreModel
    config: CoreConfig
    tokenizer: Tokenizer
    path: Path

    @property
    def pad_id(self) -> int:
        """Token id that pads descriptions."""
        return text_pad_id(self.model)


def text_pad_id(model: CoreModel) -> int:
    """Token id that pads descriptions; 0 where the tower does not say."""
    pad_id = getattr(model.text.config, "pad_token_id", None)
    return int(pad_id) if isinstance(pad_id, int) else 0
