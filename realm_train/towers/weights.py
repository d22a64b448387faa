"""Weights from files: read without running their code, loaded whole or refused with the first key that differs."""

import pickle
import zipfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from realm_train.errors import TowerError


def load_weights(path: Path | str) -> dict[str, Tensor]:
    """Read a state_dict from `.safetensors`, or from a PyTorch file without unpickling code.

    A file that wraps the state_dict under "state_dict", "model" or "model_state_dict" is unwrapped.

    Raises:
        TowerError: The file is missing, unreadable, or holds something other than tensors.
    """
    path = Path(path)
    if path.is_dir():
        raise TowerError(f"{path}: is a folder; give the weights file in it, such as model.safetensors")
    if not path.is_file():
        raise TowerError(f"{path}: no such weights file; give the path of a .safetensors or .pt/.pth file")
    refuse_other_formats(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise TowerError(
            f"{path}: holds more than tensors and is refused, since loading it would run code; "
            "save its state_dict() and give that file"
        ) from error
    except Exception as error:  # whatever a torn or hostile archive makes its reader stumble over
        raise TowerError(f"{path}: not a readable weights file ({first_line(error)})") from error
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    tensors = isinstance(state, dict) and all(isinstance(value, Tensor) for value in state.values())
    if not tensors or not all(isinstance(key, str) for key in state):
        raise TowerError(f"{path}: holds no state_dict; save model.state_dict() and give that file")
    return dict(state)


# How files begin that are taken for weights now and then, and what they are.
_OTHER_FORMATS = {
    b"version https://git-lfs": "a pointer of git LFS; fetch the file itself (git lfs pull)",
    b"\x89HDF": "an HDF5 file of Keras; give PyTorch's weights",
    b"GGUF": "a GGUF file; give PyTorch's weights",
    b"<!DOCTYPE": "a web page; download the file itself",
    b"<html": "a web page; download the file itself",
}


def refuse_other_formats(path: Path) -> None:
    """Name a file that holds no weights of PyTorch as what it is. Raises TowerError; OSErrors are for who reads it."""
    try:
        with path.open("rb") as stream:
            begin = stream.read(32)
        names = zipfile.ZipFile(path).namelist() if begin.startswith(b"PK") else []
    except (OSError, zipfile.BadZipFile):
        return
    for magic, what in _OTHER_FORMATS.items():
        if begin.startswith(magic):
            raise TowerError(f"{path}: is {what}")
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise TowerError(
            f"{path}: is TorchScript, a program, which is not run; where you trust it, save its weights: "
            "torch.save(torch.jit.load(FILE).state_dict(), NEW)"
        )
    if names and all(name.endswith(".npy") for name in names):
        raise TowerError(f"{path}: is an archive of NumPy; give PyTorch's weights")


_TRANSFORMERS = ("vision_model.", "text_model.", "visual_projection.", "text_projection.weight")


def refuse_transformers_layout(state: dict[str, Tensor], path: Path | str) -> None:
    """Name a CLIP's state_dict that has transformers' keys and not open_clip's. Raises TowerError."""
    if sum(any(key.startswith(prefix) for key in state) for prefix in _TRANSFORMERS) >= 2:
        raise TowerError(
            f"{path}: has the layout of transformers (keys vision_model.*, text_model.*), not of open_clip; give the "
            "weights that open_clip publishes (open_clip_model.safetensors), or local-dir:FOLDER of them"
        )


def load_strictly(
    module: nn.Module, state: dict[str, Tensor], where: str, ignore: tuple[str, ...] = ()
) -> None:
    """Load `state` into `module`; keys that start with one of `ignore` may be absent from the module.

    Tensors that a submodule names in `free_size` take the length of what is loaded. A submodule that is `optional` may
    be absent as a whole, as in checkpoints older than it, and stays as it is.

    Raises:
        TowerError: Keys are missing or unexpected, or shapes differ; names the first of each.
    """
    own = module.state_dict()
    state = {
        key: value for key, value in state.items() if key in own or not key.startswith(ignore or ("\0",))
    }
    # Older files lack the counters of batch norm, which inference never reads.
    absent = tuple(
        f"{prefix}."
        for prefix, part in module.named_modules()
        if getattr(part, "optional", False) and not any(key.startswith(f"{prefix}.") for key in state)
    )
    missing = [
        key
        for key in own
        if key not in state and not key.endswith("num_batches_tracked") and not key.startswith(absent)
    ]
    unexpected = [key for key in state if key not in own]
    free = {
        f"{prefix}.{name}".lstrip(".")
        for prefix, part in module.named_modules()
        for name in getattr(part, "free_size", ())
    }
    shapes = [
        key
        for key in own
        if key in state
        and own[key].shape != state[key].shape
        and not (key in free and own[key].shape[1:] == state[key].shape[1:])
    ]
    if missing or unexpected or shapes:
        parts = []
        if missing:
            parts.append(f"{len(missing)} keys missing (first: {missing[0]})")
        if unexpected:
            parts.append(f"{len(unexpected)} unexpected (first: {unexpected[0]})")
        if shapes:
            key = shapes[0]
            sizes = f"{tuple(state[key].shape)} for {tuple(own[key].shape)}"
            parts.append(f"{len(shapes)} shapes differ (first: {key}, {sizes})")
        raise TowerError(f"{where}: does not fit {type(module).__name__}: {'; '.join(parts)}")
    module.load_state_dict(state, strict=False)


def first_line(error: BaseException) -> str:
    """What a library said, in one line; the name of the exception where it said nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
