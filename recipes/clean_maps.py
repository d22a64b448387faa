"""The scale of a CLIP run's maps: what untouched photographs give, and how far their maps go at most.

Measured on the photographs held out for validation. `python -m export --photographs FILE` puts it into a bundle.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from realm_engine.arrays import Array, UInt8
from realm_engine.maps.phrases import choose_phrases, read_bank
from realm_engine.maps.spec import PhrasePolicy
from realm_engine.maps.windows import WindowGrid
from realm_train.clip.clean import (
    PROBE,
    CleanWindows,
    Geometry,
    high_z,
    measure_windows,
    random_descriptions,
    views,
    window_embeddings,
)
from realm_train.clip.config import ClipConfig
from realm_train.clip.model import Clip, open_clip_run
from realm_train.clip.train import load_photographs
from realm_train.runs import RunFolder

PRESETS: dict[str, dict[str, Any]] = {
    "released": {"windows_px": [64], "stride_px": 8, "aggregate": "mean"},
    "paper": {"windows_px": [128, 64, 32], "stride_px": 4, "aggregate": "max"},
}


def embed(clip: Clip, picture: UInt8, geometry: Geometry) -> tuple[list[Array], list[WindowGrid]]:
    """Embeddings (windows, D) and grids of a preset's window sizes."""
    height, width = picture.shape[:2]
    grids = [WindowGrid(height, width, size, geometry.stride_px) for size in geometry.windows_px]
    return [
        window_embeddings(clip, picture, grid.window_px, grid.stride_px).cpu().numpy() for grid in grids
    ], grids


def heights(
    clip: Clip,
    clean: CleanWindows,
    pictures: Sequence[UInt8],
    geometry: Geometry,
    texts: int,
    bank: Path | None,
) -> tuple[list[float], list[float]]:
    """The highest z-scores of maps of pictures: for `texts` descriptions each, and for the bank's phrases that fit."""
    entries = read_bank(bank) if bank is not None else ()
    phrases = clip.encode_texts([entry.text for entry in entries]).detach().cpu().numpy() if entries else None
    given, picked = [], []
    for number, picture in enumerate(pictures):
        embeddings, grids = embed(clip, picture, geometry)
        described = clip.encode_texts(random_descriptions(texts, number)).detach().cpu().numpy()
        given += [high_z(clean, embeddings, grids, geometry.aggregate, text[None]) for text in described]
        if phrases is not None:
            largest = window_embeddings(clip, picture, max(geometry.windows_px)).cpu().numpy()
            names = [phrase.text for phrase in choose_phrases(largest @ phrases.T, entries, PhrasePolicy())]
            rows = [[entry.text for entry in entries].index(name) for name in names]
            picked.append(high_z(clean, embeddings, grids, geometry.aggregate, phrases[rows]))
    return given, picked


def main() -> None:
    """Write the calibration file, safetensors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="run folder of realm-train clip")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photographs", default="r*", help="file names of real photographs, as in training")
    parser.add_argument("--windows", type=int, nargs="+", default=[32, 64, 128], help="window sizes, px")
    parser.add_argument(
        "--presets", type=Path, help="JSON of presets, as of the export, instead of its own two"
    )
    parser.add_argument("--phrases", type=Path, help="the bundle's phrase bank, whose choice is measured too")
    parser.add_argument("--texts", type=int, default=40, help="descriptions for each picture")
    parser.add_argument(
        "--views", type=int, default=4, help="of a photograph: itself, its mirror image, crops"
    )
    parser.add_argument("--share", type=float, default=0.95, help="of clean photographs that stay silent")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    config = RunFolder(arguments.run).read_config(ClipConfig)
    clip = open_clip_run(arguments.run)
    # Not those trained on, whose windows fit "nothing is wrong" too well, nor those of the final evaluation.
    photographs = load_photographs(
        arguments.data, config, arguments.photographs, only="validation"
    ).validation
    presets = PRESETS if arguments.presets is None else json.loads(arguments.presets.read_text("utf-8"))
    geometries = {
        name: Geometry(tuple(preset["windows_px"]), preset["stride_px"], preset["aggregate"])
        for name, preset in presets.items()
    }
    windows = sorted(
        {*arguments.windows, *(size for each in geometries.values() for size in each.windows_px)}
    )
    pictures = list(views(photographs, arguments.views, config.seed))
    mean, factor, counts = measure_windows(clip, pictures, windows)
    measured = {
        "photographs": len(photographs),
        "windows": counts,
        "pictures": len(pictures),
        "descriptions": arguments.texts,
        "share": arguments.share,
    }
    probe = clip.encode_texts([PROBE])[0].detach().cpu().numpy()
    clean = CleanWindows(tuple(windows), clip.encoder, mean, factor, probe, geometries, {}, measured)
    found: dict[str, dict[str, float]] = {}
    for name, geometry in geometries.items():
        given, picked = heights(clip, clean, pictures, geometry, arguments.texts, arguments.phrases)
        for kind, values in (("text", given), ("phrases", picked)):
            if values:
                found.setdefault(name, {})[kind] = round(float(np.quantile(values, arguments.share)), 3)
                print(
                    f"{name}, {kind}: {len(values)} maps, high z from {min(values):.2f} to {max(values):.2f}"
                )
        print(f"{name}: stands out from z {found[name]}")
    replace(clean, stands_out=found).save(arguments.output)
    print(
        f"{arguments.output}: windows of {', '.join(map(str, windows))} px of {len(photographs)} photographs"
    )


if __name__ == "__main__":
    main()
