"""Pairs of photographs and the same with a flaw, judged by an engine whose answers are known."""

from types import SimpleNamespace

import numpy as np
import pytest
from clip_data import picture

from realm_train.defects import HELD_OUT_KINDS, KINDS
from realm_train.defects.pairs import EDITS, judge_pairs
from realm_train.defects.planted import planted_defects
from realm_train.errors import DataError

PHOTOGRAPHS = [picture(seed, 200, 260) for seed in range(2)]


class Judge:
    """Scores by how few pixels of its photograph a picture has changed; boxes where many did."""

    def __init__(self, scale: bool = True, sign: float = 1.0) -> None:
        self.scale, self.sign = scale, sign

    def changed(self, image: np.ndarray) -> float:
        same = [each for each in PHOTOGRAPHS if each.shape == image.shape]
        return min((float(np.mean(np.any(each != image, axis=2))) for each in same), default=1.0)

    def score(self, images: list[np.ndarray]) -> list[object]:
        found = [{"mos": -self.sign * self.changed(image)} for image in images]
        return [type("Row", (dict,), {"error": None})(each) for each in found]

    def map(self, image: np.ndarray) -> object:
        flawed = self.changed(image) > 0
        return SimpleNamespace(stands_out=flawed if self.scale else None, regions=lambda: [1] * flawed)


def test_pairs_edits_and_boxes_are_counted() -> None:
    planted = planted_defects(PHOTOGRAPHS, 1, 15, tuple(KINDS))
    found = judge_pairs(Judge(), planted)  # type: ignore[arg-type]
    assert found.pairs == len(planted) > 20
    assert found.below == found.below_unseen_kinds == 1.0
    changes = [Judge().changed(item.defect.image) for item in planted]
    assert found.drop == pytest.approx(np.mean(changes))
    assert set(found.edits_below) == set(EDITS) and set(found.edits_below.values()) == {1.0}
    assert found.edits_drop["cropped by 5 %"] == 1.0
    assert (found.clean_with_boxes, found.flawed_with_boxes) == (0.0, 1.0)
    assert set(found.by_kind) == {item.defect.kind for item in planted} and HELD_OUT_KINDS[0] in found.by_kind
    turned = judge_pairs(Judge(sign=-1.0), planted)  # type: ignore[arg-type]
    assert turned.below == 0.0 and turned.drop == pytest.approx(-found.drop)


def test_maps_without_a_scale_say_nothing() -> None:
    found = judge_pairs(Judge(scale=False), planted_defects(PHOTOGRAPHS, 1, 1, ("noisy_patch",)))  # type: ignore[arg-type]
    assert found.clean_with_boxes is None and found.flawed_with_boxes is None
    assert np.isnan(found.below_unseen_kinds)


@pytest.mark.parametrize("name", list(EDITS))
def test_edits_are_mild(name: str) -> None:
    image = PHOTOGRAPHS[0]
    found = EDITS[name](image)
    assert found.dtype == np.uint8 and not np.array_equal(found, image)
    if found.shape == image.shape:
        assert 0 < np.abs(found.astype(float) - image).mean() < 16
    else:
        assert all(0.79 <= b / a < 1 for a, b in zip(image.shape[:2], found.shape[:2], strict=True))


def test_nothing_planted_is_an_error() -> None:
    with pytest.raises(DataError, match="no flaw shows in any of the photographs"):
        judge_pairs(Judge(), [])  # type: ignore[arg-type]
