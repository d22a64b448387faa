"""What a planted flaw does to the features of a picture, as one direction: a second task that needs no ratings.

A regression on ratings is blind to flaws that its few hundred pictures do not have: a melted cup scored as high as the
real one. Pairs of a photograph and the same with a flaw say which is the less real without asking anybody. The
direction is that of Fisher's discriminant (1936): along it a flaw moves a photograph furthest, measured by how much
untouched photographs, mild edits of them and rated pictures differ along it anyway. So it says little of pictures
without a flaw, and added to the score costs next to none of its agreement with ratings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from realm_engine.arrays import Float64, UInt8
from realm_train.defects import make_defect
from realm_train.defects.photographs import augment, benign
from realm_train.errors import DataError
from realm_train.raise_td import resize

LEAST_PX = 224  # of a side of the picture that a flaw is put into
DIFFERENCES, EDITS = 0.5, 1.0  # weights of how flaws, and of how mild edits, differ among themselves


class FlawAxis(nn.Module):
    """Standardised features float32 [..., F] -> what their flaws take from the score, MOS float32 [...].

    Zero until it is fitted; a checkpoint may lack it, as those older than it.
    """

    optional = True  # read by `towers.load_strictly`
    axis: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("axis", torch.zeros(width))

    def forward(self, features: Tensor) -> Tensor:
        """Evaluate."""
        return features @ self.axis

    def fit(self, rated: Float64, triples: Float64, weight: float, ridge: float) -> None:
        """Fisher's direction, so long that its values over the rated pictures have a deviation of `weight`.

        Args:
            rated: standardised features (N, F).
            triples: those of photographs, of the same with a flaw, and of the same mildly edited, (3, P, F).
            weight: in MOS.
            ridge: added to the variances, relative to their mean.
        """
        clean, flawed, edited = triples
        spread = np.cov(np.concatenate([clean, edited, rated]), rowvar=False)
        spread += DIFFERENCES * np.cov(clean - flawed, rowvar=False)
        spread += EDITS * (clean - edited).T @ (clean - edited) / len(clean)
        spread += ridge * np.trace(spread) / len(spread) * np.eye(len(spread))
        axis = np.linalg.solve(spread, (clean - flawed).mean(axis=0))
        axis *= weight / max(float(np.std(rated @ axis)), 1e-12)
        self.axis.copy_(torch.as_tensor(axis))


def planted_triples(
    photographs: Sequence[UInt8], count: int, height_px: int, width_px: int, seed: int, first: int = 0
) -> Iterator[UInt8]:
    """Pictures by threes: a part of a photograph, the same with a flaw, the same mildly edited, uint8 (3, H, W, 3).

    Triple number i depends on seed and i alone; those in which no flaw shows are drawn again.

    Args:
        photographs: uint8 RGB, in turn.
        count: how many triples.
        height_px: of a model's input.
        width_px: of a model's input.
        seed: of all draws.
        first: number of the first one.

    Raises:
        DataError: no flaw shows in any of the photographs.
    """
    for number in range(first, first + count):
        rng = np.random.default_rng((seed, number))
        for attempt in range(number, number + len(photographs)):  # in a plain one no flaw shows
            clean = augment(photographs[attempt % len(photographs)], rng, LEAST_PX)
            try:
                flawed = make_defect(clean, rng).image
                break
            except ValueError:
                continue
        else:
            raise DataError("no flaw shows in any of the photographs: are they plain?")
        pictures = (clean, flawed, benign(clean, rng))
        yield np.stack([resize(np.ascontiguousarray(each), height_px, width_px) for each in pictures])
