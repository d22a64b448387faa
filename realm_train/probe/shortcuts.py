"""Shortcuts: how well labels can be told apart by what has nothing to do with what a picture shows.

White borders around the photographs alone, one camera's quantisation table, fakes that all are 512 px: a probe finds
these as well, and is worth nothing elsewhere. Each kind of trivial feature gets a forest of its
own (which sees "exactly 512", as no linear model does), judged on folds that it has not seen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from realm_engine.arrays import Bool, Float64, UInt8
from realm_engine.errors import ImageError
from realm_engine.measures import brisque, niqe
from realm_engine.measures.contrast import moments_of_blocks, moments_of_whole
from realm_engine.measures.nss import BLOCK_PX
from realm_engine.pictures.decode import load_image
from realm_train.probe.data import Labelled, folds, labels

SUSPICIOUS_AUC = 0.75
MOST_OF_LABEL = 500  # pictures that are looked at, which is enough to see a shortcut
FOLDS, TREES = 5, 50
_BORDER_PX = 2
_TYPES = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
_TABLE = 64


@dataclass(frozen=True)
class Shortcut:
    """One kind of trivial features.

    Attributes:
        name: Of the kind.
        auc: Of p(fake) from them alone on pictures that the forest had not seen; .5 = they say nothing.
    """

    name: str
    auc: float

    @property
    def suspicious(self) -> bool:
        """Whether they tell labels apart so well that a probe may live on them."""
        return self.auc > SUSPICIOUS_AUC

    @property
    def warning(self) -> str:
        """One line for people."""
        return (
            f"{self.name} alone tells real from fake with an AUC of {self.auc:.2f}: the probe may have learned that; "
            "give both labels the same kinds of files"
        )


def shortcuts(
    pictures: Sequence[Labelled],
    seed: int = 42,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Shortcut, ...]:
    """How well each kind of trivial features tells labels apart, the best first.

    Args:
        pictures: Both labels; of more than `MOST_OF_LABEL` of one some are drawn.
        seed: Of that, of folds and of forests.
        progress: Told how many pictures are done, and of how many.

    Raises:
        DataError: see `folds`.
        ImageError: a picture cannot be read.
    """
    some = _some(pictures, seed)
    rows: list[Mapping[str, Sequence[float]]] = []
    for picture in some:
        rows.append(trivial(picture.path))
        progress(len(rows), len(some))
    found = [
        Shortcut(name, _auc(np.array([row[name] for row in rows], np.float64), some, seed))
        for name in rows[0]
    ]
    return tuple(sorted(found, key=lambda each: -each.auc))


def trivial(path: Path) -> dict[str, Sequence[float]]:
    """Numbers of a picture by kind; NaN where a small or flat picture has none. Raises ImageError."""
    pixels = load_image(path)  # refuses what is no picture before anybody looks into its header
    with Image.open(path, formats=_TYPES) as image:
        kind = "JPEG" if image.format == "MPO" else image.format  # a JPEG with more pictures in it
        tables: Mapping[int, Sequence[float]] = getattr(image, "quantization", {})
    height, width = pixels.shape[:2]
    size = path.stat().st_size
    sides = (pixels[:_BORDER_PX], pixels[-_BORDER_PX:], pixels[:, :_BORDER_PX], pixels[:, -_BORDER_PX:])
    return {
        "the border's colour": [float(level) for side in sides for level in side.mean(axis=(0, 1))],
        "the size in pixels": [width, height, width * height, width / height],
        "the size of the file": [size, size / (width * height)],
        "the file's type": [float(kind == each) for each in _TYPES],
        "the JPEG quantisation table": [*_table(tables, 0), *_table(tables, 1)],
        "the mean colour": [float(level) for level in pixels.mean(axis=(0, 1))],
        "noise and sharpness (NIQE's and BRISQUE's numbers)": scene_statistics(pixels).tolist(),
    }


def scene_statistics(pixels: UInt8) -> Float64:
    """The 72 natural scene statistics of a picture: NIQE's 36, means over its blocks, and BRISQUE's 36."""
    blocks = np.full(niqe.FEATURES, np.nan)
    if min(pixels.shape[:2]) >= BLOCK_PX:
        found = niqe.features(moments_of_blocks(pixels))
        complete = found[~np.isnan(found).any(axis=1)]
        blocks = complete.mean(axis=0) if len(complete) else blocks
    try:
        whole = brisque.features(moments_of_whole(pixels))
    except (ImageError, ValueError):
        whole = np.full(brisque.FEATURES, np.nan)
    return np.concatenate([blocks, whole])


def _some(pictures: Sequence[Labelled], seed: int) -> list[Labelled]:
    """At most `MOST_OF_LABEL` of each label, in their order."""
    generator = np.random.default_rng(seed)
    kept: list[int] = []
    for fake in (False, True):
        rows = np.flatnonzero(labels(pictures) == fake)
        kept += map(int, generator.choice(rows, min(len(rows), MOST_OF_LABEL), replace=False))
    return [pictures[row] for row in sorted(kept)]


def _auc(features: Float64, pictures: Sequence[Labelled], seed: int) -> float:
    fake: Bool = labels(pictures)
    p = np.empty(len(fake))
    for split in folds(pictures, FOLDS, seed):
        seen, unseen = list(split.train), list(split.validation)
        forest = RandomForestClassifier(TREES, min_samples_leaf=3, class_weight="balanced", random_state=seed)
        p[unseen] = forest.fit(features[seen], fake[seen]).predict_proba(features[unseen])[:, 1]
    return float(roc_auc_score(fake, p))


def _table(tables: Mapping[int, Sequence[float]], number: int) -> Sequence[float]:
    """A quantisation table, [64]; zeros where there is none."""
    found = list(tables.get(number, ()))[:_TABLE]
    return [float(value) for value in found] + [0.0] * (_TABLE - len(found))
