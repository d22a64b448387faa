"""Flaws put into photographs that nothing was trained on, to judge by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from realm_engine.arrays import UInt8
from realm_train.defects.generator import KINDS, TRAINING_KINDS, Defect, make_defect


@dataclass(frozen=True)
class Planted:
    """A flaw in a photograph, the photograph without it, and a description of another kind of flaw."""

    defect: Defect
    clean: UInt8
    wrong_description: str


def planted_defects(
    photographs: Sequence[UInt8],
    seed: int,
    per_photograph: int = 2,
    kinds: Sequence[str] = TRAINING_KINDS,
) -> list[Planted]:
    """Put flaws into photographs, the kinds in turn; the same for the same seed."""
    planted = []
    for number in range(len(photographs) * per_photograph):
        rng = np.random.default_rng((seed, number))
        photograph = photographs[number % len(photographs)]
        kind = kinds[number % len(kinds)]
        other = str(rng.choice([name for name in KINDS if name != kind]))
        try:
            defect = make_defect(photograph, rng, kind=kind)
            wrong = make_defect(photograph, rng, kind=other).description
        except ValueError:  # this flaw would not show in this photograph
            continue
        planted.append(Planted(defect, photograph, wrong))
    return planted
