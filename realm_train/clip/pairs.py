"""Training pairs for CLIP: windows of photographs with flaws put in, and the words for them.

One batch is drawn from its number alone, so that a resumed or distributed run sees the batches that an
uninterrupted one would have seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from realm_engine.arrays import Bool, UInt8
from realm_train.defects import TRAINING_KINDS, clean_description, make_defect

CLEAN = -1
"""Label of windows and texts without a flaw; a flaw's label is the number of its kind."""
ANY_FLAW = -2
"""Label of texts that fit every flaw ("Yes. Something here looks unreal")."""

PAIRED = 1000
"""Labels from here on are pairs of their own: one window, one text."""

_ANY_FLAW_TEXTS = (
    "Yes. Something in this image looks unreal",
    "Yes, part of the picture appears artificial and digitally altered",
    "Somewhat. Some details look unnatural and inconsistent with the rest of the image",
    "an unrealistic, artificial-looking area",
    "Yes. One area looks computer-generated rather than photographed",
    "Somewhat. There are visible artifacts that a real photograph would not have",
    "unreal",
    "visible generation artifacts",
)


@dataclass(frozen=True)
class PairsConfig:
    """What a batch holds.

    Attributes:
        images: flawed images per batch.
        inside: windows per image that lie on the flaw.
        outside: windows per image that do not touch it.
        described: rated images with their own descriptions, one window each.
        clean_texts: texts that say that nothing is wrong.
        any_flaw_texts: texts that fit every flaw.
        windows_px: window sides to draw from; all are resized to the tower's input as DREAM does.
        least_cover: least share of an inside window that the flaw covers.
        jpeg: probability that an image is compressed after the flaw was put in.
    """

    images: int = 32
    inside: int = 3
    outside: int = 4
    described: int = 8
    clean_texts: int = 8
    any_flaw_texts: int = 4
    windows_px: tuple[int, ...] = (64, 64, 64, 48, 96, 128)
    least_cover: float = 0.35
    jpeg: float = 0.3


@dataclass(frozen=True)
class Described:
    """A rated image with its description; `unreal` is false where the description's verdict is "No"."""

    pixels: UInt8
    description: str
    unreal: bool


@dataclass(frozen=True)
class Batch:
    """windows uint8 [N, S, S, 3] with labels int64 [N]; texts (M) with labels int64 [M]."""

    windows: Tensor
    window_labels: Tensor
    texts: list[str]
    text_labels: Tensor


class WindowPairs(Dataset[Batch]):
    """Batches by number."""

    def __init__(
        self,
        photographs: Sequence[UInt8],
        described: Sequence[Described],
        config: PairsConfig,
        image_size_px: int,
        seed: int,
        batches: int,
        kinds: Sequence[str] = TRAINING_KINDS,
    ) -> None:
        """See `PairsConfig`; `photographs` are backgrounds, uint8 (H, W, 3)."""
        self.photographs = photographs
        self.described = described
        self.config = config
        self.size = image_size_px
        self.seed = seed
        self.batches = batches
        self.kinds = tuple(kinds)

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, number: int) -> Batch:
        """Batch `number`; the same for the same seed."""
        cv2.setNumThreads(1)
        rng = np.random.default_rng((self.seed, number))
        config = self.config
        windows: list[UInt8] = []
        labels: list[int] = []
        texts: list[str] = []
        text_labels: list[int] = []
        for _ in range(config.images):
            background = augment(self.photographs[int(rng.integers(len(self.photographs)))], rng)
            try:
                defect = make_defect(background, rng, kinds=self.kinds)
            except ValueError:  # a picture in which no flaw of any kind shows
                continue
            label = self.kinds.index(defect.kind)
            image = compress(defect.image, rng) if rng.random() < config.jpeg else defect.image
            side = int(rng.choice(config.windows_px))
            inside, outside = place_windows(defect.mask, side, config, rng)
            windows += [cut(image, y, x, side, self.size) for y, x in inside + outside]
            labels += [label] * len(inside) + [CLEAN] * len(outside)
            texts.append(defect.description)
            text_labels.append(label)
        for i in range(config.described if self.described else 0):
            rated = self.described[int(rng.integers(len(self.described)))]
            side = min(int(rng.choice(config.windows_px)), *rated.pixels.shape[:2])
            y, x = (int(rng.integers(length - side + 1)) for length in rated.pixels.shape[:2])
            windows.append(cut(rated.pixels, y, x, side, self.size))
            labels.append(PAIRED + i if rated.unreal else CLEAN)
            texts.append(rated.description)
            text_labels.append(PAIRED + i if rated.unreal else CLEAN)
        for _ in range(config.clean_texts):
            texts.append(clean_description(rng))
            text_labels.append(CLEAN)
        for _ in range(config.any_flaw_texts):
            texts.append(str(rng.choice(_ANY_FLAW_TEXTS)))
            text_labels.append(ANY_FLAW)
        return Batch(
            torch.from_numpy(np.stack(windows)), torch.tensor(labels), texts, torch.tensor(text_labels)
        )


