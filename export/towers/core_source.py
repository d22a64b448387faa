"""Open a CORE for export: a run folder of `realm-train core`, its checkpoint, or an upstream `.pth`."""

from __future__ import annotations

import json
from pathlib import Path

from export.parts.core import CoreSource
from export.towers.tokenizer import without_padding
from realm_train.core.checkpoint import LoadedCore, load_core


def open_core(path: str | Path) -> CoreSource:
    """Build CORE and load its weights without unpickling code.

    Raises:
        RealmError: nothing is there, it is no CORE, or its weights do not fit.
    """
    path = Path(path)
    # The checkpoint inside a run folder means that run: alone it does not say which architecture it is.
    run = path.parent if path.is_file() and (path.parent / "config.json").is_file() else path
    return core_source(load_core(run))


def core_source(loaded: LoadedCore, weights: str = "trained") -> CoreSource:
    """What the graphs and the manifest need of a loaded CORE."""
    config = loaded.config.model
    return CoreSource(
        model=loaded.model.eval(),
        weights=weights,
        height_px=config.image_height_px,
        width_px=config.image_width_px,
        interpolation=config.interpolation,
        max_tokens=config.max_tokens,
        tokenizer_json=without_padding(json.loads(loaded.tokenizer.to_str())),
        pad_id=loaded.pad_id,
        trained_without_text=loaded.model.trained_without_text,
    )
