"""What a comparison of generators finds: the types of its numbers, and how to look one up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from realm_engine.verbs.compare.pairing import Pairing
from realm_engine.verbs.compare.scores import Row
from realm_engine.verbs.compare.subjects import Subject

ALIKE = 0.9  # two measures whose rank correlation is beyond it say one thing


@dataclass(frozen=True)
class Summary:
    """What one measure makes of one generator. Numbers are None where it has no value.

    `n`: pictures with a value, `failed`: without. `mean` and its 95 % interval count every prompt once where pictures
    are paired, else every picture. `distrusted`: pictures whose number is to be distrusted (`Subject.distrust`).
    """

    measure: str
    generator: str
    n: int
    failed: int
    mean: float | None
    low: float | None
    high: float | None
    median: float | None
    deviation: float | None
    p5: float | None
    p95: float | None
    distrusted: int


@dataclass(frozen=True)
class Share:
    """How many of a generator's pictures a measure answers with one word: `count` of `n`; `low` and `high` are Wilson's
    95 % interval of the share, None where none has an answer.
    """

    measure: str
    generator: str
    column: str
    word: str
    count: int
    n: int
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference:
    """What one measure makes of two generators.

    `difference`: mean of the first minus that of the second, `low` and `high` its 95 % interval. `p`: of a permutation
    test, two-sided; `corrected`: by Holm's method over all pairs and measures. `better`: the generator that is better,
    None where no difference was found. `games`: prompts that both have, of which the first won the share `won`
    (ties half; `won_low`, `won_high` Wilson's interval); None unpaired.
    """

    measure: str
    first: str
    second: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    corrected: float | None
    better: str | None
    games: int | None
    won: float | None
    won_low: float | None
    won_high: float | None

    def turned(self) -> Difference:
        """The same with the second first."""

        def minus(value: float | None) -> float | None:
            return None if value is None else 0.0 - value

        def rest(share: float | None) -> float | None:
            return None if share is None else 1.0 - share

        return replace(
            self,
            first=self.second,
            second=self.first,
            difference=minus(self.difference),
            low=minus(self.high),
            high=minus(self.low),
            won=rest(self.won),
            won_low=rest(self.won_high),
            won_high=rest(self.won_low),
        )

    @property
    def bound(self) -> float | None:
        """How large a difference could be that was not found: the farther end of the interval."""
        return None if self.low is None or self.high is None else max(abs(self.low), abs(self.high))


@dataclass(frozen=True)
class Ranked:
    """A generator's Bradley-Terry points by wins over prompts: 1000 on the average, 400 more: ten wins to one."""

    measure: str
    generator: str
    points: float
    low: float
    high: float


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of two measures over the pictures that have both."""

    first: str
    second: str
    n: int
    r: float


@dataclass(frozen=True)
class SetDistance:
    """How far a generator's pictures are from the reference's, by `kind` ("kd" or "fd"); `deviation` of subsets."""

    kind: str
    generator: str
    value: float
    deviation: float | None
    n: int
    reference_n: int


@dataclass(frozen=True)
class Numbers:
    """Everything that was computed. `generators`: in the order given; `headline`: the name of a subject.

    There are no pairs and no ranking by a subject that may not rank.
    """

    generators: tuple[str, ...]
    subjects: tuple[Subject, ...]
    headline: str
    pairing: Pairing
    rows: tuple[Row, ...] = field(repr=False)
    summaries: tuple[Summary, ...]
    pairs: tuple[Difference, ...]
    ranking: tuple[Ranked, ...]
    correlations: tuple[Correlation, ...]
    shares: tuple[Share, ...] = ()

    def subject(self, name: str) -> Subject:
        """The subject of a measure."""
        return next(each for each in self.subjects if each.name == name)

    def summary(self, measure: str, generator: str) -> Summary:
        """What a measure makes of a generator."""
        return next(s for s in self.summaries if s.measure == measure and s.generator == generator)

    def between(self, measure: str, first: str, second: str) -> Difference:
        """The difference of two generators, the first against the second."""
        both = {first, second}
        found = next(d for d in self.pairs if d.measure == measure and {d.first, d.second} == both)
        return found if found.first == first else found.turned()

    def best_first(self, measure: str) -> list[str]:
        """Generators by the mean of a measure, those without one last; in the order given where it may not rank."""
        if not self.subject(measure).ranks:
            return list(self.generators)
        sign = -1.0 if self.subject(measure).better == "high" else 1.0
        means = {g: self.summary(measure, g).mean for g in self.generators}
        return sorted(self.generators, key=lambda g: (means[g] is None, sign * (means[g] or 0.0)))
