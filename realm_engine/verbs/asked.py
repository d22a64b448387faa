"""Which measures a verb is asked for, and how they count: what its rows hold, and what made them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from realm_engine.bundle.bundle import MANIFEST
from realm_engine.bundle.columns import Column
from realm_engine.bundle.terms import Terms
from realm_engine.engine import Engine, Measured
from realm_engine.errors import UsageError
from realm_engine.measures.measure import Listed
from realm_engine.measures.table import Chosen
from realm_engine.pictures.inputs import Entry
from realm_engine.verbs.choices import DEFAULT_PROFILE
from realm_engine.verbs.console import Console, say_terms


@dataclass(frozen=True)
class Asked:
    """Measures that are taken, from every picture.

    `metrics`: names, None for the bundle's first. `profile`: how each of them counts. `combine`: weights by name of
    what is combined, None where nothing is.
    """

    metrics: tuple[str, ...] | None = None
    profile: str = DEFAULT_PROFILE
    combine: Mapping[str, float] | None = None

    def chosen(self, engine: Engine) -> Chosen:
        """What they are. Raises UsageError and BundleError."""
        return engine.chosen(self.metrics, self.profile, self.combine)

    def measures(self, engine: Engine) -> Sequence[Listed]:
        """The measures, in the order of the table."""
        return self.chosen(engine).listed

    def columns(self, engine: Engine) -> list[Column]:
        """Their columns, in the order of the table."""
        return self.chosen(engine).columns

    def part(self, engine: Engine) -> str:
        """The part whose device is the run's."""
        return self.chosen(engine).first.part.name

    def terms(self, engine: Engine) -> dict[str, Terms]:
        """The terms of all weights, by measure."""
        return {measure.name: measure.terms for _, measure in self.chosen(engine).read}

    def rows(self, engine: Engine, todo: Iterable[Entry], batch_size: int | None) -> Iterator[Measured]:
        """One row per entry, in order."""
        return engine.measure(todo, self.metrics, batch_size, profile=self.profile, combine=self.combine)

    def facts(self, engine: Engine) -> dict[str, str]:
        """What a page says of them beside their numbers."""
        combined = self.chosen(engine).combined
        return {"Profile": self.profile} | ({} if combined is None else {"Combined of": combined.words})

    def identity(self, engine: Engine) -> dict[str, str]:
        """What must be equal for rows of two runs to stand in one table."""
        bundles, chosen = engine.bundles(), self.chosen(engine)
        digests = [
            hashlib.sha256((Path(used["bundle_path"]) / MANIFEST).read_bytes()).hexdigest()[:16]
            for used in bundles
        ]
        measures = ",".join(measure.name for measure in chosen.listed)
        return {
            "bundle": "+".join(str(used["bundle"]) for used in bundles),
            "manifest": "+".join(digests),
            "precision": "+".join(str(used["precision"]) for used in bundles),
            "measures": measures if self.profile == DEFAULT_PROFILE else f"{measures} ({self.profile})",
            **({} if chosen.combined is None else {"combined": chosen.combined.words}),
        }

    def say(self, engine: Engine, console: Console) -> None:
        """Say what is worth knowing before the work: licences, the profile, what is combined."""
        chosen = self.chosen(engine)
        say_terms(self.terms(engine), console)
        if self.profile != DEFAULT_PROFILE:
            names = ", ".join(measure.name for measure in chosen.listed)
            console.say(f"profile {self.profile}: {names} as the original counts, its defects included")
        if chosen.combined is not None:
            console.say(f"{chosen.combined.name}: {chosen.combined.words}")


def parse_weights(given: Sequence[str]) -> dict[str, float] | None:
    """Weights by name, of NAME=WEIGHT[,NAME=WEIGHT...]; None where nothing is given. Raises UsageError."""
    found: dict[str, float] = {}
    for each in (part.strip() for text in given for part in text.split(",")):
        name, sign, weight = each.partition("=")
        try:
            number = float(weight)
        except ValueError:
            sign = ""
        if not sign or not name:
            raise UsageError(f"--combine {each}: write NAME=WEIGHT, as in --combine core=2,niqe=1")
        if name in found:
            raise UsageError(f"--combine {each}: {name} has a weight already; name it once")
        found[name] = number
    return found or None
