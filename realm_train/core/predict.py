"""Predictions of a CORE model on a list of rows, with their descriptions and from the images alone."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from realm_engine.arrays import Float32, UInt8
from realm_train.core.data import Texts
from realm_train.core.model import CoreModel, evaluating


@dataclass(frozen=True)
class Predictions:
    """MOS float32 (N,) of the same rows: with their descriptions, and from the images alone."""

    text: Float32
    image_only: Float32


@torch.no_grad()
def predict(
    model: CoreModel,
    pixels: Sequence[UInt8],
    texts: Texts,
    rows: Sequence[int],
    batch_size: int = 16,
    precision: Callable[[], AbstractContextManager[object]] = nullcontext,
    done: Callable[[], None] | None = None,
) -> Predictions:
    """Predict in eval mode on the model's device; each image is encoded once for both answers.

    Args:
        model: Left in the mode it was in.
        pixels: uint8 RGB (H, W, 3) of the model's size, indexed by row number.
        texts: Of the same rows.
        rows: Row numbers to predict.
        batch_size: Images at once; no influence on the result beyond rounding.
        precision: Makes the autocast context; float32 without.
        done: Called after each batch.
    """
    device = next(model.parameters()).device
    with_text: list[Float32] = []
    image_only: list[Float32] = []
    with evaluating(model):
        for start in range(0, len(rows), batch_size):
            chunk = list(rows[start : start + batch_size])
            batch = np.stack([pixels[row] for row in chunk]).transpose(0, 3, 1, 2)
            images = torch.from_numpy(np.ascontiguousarray(batch)).to(device).float()
            index = torch.tensor(chunk)
            missing = torch.full_like(index, texts.missing)
            with precision():
                features = model.encode_image(images)
                for picked, out in ((index, with_text), (missing, image_only)):
                    if texts.features is not None:
                        described = texts.features[picked].to(device)
                    else:
                        described = model.encode_text(
                            texts.input_ids[picked].to(device), texts.attention_mask[picked].to(device)
                        )
                    mos = model.fuse(features, described, texts.has_text[picked].to(device))
                    out.append(mos.float().cpu().numpy())
            if done is not None:
                done()
    empty = [np.zeros(0, np.float32)]
    return Predictions(np.concatenate(with_text or empty), np.concatenate(image_only or empty))
