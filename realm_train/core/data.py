"""What a CORE model eats: pixels kept in memory, tokenized descriptions, and batches.

Draws depend on nothing but seed, epoch and row, so that neither a restart nor the number of processes or
workers changes them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import Dataset

from realm_engine.arrays import Int64, UInt8
from realm_train.augment import augment
from realm_train.core.config import CoreConfig
from realm_train.core.model import CoreModel, evaluating
from realm_train.raise_td import Row, load_pixels

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class CoreData:
    """Rows with their images decoded.

    Attributes:
        rows: In CSV order.
        pixels: uint8 RGB (H, W, 3) of the model's size: what validation, evaluation and the engine see.
        sources: Images to augment, of at least that size; the same arrays where augmentation needs no more.
    """

    rows: tuple[Row, ...]
    pixels: tuple[UInt8, ...]
    sources: tuple[UInt8, ...]

    @classmethod
    def load(
        cls, rows: Sequence[Row], config: CoreConfig, done: Callable[[], None] | None = None
    ) -> "CoreData":
        """Decode every image once; `done` is called after each."""
        model = config.model
        pixels, sources = load_pixels(
            rows,
            model.image_height_px,
            model.image_width_px,
            model.interpolation,
            margin=config.augment.margin,
            done=done,
        )
        return cls(tuple(rows), tuple(pixels), tuple(sources))


@dataclass(frozen=True)
class Texts:
    """Tokens of N descriptions and, as the last row, of the empty one.

    Attributes:
        input_ids: int64 [N + 1, T].
        attention_mask: int64 [N + 1, T].
        has_text: float32 [N + 1]: 0 where the description is empty.
        features: float32 [N + 1, Ft] of a frozen text tower, else None.
    """

    input_ids: Tensor
    attention_mask: Tensor
    has_text: Tensor
    features: Tensor | None = None

    @property
    def missing(self) -> int:
        """Row of the empty description."""
        return len(self.has_text) - 1

    @torch.no_grad()
    def with_features(self, model: CoreModel, batch_size: int = 64) -> "Texts":
        """The same with the features that `model` gives them in eval mode."""
        device = next(model.parameters()).device
        with evaluating(model):
            parts = [
                model.encode_text(
                    self.input_ids[start : start + batch_size].to(device),
                    self.attention_mask[start : start + batch_size].to(device),
                )
                for start in range(0, len(self.input_ids), batch_size)
            ]
        return Texts(self.input_ids, self.attention_mask, self.has_text, torch.cat(parts).cpu())


def tokenize(descriptions: Sequence[str], tokenizer: Tokenizer, max_tokens: int, pad_id: int = 0) -> Texts:
    """Encode descriptions; a longer one is cut before its final special token, as the engine cuts it."""
    encoded = [encoding.ids for encoding in tokenizer.encode_batch([*descriptions, ""])]
    encoded = [ids if len(ids) <= max_tokens else [*ids[: max_tokens - 1], ids[-1]] for ids in encoded]
    length = max(1, max(len(ids) for ids in encoded))
    input_ids = np.full((len(encoded), length), pad_id, np.int64)
    mask = np.zeros((len(encoded), length), np.int64)
    for row, ids in enumerate(encoded):
        input_ids[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
    has_text = np.array([bool(text.strip()) for text in descriptions] + [False], np.float32)
    return Texts(torch.from_numpy(input_ids), torch.from_numpy(mask), torch.from_numpy(has_text))


class TrainingImages(Dataset[Batch]):
    """Augmented training samples; items are asked for by (epoch, row)."""

    def __init__(self, data: CoreData, texts: Texts, config: CoreConfig) -> None:
        self.data, self.config = data, config
        self.has_text = texts.has_text.numpy()
        self.missing = texts.missing

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        """pixels uint8 [3, H, W], text (row of Texts) int64, has_text float32, mos float32."""
        epoch, row = key
        generator = np.random.default_rng((self.config.train.seed, epoch, row))
        dropped = generator.random() < self.config.train.text_dropout
        model = self.config.model
        pixels = augment(
            self.data.sources[row],
            model.image_height_px,
            model.image_width_px,
            self.config.augment,
            generator,
        )
        return {
            "pixels": torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))),
            "text": torch.tensor(self.missing if dropped else row),
            "has_text": torch.tensor(0.0 if dropped else float(self.has_text[row])),
            "mos": torch.tensor(self.data.rows[row].mos, dtype=torch.float32),
        }


class EpochBatches:
    """Batch sampler: (epoch, row) keys in an order drawn from seed and epoch; set `epoch` before."""

    def __init__(self, rows: Sequence[int], batch_size: int, seed: int) -> None:
        self.rows = np.asarray(rows, np.int64)
        self.batch_size, self.seed = batch_size, seed
        self.drop_last = False
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order: Int64 = np.random.default_rng((self.seed, self.epoch)).permutation(self.rows)
        for start in range(0, len(order), self.batch_size):
            yield [(self.epoch, int(row)) for row in order[start : start + self.batch_size]]
