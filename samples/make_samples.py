"""Make the flawed samples, their masks and `image_descriptions.csv` from the clean photographs here.

From the root: `python samples/make_samples.py`. The same generator state gives the same flaw,
so that the files in the repository come out again.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from realm_train.defects import Defect, make_defect

SAMPLES = Path(__file__).resolve().parent
MASKS = SAMPLES.parent / "tests" / "support" / "data" / "sample_masks"
"""Not in `samples/`: there they would be found, and scored, as photographs."""


@dataclass(frozen=True)
class Flaw:
    """One flawed sample: which photograph, which flaw, and what a viewer would write about it."""

    source: str
    target: str
    kind: str
    seed: int
    severity: float
    description: str


FLAWS = (
    Flaw(
        "cat.jpg",
        "cat-doubled.png",
        "doubled_parts",
        8,
        0.85,
        "Yes. The cat has a second eye below the left one, a doubled, overlapping copy of the same part, "
        "which makes the face look distorted and unrealistic.",
    ),
    Flaw(
        "coffee.jpg",
        "coffee-melted.png",
        "melted_edges",
        4,
        0.85,
        "Yes. The rim and front of the cup look melted and drip downwards like wax, and the spoon below is "
        "pulled out of shape in the same unnatural way.",
    ),
    Flaw(
        "temple.jpg",
        "temple-repeated.png",
        "broken_repetition",
        8,
        0.85,
        "Somewhat. Part of the facade is a broken repetition of one identical tile, in rows that do not line "
        "up, and it sticks out over the lake unnaturally.",
    ),
)

CLEAN = {
    "cat.jpg": "No, there is nothing unrealistic in this image. The cat's fur, eyes, and whiskers all appear "
    "natural, with a plausible blurred background.",
    "coffee.jpg": "No, nothing looks unrealistic in this image. The cup, saucer, spoon, and wooden table "
    "appear natural and consistently lit.",
    "flower.jpg": "No, there is nothing unrealistic in this image. The petals, colours, and soft background "
    "all appear natural and consistent with a real photograph.",
    "temple.jpg": "No, there is nothing unrealistic in this image. The pagoda, trees, and hazy lake appear "
    "natural, with consistent architecture and lighting.",
}
"""`rocket.jpg` has no description on purpose: it shows what is done with an image alone."""


def flawed(flaw: Flaw, folder: Path = SAMPLES) -> Defect:
    """Put a flaw into its photograph; the photograph is read from `folder`."""
    with Image.open(folder / flaw.source) as photograph:
        pixels = np.asarray(photograph.convert("RGB"))
    return make_defect(pixels, np.random.default_rng(flaw.seed), kind=flaw.kind, severity=flaw.severity)


def main() -> None:
    """Write every flawed sample, its mask (255 = flawed) and the descriptions."""
    MASKS.mkdir(parents=True, exist_ok=True)
    for flaw in FLAWS:
        defect = flawed(flaw)
        Image.fromarray(defect.image).save(SAMPLES / flaw.target, optimize=True)
        mask = Image.fromarray(defect.mask.astype(np.uint8) * 255)
        mask.convert("1").save(MASKS / f"{Path(flaw.target).stem}.png", optimize=True)
        print(f"{flaw.target}: {flaw.kind} over {defect.mask.mean():.1%} of the image")
    rows = sorted({**CLEAN, **{flaw.target: flaw.description for flaw in FLAWS}}.items())
    with (SAMPLES / "image_descriptions.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("filename", "description"))
        writer.writerows(rows)


if __name__ == "__main__":
    main()
