"""Pictures in which flaws show, and CLIPs so small that a training takes seconds."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from train_data import write_text_tower

from realm_train.clip.config import ClipConfig
from realm_train.clip.pairs import PairsConfig

PAIRS = PairsConfig(
    images=2, inside=2, outside=2, described=2, clean_texts=2, any_flaw_texts=1, windows_px=(32, 48)
)


def picture(seed: int, height: int = 144, width: int = 176) -> NDArray[np.uint8]:
    """Shapes with texture on a gradient, uint8 RGB."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([80 + 60 * y / height, 90 + 50 * x / width, 140 - 40 * y / height], axis=-1)
    for _ in range(14):
        corner = rng.integers(0, (width, height))
        size = rng.integers(12, 60, 2)
        colour = tuple(float(c) for c in rng.integers(20, 236, 3))
        end = tuple(int(v) for v in corner + size)
        cv2.rectangle(image, tuple(int(v) for v in corner), end, colour, -1)
    image += 18 * np.sin(x / 3 + rng.uniform(0, 6))[..., None] * np.cos(y / 4)[..., None]
    image += rng.normal(0, 6, image.shape)
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def write_pictures(root: Path, count: int = 7) -> Path:
    """A rated data set of such pictures in REALM's layout: names of photographs begin with r, two more with g."""
    folder = root / "train" / "images"
    folder.mkdir(parents=True)
    with (root / "train" / "image_descriptions.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "MOS", "description"])
        for i in range(count + 2):
            name = f"{'r' if i < count else 'g'}{i}.png"
            Image.fromarray(picture(i)).save(folder / name)
            text = "No, nothing looks odd." if i < count else "Yes, the face looks warped."
            writer.writerow([name, round(0.8 - 0.2 * i, 2), "" if i == 1 else text])
    return root


def write_native_config(folder: Path) -> Path:
    """JSON configuration of a CLIP with a one-layer ViT on 32 px windows and a one-layer text transformer."""
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    path = folder / "native.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def write_clip_text_tower(folder: Path) -> Path:
    """A two-layer BERT that takes descriptions of realm-tiny's full length."""
    return write_text_tower(folder, positions=128)


def clip_config(model: Path | str, **settings: object) -> ClipConfig:
    """Four steps in two epochs on batches of ten windows."""
    options: dict[str, object] = {
        "model": str(model),
        "steps": 4,
        "steps_per_epoch": 2,
        "warmup_steps": 1,
        "precision": "fp32",
        "workers": 0,
        "validation_photographs": 2,
        "test_photographs": 2,
        "pairs": PAIRS,
    }
    return ClipConfig(**(options | settings))  # type: ignore[arg-type]