def belonging(window_labels: Tensor, text_labels: Tensor) -> tuple[Tensor, Tensor]:
    """Which windows and texts belong together, and which at least agree that something is unreal: bool [N, M] each.

    The first: equal labels, or a flawed window and a text that fits every flaw. The second: a flawed window and the
    description of another kind of flaw.
    """
    flawed = ((window_labels >= 0) & (window_labels < PAIRED))[:, None]
    flaw_texts = ((text_labels >= 0) & (text_labels < PAIRED))[None, :]
    same = window_labels[:, None] == text_labels[None, :]
    return same | (flawed & (text_labels == ANY_FLAW)[None, :]), flawed & flaw_texts & ~same


def augment(image: UInt8, rng: np.random.Generator) -> UInt8:
    """A random part of a photograph at a random scale, mirrored at random, its exposure varied."""
    height, width = image.shape[:2]
    share = rng.uniform(0.6, 1.0)
    h, w = max(96, int(height * share)), max(96, int(width * share))
    h, w = min(h, height), min(w, width)
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    part = image[y : y + h, x : x + w]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    if rng.random() < 0.6:
        scale = rng.uniform(0.8, 1.0) / share
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        size = (max(160, int(w * scale)), max(160, int(h * scale)))
        part = np.asarray(cv2.resize(part, size, interpolation=way), np.uint8)
    if rng.random() < 0.5:
        levels = np.arange(256) / 255
        curve = np.clip(levels ** rng.uniform(0.75, 1.33) * rng.uniform(0.85, 1.15), 0, 1)
        part = np.floor(curve * 255 + 0.5).astype(np.uint8)[part]
    return np.ascontiguousarray(part)


def compress(image: UInt8, rng: np.random.Generator) -> UInt8:
    """Through JPEG at a quality of 60 to 95."""
    quality = int(rng.integers(60, 96))
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


def place_windows(
    mask: Bool, side: int, config: PairsConfig, rng: np.random.Generator
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Top-left corners (y, x) of windows on the flaw and of windows that do not touch it."""
    height, width = mask.shape
    side = min(side, height, width)
    integral = cv2.integral(mask.astype(np.uint8))
    covered = (
        integral[side:, side:] - integral[:-side, side:] - integral[side:, :-side] + integral[:-side, :-side]
    )  # [H - side + 1, W - side + 1]
    least = min(config.least_cover * side * side, 0.9 * float(covered.max()))
    chosen = []
    for allowed, count in ((covered >= max(1.0, least), config.inside), (covered == 0, config.outside)):
        places = np.flatnonzero(allowed)
        picked = places[rng.integers(len(places), size=count)] if len(places) else places[:0]
        chosen.append([(int(p) // covered.shape[1], int(p) % covered.shape[1]) for p in picked])
    return chosen[0], chosen[1]


def cut(image: UInt8, y: int, x: int, side: int, size: int) -> UInt8:
    """One window, resized to (size, size, 3) as DREAM does, with Pillow's bicubic filter."""
    side = min(side, *image.shape[:2])
    window = image[y : y + side, x : x + side]
    if side == size:
        return np.ascontiguousarray(window)
    return np.asarray(
        Image.fromarray(np.ascontiguousarray(window)).resize((size, size), Image.Resampling.BICUBIC)
    )
