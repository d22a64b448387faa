"""The Hugging Face Hub, where towers come from by name: asked once, and not at all where that cannot be.

Imports no torch: that there is no network is said before anybody has waited for it.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

from realm_engine.machine.online import is_offline, refuse_offline
from realm_engine.runtimes.base import first_line
from realm_train.errors import TowerError

HF_HUB = "hf-hub:"
LOCAL_DIR = "local-dir:"
OPEN_CLIP_CONFIG = "open_clip_config.json"
_OPEN_CLIP_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
_PATIENCE_S = 5.0


def refuse_offline_tag(model: str, tag: str, cure: str) -> None:
    """Refuse weights of open_clip that lie at an address, not at the hub, and were never fetched. OfflineError."""
    import open_clip

    lies: Any = open_clip.get_pretrained_cfg(model, tag)
    address = str(lies.get("url") or "")
    if is_offline() and address and not lies.get("hf_hub"):
        kept = Path("~/.cache/clip").expanduser() / address.rsplit("/", 1)[-1]
        if not kept.is_file():
            refuse_offline(f"CLIP {model}: weights {tag!r}", cure)


@cache
def prepare_hub() -> None:
    """Have every library look into its cache alone, where this process is to stay offline or nobody answers.

    They would try a hub that cannot be reached for a minute or two; one question says as much in a second.
    """
    import huggingface_hub.constants
    import huggingface_hub.utils

    constants: Any = huggingface_hub.constants
    utils: Any = huggingface_hub.utils
    if constants.HF_HUB_OFFLINE:
        return
    if not is_offline():
        try:
            utils.get_session().head(constants.ENDPOINT, timeout=_PATIENCE_S)
            return
        except Exception:  # the client raises those of its HTTP library, which changes
            pass
    constants.HF_HUB_OFFLINE = True
    os.environ["HF_HUB_OFFLINE"] = "1"  # for processes that this one starts


def hub_folder(repository: str, patterns: list[str], what: str, cure: str) -> Path:
    """The folder of a repository's files that match, from the cache or fetched. Raises TowerError with the cure."""
    from huggingface_hub import snapshot_download

    prepare_hub()
    try:
        return Path(snapshot_download(repository, allow_patterns=patterns))
    except Exception as error:  # the hub client raises a dozen types, those of its HTTP library included
        if is_offline():
            refuse_offline(what, cure)
        raise TowerError(
            f"{what}: cannot be fetched from the model hub ({first_line(error)}); {cure}"
        ) from error


def open_clip_folder(name: str) -> Path | None:
    """The folder that "hf-hub:owner/name" or "local-dir:PATH" means to open_clip; None for any other name.

    Raises:
        TowerError: it cannot be had, or holds no model of open_clip.
        OfflineError: it would have to be fetched, and this process stays offline.
    """
    if name.startswith(HF_HUB):
        cure = (
            "give an open_clip name, a JSON configuration, or local-dir:FOLDER of the downloaded repository"
        )
        patterns = [OPEN_CLIP_CONFIG, "config.json", "tokenizer.json", *_OPEN_CLIP_WEIGHTS]
        folder = hub_folder(name.removeprefix(HF_HUB), patterns, f"CLIP {name}", cure)
    elif name.startswith(LOCAL_DIR):
        folder = Path(name.removeprefix(LOCAL_DIR))
    else:
        return None
    if not (folder / OPEN_CLIP_CONFIG).is_file():
        raise TowerError(f"CLIP {name}: {folder} has no {OPEN_CLIP_CONFIG}; it holds no model of open_clip")
    return folder


def open_clip_weights(folder: Path) -> Path | None:
    """The weights in such a folder, None where it has none."""
    return next((folder / name for name in _OPEN_CLIP_WEIGHTS if (folder / name).is_file()), None)
