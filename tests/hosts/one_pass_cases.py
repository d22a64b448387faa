"""Bundles that map in one pass, and the Python engine's maps of pictures, for hosts that must give the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from bundles import read_manifest, write_manifest
from one_pass_bundle import build_one_pass_bundle
from photographs_bundle import add_photographs
from PIL import Image

from realm_engine.arrays import UInt8
from realm_engine.engine import Engine
from realm_engine.maps.files import map_record
from realm_engine.maps.realness_map import DreamConfig, RealnessMap

TEXTS = ["yes the face", "a doubled hand"]
# Bundles, and the encoder that their engine is opened with.
OPENED = (
    ("both", "auto"),
    ("both", "one-pass"),
    ("both", "each-window"),
    ("alone", "auto"),
    ("each", "auto"),
    ("scaled", "auto"),
    ("scaled", "each-window"),
)


def write_one_pass_cases(folder: Path, image: UInt8) -> Path:
    """Write bundles, parts of an image as PNG, maps as NPY, and `cases.json` with what was asked and answered."""
    _bundles(folder)
    pictures = {"a.png": image[:140, :150], "b.png": image[60:221, 30:163], "c.png": image[100:161, :83]}
    for name, picture in pictures.items():
        Image.fromarray(picture).save(folder / name)
    cases: list[dict[str, Any]] = []
    for bundle, encoder in OPENED:
        with Engine.open(folder / bundle, "cpu", threads=1, encoder=encoder) as engine:
            for name, texts, config in _requests(engine):
                result = engine.map(pictures[name], texts, config)
                values = f"{len(cases)}.npy"
                np.save(folder / values, result.values)
                asked = {"bundle": bundle, "choice": encoder, "picture": name, "texts": texts or []}
                cases.append({**asked, "config": _config(config), **_answer(result), "values": values})
    (folder / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    return folder


def _bundles(folder: Path) -> None:
    """`both` has either encoder, `alone` one pass and no graph `dream`, `each` either and presets that ask for every
    window by itself; `passed` is `both` with presets that all ask for one pass; `scaled` is `both` and knows
    photographs: nothing stands out for a text in the preset `tiny`, all for phrases there and a text in `released`.
    """
    build_one_pass_bundle(folder / "both")
    build_one_pass_bundle(folder / "alone", each_window=False)
    build_one_pass_bundle(folder / "each", recommended="each-window")
    scaled = build_one_pass_bundle(folder / "scaled")
    thresholds = {"tiny": {"text": 1e6, "phrases": 1e-6}, "released": {"text": 1e-6}, "paper": {"text": 1e-6}}
    add_photographs(scaled, (16, 24, 64), "one-pass", thresholds)
    passed = read_manifest(build_one_pass_bundle(folder / "passed"))
    passed["dream"]["presets"]["paper"]["encoder"] = "one-pass"
    write_manifest(folder / "passed", passed)


def _requests(engine: Engine) -> Iterator[tuple[str, list[str] | None, DreamConfig]]:
    """Pictures, texts and windows: every preset with a text, several and none; windows of any size at any place."""
    for name, config in engine.presets().items():
        if name == "fast":
            continue
        yield "a.png", TEXTS[:1], config
        yield "b.png", TEXTS, config
        yield "a.png", None, config
    yield "c.png", TEXTS, DreamConfig((24, 16), 5)
    yield "c.png", TEXTS[1:], DreamConfig((61, 9), 7, "max")
    if engine.maps.dream.encoder_name == "one-pass":
        # More windows than a call holds. Each by itself is resized to levels: of so many, some round otherwise on
        # every runtime.
        yield "a.png", TEXTS[1:], DreamConfig((11,), 1)


def _config(config: DreamConfig) -> dict[str, Any]:
    """In the words of the page."""
    encoder = {} if config.encoder is None else {"encoder": config.encoder}
    windows = {"windowsPx": config.windows_px, "stridePx": config.stride_px}
    return {**windows, "aggregate": config.aggregate, **encoder}


def _answer(result: RealnessMap) -> dict[str, Any]:
    phrases = [phrase.text for phrase in result.phrases]
    return {
        "preset": result.preset,
        "encoder": result.encoder,
        "windows": result.windows,
        "phrases": phrases,
        "photographs": map_record(result, (0.0, 1.0))["photographs"],
        "limits": result.own_limits,
    }
