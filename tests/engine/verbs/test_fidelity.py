"""The gates of a lower precision: for every limit, what is just inside passes and what is just outside misses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from rows import NUMBERS

from realm_engine.bundle.columns import Column
from realm_engine.maps.windows import WindowGrid
from realm_engine.verbs.fidelity import (
    HALF_GATES,
    INT8_GATES,
    LEAST_SROCC,
    Answers,
    PrecisionGates,
    Scores,
    Trial,
    compare,
    precision_gates,
    spearman,
)

MOS = NUMBERS[0]
UNBOUND = Column("quality", "quality", 0.0, 100.0, "high", "a number without a tolerance")
NOBODY = Trial((), (), (), (), ())
GRID = WindowGrid(8, 8 * 64, 8, 8)  # windows side by side: the correlation of maps is that of windows
TEXT, OTHER, SPARE = np.eye(3)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def turned(vectors: np.ndarray, cosine: float) -> np.ndarray:
    """Unit vectors that leave the plane of texts and windows, to this cosine with themselves."""
    return cosine * vectors + np.sqrt(1 - cosine**2) * SPARE


def correlated(pearson: float) -> tuple[np.ndarray, np.ndarray]:
    """Two small fields of `GRID.count` values of this Pearson correlation."""
    fields = np.random.default_rng(0).normal(size=(GRID.count, 2))
    first, second = np.linalg.qr(fields - fields.mean(axis=0))[0].T
    return 0.1 * (pearson * first + np.sqrt(1 - pearson**2) * second), 0.1 * first


def windows(field: np.ndarray) -> np.ndarray:
    """Embeddings whose cosines with TEXT are the field."""
    return field[:, None] * TEXT + np.sqrt(1 - field**2)[:, None] * OTHER


def maps(image: np.ndarray, text: np.ndarray = TEXT) -> Answers:
    return Answers("R", "dream", (GRID,), (image,), text[None])


def scores(
    values: Sequence[float],
    column: Column = MOS,
    rated: Sequence[float] = (),
    texts: np.ndarray | None = None,
) -> Answers:
    words = None if texts is None else texts[None]
    return Answers("R", scores=(Scores("core", column, np.array(values), np.array(rated), words),))


def missed(ours: Answers, theirs: Answers, limits: PrecisionGates, trial: Trial = NOBODY) -> list[str]:
    found = compare(ours, theirs, trial, limits)
    (part,) = (record for record in found.values() if isinstance(record, dict))
    assert found["passes"] is part["passes"] is (not part["missed"])
    return part["missed"]


def test_the_gates_are_those_that_are_promised():
    assert PrecisionGates(0.9995, 0.999, 0.01, None, None) == HALF_GATES
    assert PrecisionGates(None, 0.99, None, 0.005, 0.995) == INT8_GATES
    assert LEAST_SROCC == 0.995
    assert [precision_gates(name) for name in ("fp16", "bf16", "int8")] == [
        HALF_GATES,
        HALF_GATES,
        INT8_GATES,
    ]
    assert INT8_GATES.record() == {"map_pearson": 0.99, "srocc_change": 0.005, "srocc": 0.995}
    assert HALF_GATES.record() == {"tower_cosine": 0.9995, "map_pearson": 0.999, "mos_max_abs_diff": 0.01}


@pytest.mark.parametrize(("limits", "pearson"), [(HALF_GATES, 0.999), (INT8_GATES, 0.99)])
def test_maps(limits, pearson):
    for off, outside in ((1e-6, False), (-1e-6, True)):
        ours, theirs = correlated(pearson + off)
        assert np.corrcoef(ours, theirs)[0, 1] == pytest.approx(pearson + off, abs=1e-9)
        found = missed(maps(windows(ours)), maps(windows(theirs)), limits)
        assert len(found) == outside
        assert all(line.startswith("map Pearson 0.9") for line in found)


def test_the_worst_of_all_images_and_texts_counts():
    texts = unit(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    good, (bad, same) = windows(correlated(1.0)[0]), correlated(0.5)
    theirs = Answers("R", "dream", (GRID, GRID), (good, windows(same)), texts[:1])
    ours = replace(theirs, images=(good, windows(bad)))
    for a, b in (
        (ours, theirs),
        (replace(ours, images=ours.images[::-1]), replace(theirs, images=theirs.images[::-1])),
    ):
        assert any(line.startswith("map Pearson 0.5") for line in missed(a, b, INT8_GATES))  # fmt: skip
    # One image whose windows follow the first text, but not the second.
    fields = [np.stack([same, field, np.sqrt(1 - same**2 - field**2)], axis=1) for field in (bad, same)]
    with_two = [Answers("R", "dream", (GRID,), (field,), np.eye(3)[:2]) for field in fields]
    assert any(line.startswith("map Pearson 0.5") for line in missed(*with_two, INT8_GATES))


@pytest.mark.parametrize("tower", ["image", "text"])
def test_towers(tower):
    theirs = maps(windows(correlated(1.0)[0]))
    for cosine, outside in ((0.9995 + 1e-6, False), (0.9995 - 1e-6, True)):
        image = turned(theirs.images[0], cosine) if tower == "image" else theirs.images[0]
        text = turned(TEXT, cosine) if tower == "text" else TEXT
        found = missed(maps(image, text), theirs, HALF_GATES)
        assert [line.split(" 0.")[0] for line in found] == [f"{tower} tower's cosine"] * outside
        assert missed(maps(image, text), theirs, INT8_GATES) == []  # int8 asks for maps, not for embeddings


def test_one_window_that_is_off_is_enough():
    theirs = maps(windows(correlated(1.0)[0]))
    image = theirs.images[0].copy()
    image[7] = turned(image[7], 0.9994)
    (line,) = missed(maps(image), theirs, HALF_GATES)
    assert line.startswith("image tower's cosine 0.9994")


def test_the_text_tower_of_a_measure():
    theirs = scores([0.1, 0.2], texts=TEXT)
    for cosine, outside in ((0.9995 + 1e-6, False), (0.9995 - 1e-6, True)):
        ours = scores([0.1, 0.2], texts=turned(TEXT, cosine))
        assert len(missed(ours, theirs, HALF_GATES)) == outside
        assert missed(ours, theirs, INT8_GATES) == []


@pytest.mark.parametrize("sign", [1, -1])
def test_scores_within_the_tolerance_of_their_column(sign):
    people = replace(NOBODY, rated=((None, "", 0.5),))
    for off, outside in ((0.00999, False), (0.01001, True)):
        values = [0.0, 1.0 + sign * off, 2.0]
        assert len(missed(scores(values), scores([0.0, 1.0, 2.0]), HALF_GATES)) == outside
        # a rated image counts as well
        rated = [0.5 + sign * off]
        found = missed(scores([0.0], rated=rated), scores([0.0], rated=[0.5]), HALF_GATES, people)
        assert len(found) == outside and all(line.startswith("mos differs by 0.01") for line in found)
        assert missed(scores(values), scores([0.0, 1.0, 2.0]), INT8_GATES) == []  # int8 asks for the order
    wide = replace(MOS, tolerance=0.5)
    for off, outside in ((0.499, False), (0.501, True)):
        assert len(missed(scores([off, 9.0], wide), scores([0.0, 9.0], wide), HALF_GATES)) == outside


# Of 50 ranks, those whose squared shifts add up to 2 x 52: the SROCC is 1 - 12 x 52 / (50^3 - 50) = 0.99501.
INSIDE = ((0, 7), (10, 11), (20, 21), (30, 31))
OUTSIDE = ((0, 7), (10, 12))  # 2 x 53: 0.99491


def swapped(pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    values = np.arange(50.0)
    for a, b in pairs:
        values[[a, b]] = values[[b, a]]
    return values


def test_how_near_the_gate_the_orders_are():
    for pairs, expected in ((INSIDE, 0.9950060), (OUTSIDE, 0.9949100)):
        assert spearman(swapped(pairs), np.arange(50.0)) == pytest.approx(expected, abs=1e-6)


def test_scores_of_int8_keep_their_order():
    """Without ratings: the SROCC to float32's. So do, in every precision, numbers without a tolerance."""
    for column, limits in ((MOS, INT8_GATES), (UNBOUND, INT8_GATES), (UNBOUND, HALF_GATES)):
        theirs = scores(np.arange(50.0), column)
        assert missed(scores(swapped(INSIDE), column), theirs, limits) == []
        (line,) = missed(scores(swapped(OUTSIDE), column), theirs, limits)
        assert line.startswith(f"SROCC between the values of {column.name} 0.9949")


def test_rated_scores_of_int8_keep_their_agreement_with_people():
    people = replace(NOBODY, rated=tuple((None, "", mos) for mos in np.arange(50.0)))
    agrees = scores([0.0, 1.0], rated=np.arange(50.0))
    for pairs, outside in ((INSIDE, False), (OUTSIDE, True)):
        other = scores([0.0, 1.0], rated=swapped(pairs))
        for ours, theirs in (
            (other, agrees),
            (agrees, other),
        ):  # also where the lower precision is the better one
            found = missed(ours, theirs, INT8_GATES, people)
            assert len(found) == outside and all(
                "SROCC against MOS changes by 0.005" in line for line in found
            )
    # People's order is what counts: unrated pairs may be in another.
    assert missed(scores([1.0, 0.0], rated=np.arange(50.0)), agrees, INT8_GATES, people) == []
