"""Training pairs for CLIP: windows of photographs with flaws put in, and the words for them.

One batch is drawn from its number alone, so that a resumed or distributed run sees the batches that an
uninterrupted one would have seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from realm_engine.arrays import Bool, UInt8
from realm_train.defects import TRAINING_KINDS, clean_description, make_defect
from realm_train.defects.photographs import augment, compress, edit, enlarge

CLEAN = -1
"""Label of windows and texts without a flaw; a flaw's label is the number of its kind."""
ANY_FLAW = -2
"""Label of texts that fit every flaw ("Yes. Something here looks unreal")."""

_Counts = npt.NDArray[np.int32]

STEP_PX = 8
"""From one window of a picture to the next, as in the preset `released`."""

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
        clean: photographs per batch with no flaw in them, `outside` windows each.
        jpeg: probability that an image is compressed after the flaw was put in.
        edits: probability that an image, flawed or not, is blurred, sharpened or made noisy a little as a whole:
            what happens to good photographs on their way is no flaw.
        picture_px: one pass only: side of the part of each image that the trunk runs over. Small ones have more
            edges than the pictures that maps are made of, and a cell sees 400 px far: with 192 px the AUC on whole
            photographs fell while the loss fell too.
    """

    images: int = 32
    inside: int = 3
    outside: int = 4
    described: int = 8
    clean_texts: int = 8
    any_flaw_texts: int = 4
    windows_px: tuple[int, ...] = (64, 64, 64, 48, 96, 128)
    least_cover: float = 0.35
    clean: int = 0
    jpeg: float = 0.3
    edits: float = 0.0
    picture_px: int = 320


@dataclass(frozen=True)
class Described:
    """A rated image with its description; `unreal` is false where the description's verdict is "No"."""

    pixels: UInt8
    description: str
    unreal: bool


class Labelled(Protocol):
    """A batch as the loss sees it: windows with labels int64 [N], texts (M) with labels int64 [M]."""

    window_labels: Tensor
    texts: list[str]
    text_labels: Tensor


@dataclass
class Batch:
    """A `Labelled` of windows that were cut out: uint8 [N, S, S, 3]."""

    windows: Tensor
    window_labels: Tensor
    texts: list[str]
    text_labels: Tensor


@dataclass
class PictureBatch:
    """A `Labelled` of windows in whole pictures: uint8 [B, S, S, 3], windows of `window_px` every `STEP_PX`.

    `places`: picture, row and column of each window in the grid, int64 [N, 3].
    """

    pictures: Tensor
    window_px: int
    places: Tensor
    window_labels: Tensor
    texts: list[str]
    text_labels: Tensor

    @property
    def origins(self) -> range:
        """First pixels of the grid's windows, along both axes."""
        return range(0, self.pictures.shape[1] - self.window_px + 1, STEP_PX)


@dataclass(frozen=True)
class _Drawn:
    """An image with a label and the text that belongs to it; `mask`: where the flaw is, None: a rated image."""

    pixels: UInt8
    mask: Bool | None
    label: int
    text: str | None = None


class Source:
    """What batches are drawn from: flaws in photographs, and rated images with their descriptions."""

    def __init__(
        self,
        photographs: Sequence[UInt8],
        described: Sequence[Described],
        config: PairsConfig,
        seed: int,
        kinds: Sequence[str] = TRAINING_KINDS,
        least_px: int = 0,
    ) -> None:
        """See `PairsConfig`; `photographs` are backgrounds, uint8 (H, W, 3). `least_px`: see `augment`."""
        self.least_px = least_px
        self.photographs = photographs
        self.described = described
        self.config = config
        self.seed = seed
        self.kinds = tuple(kinds)

    def rng(self, number: int) -> np.random.Generator:
        """Randomness of a batch; the same for the same seed."""
        cv2.setNumThreads(1)
        return np.random.default_rng((self.seed, number))

    def draw(self, rng: np.random.Generator) -> Iterator[_Drawn]:
        """The images of a batch; those in which no flaw shows are left out. The caller draws between two images."""
        for _ in range(self.config.images):
            try:
                defect = make_defect(self._background(rng), rng, kinds=self.kinds)
            except ValueError:  # a picture in which no flaw of any kind shows
                continue
            image = self._edited(defect.image, rng)
            yield _Drawn(image, defect.mask, self.kinds.index(defect.kind), defect.description)
        for _ in range(self.config.clean):
            image = self._edited(self._background(rng), rng)
            yield _Drawn(image, np.zeros(image.shape[:2], bool), CLEAN)
        for i in range(self.config.described if self.described else 0):
            rated = self.described[int(rng.integers(len(self.described)))]
            label = PAIRED + i if rated.unreal else CLEAN
            yield _Drawn(enlarge(rated.pixels, self.least_px), None, label, rated.description)

    def _background(self, rng: np.random.Generator) -> UInt8:
        photograph = self.photographs[int(rng.integers(len(self.photographs)))]
        return augment(photograph, rng, self.least_px)

    def _edited(self, image: UInt8, rng: np.random.Generator) -> UInt8:
        """What was done to the image as a whole, after the flaw."""
        if self.config.edits and rng.random() < self.config.edits:
            image = edit(image, rng)
        return compress(image, rng) if rng.random() < self.config.jpeg else image

    def words(self, drawn: Sequence[_Drawn], rng: np.random.Generator) -> tuple[list[str], Tensor]:
        """The texts of a batch with their labels: the images' own, clean ones, and those that fit every flaw."""
        texts = [(each.text, each.label) for each in drawn if each.text is not None]
        texts += [(clean_description(rng), CLEAN) for _ in range(self.config.clean_texts)]
        texts += [(str(rng.choice(_ANY_FLAW_TEXTS)), ANY_FLAW) for _ in range(self.config.any_flaw_texts)]
        return [text for text, _ in texts], torch.tensor([label for _, label in texts])


