"""`combined`: one number of several measures of a picture, each on its scale, with weights that the user names.

It is a measure of a run, not of a bundle: nothing knows but the user what counts how much. A picture for which a term
has no value has no combined one either: a mean over other terms would be another measure.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from realm_engine.bundle.columns import Column
from realm_engine.bundle.terms import Terms
from realm_engine.errors import ImageError, UsageError
from realm_engine.measures.measure import Listed, Measure
from realm_engine.measures.scale import Scale

NAME = "combined"


@dataclass(frozen=True)
class Weighed:
    """A measure that counts in a combined one: its first column, mapped by its scale, times `weight` (above 0)."""

    measure: str
    column: Column
    scale: Scale
    weight: float

    def place(self, value: float) -> float:
        """Where a value of its column lies, 0 (worse) to 1 (better)."""
        return self.scale.place(value, self.column.better)

    @property
    def words(self) -> str:
        """All of it in words."""
        worse, better = sorted((self.scale.p5, self.scale.p95), reverse=self.column.better == "low")
        return (
            f"{self.measure} x {self.weight:g} ({self.column.name}: 0 at {worse:.6g}, 1 at {better:.6g}, "
            f"of {self.scale.set})"
        )


@dataclass(frozen=True)
class Combined(Listed):
    """A measure made of others: the mean of what they say, by their weights, 0 to 1, high = better."""

    weighed: tuple[Weighed, ...]

    @property
    def words(self) -> str:
        """Its terms with scales and weights, in words."""
        return "; ".join(each.words for each in self.weighed)

    def value(self, values: Mapping[str, float]) -> float:
        """The combined number of a picture, of its `values` by column. Raises ImageError, naming terms without one."""
        missing = [each.measure for each in self.weighed if each.column.name not in values]
        if missing:
            raise ImageError(f"no value without {', '.join(missing)}")
        total = sum(each.weight * each.place(values[each.column.name]) for each in self.weighed)
        return total / sum(each.weight for each in self.weighed)


def combine(
    taken: Mapping[str, Measure], weights: Mapping[str, float] | None, offered: Mapping[str, Measure]
) -> Combined:
    """The combined measure of some that are taken, of all that are `offered`. `weights`: by name of its terms.

    Raises UsageError without weights (with what could be combined), and for a term that is not taken, that has no
    scale, by which one may not rank, or whose weight is not above 0.
    """
    if not weights:
        able = _able(offered)
        example = ",".join(f"{name}=1" for name in able)
        raise UsageError(
            f"{NAME} counts what you say; give weights, as in --combine {example}"
            if able
            else f"{NAME}: no measure here has a scale in its bundle, so none can be combined; leave it out"
        )
    weighed = tuple(_weighed(name, weight, taken, offered) for name, weight in weights.items())
    names = ", ".join(weights)
    return Combined(
        name=NAME,
        kind=NAME,
        says=f"How good it is by {names} together, each on its own scale, with weights that the user chose.",
        columns=(
            Column(NAME, NAME, 0.0, 1.0, "high", f"weighted mean of {names}, each from 0 to 1 on its scale"),
        ),
        terms=Terms(
            licence=f"those of {names}",
            commercial_use=all(taken[name].terms.commercial_use for name in weights),
            training_data=f"those of {names}",
        ),
        worth={},
        weighed=weighed,
    )


def _able(measures: Mapping[str, Measure]) -> list[str]:
    """Names of those that can be a term."""
    return [name for name, measure in measures.items() if measure.scale is not None and measure.ranks]


def _weighed(
    name: str, weight: float, taken: Mapping[str, Measure], offered: Mapping[str, Measure]
) -> Weighed:
    if name not in offered:
        close = difflib.get_close_matches(name, offered, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"{NAME}: there is no measure {name!r}, only {', '.join(offered)}{hint}")
    measure = offered[name]
    if not measure.ranks:
        raise UsageError(f"{NAME}: one may not rank by {name}, so it cannot be a term; leave it out")
    if measure.scale is None:
        raise UsageError(
            f"{NAME}: {name} has no scale in its bundle, so it cannot be a term; what can: "
            f"{', '.join(_able(offered)) or 'none'}"
        )
    if name not in taken:
        raise UsageError(
            f"{NAME}: its term {name} is not taken; ask for it as well, --metric {','.join((*taken, name, NAME))}"
        )
    if not (math.isfinite(weight) and weight > 0):
        raise UsageError(f"{NAME}: the weight of {name} is {weight:g}; give a number above 0")
    return Weighed(name, measure.columns[0], measure.scale, weight)
