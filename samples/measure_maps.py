"""How far the map of each flawed sample tells the flaw from the rest, with its description of `image_descriptions.csv`.

From the root: `python samples/measure_maps.py`. Prints the mean realness on and off the flaw (low = unreal) and the
ROC-AUC of the pixels: 1 where every pixel of the flaw is less real than every other, 0.5 where a map knows nothing.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from realm_engine import DreamConfig, Engine

SAMPLES = Path(__file__).resolve().parent
MASKS = SAMPLES.parent / "tests" / "support" / "data" / "sample_masks"


def auc(flawed: NDArray[np.float32], rest: NDArray[np.float32]) -> float:
    """Share of the pairs (flawed, rest) whose flawed pixel is the lower one; ties count half."""
    ordered = np.sort(rest)
    above = ordered.size - np.searchsorted(ordered, flawed, "right")
    ties = ordered.size - np.searchsorted(ordered, flawed, "left") - above
    return float((above + 0.5 * ties).mean() / ordered.size)


def main() -> None:
    """Print a line per flawed sample."""
    with (SAMPLES / "image_descriptions.csv").open(encoding="utf-8", newline="") as stream:
        texts = {row["filename"]: row["description"] for row in csv.DictReader(stream)}
    print("sample               on the flaw  elsewhere  AUC")
    with Engine.open("realm-tiny", "cpu") as engine:
        for path in sorted(MASKS.glob("*.png")):
            with Image.open(path) as mask:
                flaw = np.asarray(mask.convert("L")) > 0
            found = engine.map(SAMPLES / path.name, texts[path.name], DreamConfig())
            on, off = found.values[flaw & found.covered], found.values[~flaw & found.covered]
            print(f"{path.name:20} {on.mean():11.3f} {off.mean():10.3f} {auc(on, off):.2f}")


if __name__ == "__main__":
    main()
