"""Inputs of the benchmarks: window grids, the picture, descriptions, folders of images. All seeded."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.settings import SAMPLES
from realm_engine.arrays import UInt8
from realm_engine.maps.realness_map import DreamConfig
from realm_engine.pictures.descriptions import DESCRIPTIONS_FILE, read_descriptions

WIDTH, HEIGHT = 512, 384  # of RAISE-TD's images and of every published number
# Windows of a 512 x 384 image: 165 is the published function's default stride, 2337 `released`, 26227 `paper`.
GRIDS: dict[int, DreamConfig] = {
    15: DreamConfig((64,), 112),
    48: DreamConfig((64,), 64),
    165: DreamConfig((64,), 32),
    2337: DreamConfig((64,), 8),
    26227: DreamConfig((128, 64, 32), 4, "max"),
}
TEXT = (
    "Somewhat. Part of the facade is a broken repetition of one identical tile, in rows that do not line up."
)

_SUBJECTS = (
    *("face", "hand", "sign", "roof", "cat", "window", "shadow"),
    *("tree", "wheel", "sleeve", "cup", "stair", "fence", "horizon"),
)
_FLAWS = (
    "melts into the background, distorted and unnaturally smooth",
    "is repeated in rows that do not line up with the rest",
    "has blurred edges and a texture that changes abruptly",
    "is bent in a way that no such object could ever be",
    "carries garbled letters that cannot be read at all",
)


def picture(width: int = WIDTH, height: int = HEIGHT) -> UInt8:
    """The sample photograph with a planted flaw, resized by Pillow; uint8 (height, width, 3)."""
    with Image.open(SAMPLES / "temple-repeated.png") as file:
        return np.asarray(file.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))


def count(config: DreamConfig, height: int, width: int) -> int:
    """Windows of a configuration on an image."""
    return sum(grid.count for grid in config.grids(height, width))


def thin(config: DreamConfig, most: int, height: int = HEIGHT, width: int = WIDTH) -> DreamConfig:
    """The same windows at the smallest multiple of the stride that leaves at most `most` of them (or one per scale).

    A regular sample over the whole image, with every scale in about its share.
    """
    multiple = 1
    while True:
        thinned = replace(config, stride_px=config.stride_px * multiple)
        if count(thinned, height, width) <= max(most, len(config.windows_px)):
            return thinned
        multiple += 1


class Descriptions:
    """Endless descriptions of about 30 tokens that never repeat, so that no cache of texts helps anybody."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._serial = 0

    def __call__(self, count: int) -> list[str]:
        """The next `count` descriptions."""
        return [self._next() for _ in range(count)]

    def _next(self) -> str:
        self._serial += 1
        first, second = self._random.sample(_SUBJECTS, 2)
        flaw = self._random.choice(_FLAWS)
        return f"Yes. The {first} near {second} number {self._serial} {flaw}, which looks unreal to me."


def image_files(folder: Path, count: int, seed: int) -> list[Path]:
    """Different JPEG files of 512 x 384, made of the samples by seeded crops and flips; cached in `folder`."""
    folder = folder / f"images-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    sources = sorted(path for path in SAMPLES.iterdir() if path.suffix in (".jpg", ".png"))
    paths = [folder / f"{index:04d}.jpg" for index in range(count)]
    for index, path in enumerate(paths):
        if path.exists():
            continue
        draw = random.Random(seed * 100_003 + index)
        with Image.open(sources[index % len(sources)]) as file:
            full = file.convert("RGB")
        width, height = (int(side * draw.uniform(0.7, 1)) for side in full.size)
        left, top = draw.randint(0, full.width - width), draw.randint(0, full.height - height)
        crop = full.crop((left, top, left + width, top + height)).resize((WIDTH, HEIGHT))
        if draw.random() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        crop.save(path, quality=92)
    return paths


def described_images(folder: Path) -> list[tuple[Path, str]]:
    """Images of a folder with their description, from `image_descriptions.csv` beside them."""
    table = folder / DESCRIPTIONS_FILE
    if not table.is_file():
        return []
    rows = read_descriptions(table).by_name.items()
    return [(folder / name, text) for name, text in rows if (folder / name).is_file()]
