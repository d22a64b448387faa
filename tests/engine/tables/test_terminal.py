"""A table of scores for eyes."""

from __future__ import annotations

import io

import pytest

from realm_engine.bundle.columns import ByText, Column, Curve, Interval
from realm_engine.tables.rows import Measured
from realm_engine.tables.terminal import TerminalTable, digits

MOS = Column("mos", "mos", -3.0, 2.0, "high", "z-score")


def realness(width: float, decimals: int = 4) -> Column:
    return Column(
        "realness",
        "mos",
        0.0,
        100.0,
        "high",
        "rating",
        (64.0, 17.0),
        decimals,
        interval=Interval(0.9, ByText(width, width)),
    )


def test_a_table_shows_what_its_numbers_support() -> None:
    own = realness(16.2)
    unlike = Column("unlike", "unlike", 0.0, 4.0, "low", "how far", decimals=3, flag_above=1.0)
    line = ByText(Curve((0.0, 1.0), (0.0, 100.0)), Curve((0.0, 1.0), (0.0, 100.0)))
    place = Column("place", "mos", 0.0, 100.0, "high", "where", decimals=1, curve=line)
    stream = io.StringIO()
    rows = [
        Measured("a.jpg", {"mos": -0.1766, "realness": 61.04, "realness_low": 44.84, "realness_high": 77.24,
                           "unlike": 0.31, "place": 12.3}),
        Measured("longer/grey.png", {"mos": -0.01, "realness": 70.5, "realness_low": 54.3, "realness_high": 86.7,
                                     "unlike": 3.2, "place": 0.0}, flags=("unlike",)),
        Measured("bad.png", dict.fromkeys(["mos", "realness", "realness_low", "realness_high", "unlike", "place"]),
                 error="not an image"),
    ]  # fmt: skip
    with TerminalTable(
        stream, [[MOS, own, *own.bounds(), unlike, place]], [row.name for row in rows]
    ) as table:
        assert stream.getvalue() == ""
        for row in rows:
            table.write(row)
    assert stream.getvalue().splitlines() == [
        "filename         mos   realness       unlike   place",
        "a.jpg            -0.2  61 (45-77)     0.310    12",
        "longer/grey.png  0.0   70 (54-87)     3.200 !  0",
        "bad.png          -     -              -        -      not an image",
    ]


@pytest.mark.parametrize(
    ("width", "places"),
    [(160.0, 0), (16.0, 0), (9.0, 0), (1.0, 0), (0.9, 1), (0.1, 1), (0.012, 2), (1e-9, 4)],
)
def test_the_first_digit_of_the_half_width_is_the_last_shown(width, places) -> None:
    own = realness(width)
    assert digits(own, [MOS, own]) == places
    # the same output in its own unit, of which 17 points of the other are one
    assert digits(MOS, [MOS, own]) == places + 1
    assert digits(MOS, [MOS]) == 3


def test_negative_ends_are_told_apart() -> None:
    column = Column("x", "x", -3.0, 2.0, "high", "z", interval=Interval(0.9, ByText(0.9, 0.5)))
    stream = io.StringIO()
    with TerminalTable(stream, [[column, *column.bounds()]], ["a"]) as table:
        table.write(Measured("a", {"x": 0.42, "x_low": -0.48, "x_high": 1.32}))
    assert stream.getvalue().splitlines()[1].split("  ")[-1].strip() == "0.4 (-0.5 to 1.3)"