class WindowPairs(Dataset[Batch]):
    """Batches of windows that are cut out, by number."""

    def __init__(self, source: Source, image_size_px: int, batches: int) -> None:
        self.source = source
        self.size = image_size_px
        self.batches = batches

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, number: int) -> Batch:
        """Batch `number`; the same for the same seed."""
        rng, config = self.source.rng(number), self.source.config
        drawn: list[_Drawn] = []
        windows: list[UInt8] = []
        labels: list[int] = []
        for each in self.source.draw(rng):
            drawn.append(each)
            side = int(rng.choice(config.windows_px))
            if each.mask is None:
                side = min(side, *each.pixels.shape[:2])
                y, x = (int(rng.integers(length - side + 1)) for length in each.pixels.shape[:2])
                places = [(y, x)], list[tuple[int, int]]()
            else:
                places = place_windows(each.mask, side, config, rng)
            inside, outside = places
            windows += [cut(each.pixels, y, x, side, self.size) for y, x in inside + outside]
            labels += [each.label] * len(inside) + [CLEAN] * len(outside)
        texts, text_labels = self.source.words(drawn, rng)
        return Batch(torch.from_numpy(np.stack(windows)), torch.tensor(labels), texts, text_labels)


class PicturePairs(Dataset[PictureBatch]):
    """Batches of pictures of which every window is a sample, by number; one size of windows each."""

    def __init__(self, source: Source, batches: int) -> None:
        self.source = source
        self.batches = batches

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, number: int) -> PictureBatch:
        """Batch `number`; the same for the same seed."""
        rng, config = self.source.rng(number), self.source.config
        whole, window = config.picture_px, int(rng.choice(config.windows_px))
        drawn: list[_Drawn] = []
        pictures: list[UInt8] = []
        places: list[tuple[int, int, int]] = []
        labels: list[int] = []
        for each in self.source.draw(rng):
            mask = np.ones(each.pixels.shape[:2], bool) if each.mask is None else each.mask
            y, x = place_part(mask, whole, rng)
            covered = _covered(mask, window)
            part = tuple(slice(first, first + whole - window + 1, STEP_PX) for first in (y, x))
            inside, outside = choose_places(covered[part], window, config, rng, int(covered.max()))
            places += [(len(pictures), row, column) for row, column in inside + outside]
            labels += [each.label] * len(inside) + [CLEAN] * len(outside)
            pictures.append(cut(each.pixels, y, x, whole, whole))
            drawn.append(each)
        texts, text_labels = self.source.words(drawn, rng)
        return PictureBatch(
            torch.from_numpy(np.stack(pictures)),
            window,
            torch.tensor(places),
            torch.tensor(labels),
            texts,
            text_labels,
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


def place_windows(
    mask: Bool, side: int, config: PairsConfig, rng: np.random.Generator
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Top-left corners (y, x) of windows on the flaw and of windows that do not touch it."""
    side = min(side, *mask.shape)
    return choose_places(_covered(mask, side), side, config, rng)


def place_part(mask: Bool, side: int, rng: np.random.Generator) -> tuple[int, int]:
    """Top-left corner (y, x) of a part that holds some of the flaw, anywhere in it; of any part where there is none.

    A tower that sees the edges of the part from everywhere must not learn that flaws lie in the middle.
    """
    marked = np.flatnonzero(mask)
    place = int(marked[rng.integers(len(marked))] if len(marked) else rng.integers(mask.size))
    y, x = (
        int(np.clip(at - rng.integers(side), 0, length - side))
        for at, length in zip(divmod(place, mask.shape[1]), mask.shape, strict=True)
    )
    return y, x


def choose_places(
    covered: _Counts, side: int, config: PairsConfig, rng: np.random.Generator, most: int | None = None
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Places (row, column) of windows that the flaw covers and of windows that it does not touch.

    `covered`: pixels of the flaw in each window of `side` pixels; `most`: at the most that a window of the whole
    image holds, where these are a part of it.
    """
    least = min(config.least_cover * side * side, 0.9 * float(covered.max() if most is None else most))
    chosen = []
    for allowed, count in ((covered >= max(1.0, least), config.inside), (covered == 0, config.outside)):
        places = np.flatnonzero(allowed)
        picked = places[rng.integers(len(places), size=count)] if len(places) else places[:0]
        chosen.append([(int(p) // covered.shape[1], int(p) % covered.shape[1]) for p in picked])
    return chosen[0], chosen[1]


def _covered(mask: Bool, side: int) -> _Counts:
    """Pixels of a mask in each of its windows, int32 [H - side + 1, W - side + 1]."""
    integral = cv2.integral(mask.astype(np.uint8))
    inside = integral[side:, side:] - integral[:-side, side:] - integral[side:, :-side]
    return np.asarray(inside + integral[:-side, :-side])


def cut(image: UInt8, y: int, x: int, side: int, size: int) -> UInt8:
    """One window, resized to (size, size, 3) as DREAM does, with Pillow's bicubic filter."""
    side = min(side, *image.shape[:2])
    window = image[y : y + side, x : x + side]
    if side == size:
        return np.ascontiguousarray(window)
    return np.asarray(
        Image.fromarray(np.ascontiguousarray(window)).resize((size, size), Image.Resampling.BICUBIC)
    )
