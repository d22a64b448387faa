"""`combined`: one number of several measures of a picture, each on its scale, with weights that the user names.

It is a measure of a run, not of a bundle: nothing knows but the user what counts how much. A picture for which a term
has no value has no combined one either: a mean over other terms would be another measure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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


def combine(measures: Sequence[Measure], weights: Mapping[str, float] | None) -> Combined:
    """The combined measure of some that are taken. `weights`: by name of its terms.

    Raises UsageError without weights (with what could be combined), and for a term that is not taken, that has no
    scale, by which one may not rank, or whose weight is not above 0.
    """
    there = {measure.name: measure for measure in measures}
    if not weights:
        able = [name for name, measure in there.items() if measure.scale is not None and measure.ranks]
        example = ",".join(f"{name}=1" for name in able)
        raise UsageError(
            f"{NAME} counts what you say: give weights, --combine {example}"
            if able
            else f"{NAME}: {', '.join(there) or 'no measure'} cannot be combined, without a scale in the bundle"
        )
    weighed = tuple(_weighed(name, weight, there) for name, weight in weights.items())
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
            commercial_use=all(there[name].terms.commercial_use for name in weights),
            training_data=f"those of {names}",
        ),
        worth={},
        weighed=weighed,
    )


def _weighed(name: str, weight: float, there: Mapping[str, Measure]) -> Weighed:
    if name not in there:
        raise UsageError(
            f"{NAME}: its term {name!r} is none of the measures that are taken, {', '.join(there) or 'none'}; ask for "
            "it as well"
        )
    measure = there[name]
    if not measure.ranks:
        raise UsageError(f"{NAME}: one may not rank by {name}, so it cannot be a term; leave it out")
    if measure.scale is None:
        able = ", ".join(other for other, each in there.items() if each.scale is not None) or "none"
        raise UsageError(
            f"{NAME}: {name} has no scale in its bundle, so it cannot be a term; of those taken have one: {able}"
        )
    if not (math.isfinite(weight) and weight > 0):
        raise UsageError(f"{NAME}: the weight of {name} is {weight:g}; give a number above 0")
    return Weighed(name, measure.columns[0], measure.scale, weight)
