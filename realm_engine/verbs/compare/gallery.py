"""Which pictures a comparison shows: the highest and lowest of each generator, and where generators disagree most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from realm_engine.verbs.compare.results import Numbers
from realm_engine.verbs.compare.scores import Row
from realm_engine.verbs.report.thumbnails import Thumbnail, Thumbnails

SHOWN = 8
DISAGREEMENTS = 12

DrawMap = Callable[[Path | None], tuple[Thumbnail | None, str]]
"""The map of a picture, and what it was made for."""


@dataclass(frozen=True)
class Shown:
    """A picture of the gallery, None where it cannot be shown, with its value of the headline."""

    filename: str
    value: float | None
    thumbnail: Thumbnail | None
    note: str = ""


@dataclass(frozen=True)
class Shelf:
    """What is shown of one generator."""

    name: str
    highest: tuple[Shown, ...]
    lowest: tuple[Shown, ...]
    maps: tuple[Shown, ...]


@dataclass(frozen=True)
class Side:
    """What belongs together, side by side: a picture of each generator."""

    key: str
    cells: tuple[Shown, ...]


@dataclass(frozen=True)
class Gallery:
    """Shelves of all generators, the best first, disagreements, and how many pictures the page had no room for."""

    shelves: tuple[Shelf, ...]
    sides: tuple[Side, ...]
    left_out: int


def make_gallery(
    numbers: Numbers, thumbnails: Thumbnails, maps: int = 0, draw: DrawMap | None = None
) -> Gallery:
    """Choose by the headline, and make the small pictures. `maps`: of how many of the lowest of each generator."""
    subject = numbers.subject(numbers.headline)

    def shown(row: Row) -> Shown:
        return Shown(row.filename, row.values.get(subject.column), thumbnails.of_file(row.path))

    shelves = []
    for generator in numbers.best_first(subject.name):
        own = sorted_by([row for row in numbers.rows if row.generator == generator], subject.column)
        most = min(SHOWN, (len(own) + 1) // 2)
        lowest = own[: min(most, len(own) - most)] if len(own) > 1 else []
        drawn = []
        for row in own[:maps] if draw is not None else []:
            assert draw is not None
            picture, note = draw(row.path)
            drawn.append(Shown(row.filename, row.values.get(subject.column), picture, note))
        highest = own[::-1][:most]
        shelves.append(Shelf(generator, tuple(map(shown, highest)), tuple(map(shown, lowest)), tuple(drawn)))
    sides = tuple(
        Side(key, tuple(shown(row) if row is not None else Shown("", None, None) for row in rows))
        for key, rows in disagreements(numbers, subject.column)
    )
    return Gallery(tuple(shelves), sides, thumbnails.left_out)


def sorted_by(rows: Sequence[Row], column: str) -> list[Row]:
    """Rows that have a value of a column, the lowest first, equal ones by name."""
    known = [row for row in rows if row.values.get(column) is not None]
    return sorted(known, key=lambda row: (row.values[column] or 0.0, row.filename))


def disagreements(
    numbers: Numbers, column: str, most: int = DISAGREEMENTS
) -> list[tuple[str, list[Row | None]]]:
    """What belongs together where generators' means of a column differ most, with a picture of each generator.

    Nothing unpaired. What not all generators have a value of is left out.
    """
    if not numbers.pairing.paired:
        return []
    found: dict[str, dict[str, list[Row]]] = {key: {} for key in numbers.pairing.keys}
    for row in numbers.rows:
        if row.values.get(column) is not None:
            found[str(numbers.pairing.key_of(row))].setdefault(row.generator, []).append(row)
    ranges = {
        key: _range([[row.values[column] or 0.0 for row in own] for own in each.values()])
        for key, each in found.items()
        if len(each) == len(numbers.generators)
    }
    widest = sorted(ranges, key=lambda key: -ranges[key])[:most]
    return [(key, [found[key][generator][0] for generator in numbers.generators]) for key in widest]


def _range(values: Sequence[Sequence[float]]) -> float:
    means = [sum(own) / len(own) for own in values]
    return max(means) - min(means)
