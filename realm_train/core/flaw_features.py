"""Features of planted flaws under fixed towers, in files: dear to make, and the same for every fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from realm_engine.arrays import Float32, UInt8
from realm_engine.machine.files import check_folder, write_atomically
from realm_train.core.flaws import planted_triples
from realm_train.core.model import CoreModel
from realm_train.errors import DataError

PIECE = 100  # triples in a file
SAME_TOWER = 1e-3  # largest difference of the probe's features, relative to the largest of them


@torch.no_grad()
def probe(model: CoreModel) -> Float32:
    """Features of a picture that is always the same, float32 (F,): whether two towers are one."""
    size = (1, 3, model.config.image_height_px, model.config.image_width_px)
    pixels = torch.randint(0, 256, size, generator=torch.Generator().manual_seed(0)).float()
    device = next(model.parameters()).device
    return np.asarray(model.encode_image(pixels.to(device))[0].cpu().numpy())


@torch.no_grad()
def write_flaw_features(
    model: CoreModel,
    photographs: Sequence[UInt8],
    count: int,
    folder: Path,
    seed: int = 0,
    done: Callable[[], None] = lambda: None,
) -> None:
    """Write the features of `planted_triples` as files of `PIECE` of them; those that are there are kept.

    Args:
        model: whose fixed image tower counts, in eval mode.
        photographs: uint8 RGB.
        count: how many triples, rounded up to whole files.
        folder: made if need be.
        seed: of all draws.
        done: called after each file.

    Raises:
        OutputError: nothing can be written there.
        DataError: the folder holds features of another tower.
    """
    check_folder(folder)
    known = probe(model)
    for piece in range(-(-count // PIECE)):
        path = folder / f"{piece:04d}.safetensors"
        if path.is_file():
            _read(path, known)
        else:
            size = (model.config.image_height_px, model.config.image_width_px)
            triples = planted_triples(photographs, PIECE, *size, seed, piece * PIECE)
            found = np.stack([_features(model, triple) for triple in triples], axis=1)
            write_atomically(path, save({"triples": found, "probe": known}))
        done()


def read_flaw_features(folder: Path | str, model: CoreModel) -> Float32:
    """What `write_flaw_features` wrote, float32 (3, P, F): untouched, flawed, mildly edited; not standardised.

    Raises:
        DataError: there is none, or it is of another image tower.
    """
    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        raise DataError(f"{folder}: holds no features of flaws; make them with recipes/flaw_features.py")
    known = probe(model)
    return np.concatenate([_read(path, known) for path in files], axis=1)


def _read(path: Path, known: Float32) -> Float32:
    try:
        tensors = load_file(path)
        triples, theirs = tensors["triples"], tensors["probe"]
    except (OSError, SafetensorError, KeyError) as error:
        raise DataError(
            f"{path}: holds no features of flaws ({error}); remove it and make it again"
        ) from error
    if theirs.shape != known.shape or np.abs(theirs - known).max() > SAME_TOWER * np.abs(known).max():
        raise DataError(f"{path}: features of another image tower; remove the folder and make it again")
    return np.asarray(triples, np.float32)


def _features(model: CoreModel, pictures: UInt8) -> Float32:
    device = next(model.parameters()).device
    pixels = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float()
    return np.asarray(model.encode_image(pixels).cpu().numpy())
