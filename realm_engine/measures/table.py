"""The kinds of measures that there are, and the measures of a bundle."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.columns import Column
from realm_engine.bundle.manifest import Section, safe_name
from realm_engine.errors import BundleError, UsageError
from realm_engine.measures import combined
from realm_engine.measures.brisque import open_brisque
from realm_engine.measures.combined import Combined
from realm_engine.measures.core import implied_core, open_core
from realm_engine.measures.graph import open_graph
from realm_engine.measures.head import open_head
from realm_engine.measures.look import LeftOutError, UnknownKindError
from realm_engine.measures.measure import Listed, Measure
from realm_engine.measures.niqe import open_niqe
from realm_engine.measures.profiles import DEFAULT

KINDS: Mapping[str, Callable[[Bundle, str, Section], Measure]] = MappingProxyType(
    {"brisque": open_brisque, "core": open_core, "graph": open_graph, "head": open_head, "niqe": open_niqe}
)

# What brings a measure that the bundle at hand does not have.
KNOWN: Mapping[str, str] = MappingProxyType(
    {
        "core": "a bundle with CORE: python -m export --core RUN, or the default realm-tiny",
        **{
            name: f"the default realm-tiny; python -m export --into BUNDLE --{name} adds it to another"
            for name in ("niqe", "brisque")
        },
    }
)


@dataclass(frozen=True)
class Measures:
    """The measures of a bundle in the order of its manifest; `unknown`: those left out, with the reason."""

    all: tuple[Measure, ...]
    unknown: Mapping[str, str]


def read_measures(bundle: Bundle) -> Measures:
    """What a bundle measures. One of a kind that this version does not know is left out, and a head of another tower.

    Raises BundleError for a section that is wrong, and where two columns have one name.
    """
    found: list[Measure] = []
    unknown: dict[str, str] = {}
    for name, section in bundle.content.sections("measures").items():
        safe_name(name, section.where)
        kind = section.get("kind", str)
        try:
            if kind not in KINDS:
                raise UnknownKindError(f"this version does not know the kind {kind!r}; update realm-engine")
            found.append(KINDS[kind](bundle, name, section))
        except LeftOutError as error:
            unknown[name] = str(error)
    if "measures" not in bundle.manifest:
        implied = implied_core(bundle)
        found += [implied] if implied is not None else []
    twice = [name for name, uses in Counter(c.name for m in found for c in m.columns).items() if uses > 1]
    if twice:
        raise BundleError(f"{bundle.name}: two measures have a column {twice[0]!r}; export the bundle again")
    return Measures(tuple(found), unknown)


@dataclass(frozen=True)
class Chosen:
    """What is taken in a run.

    `listed`: in the order of its table. `read`: those of bundles, each with the index of its bundle. `combined`: the
    one that is made of others, None where it was not asked for.
    """

    listed: tuple[Listed, ...]
    read: tuple[tuple[int, Measure], ...]
    combined: Combined | None = None

    @property
    def columns(self) -> list[Column]:
        """All columns, in the order of the table."""
        return [column for each in self.listed for column in each.columns]

    @property
    def first(self) -> Measure:
        """The first one of a bundle."""
        return self.read[0][1]


def choose_measures(
    offered: Sequence[tuple[str, Measures]],
    wanted: Iterable[str] | None,
    profile: str = DEFAULT,
    weights: Mapping[str, float] | None = None,
) -> Chosen:
    """The measures that were asked for.

    Args:
        offered: Per bundle its name and measures; where two bundles have one of a name, the first bundle's counts.
        wanted: Names; None: the first measure that there is.
        profile: How each of them counts.
        weights: Of what is combined, by name.

    Raises:
        UsageError: an unknown name (with the nearest one), one that no bundle here has (with what would bring it), a
            name given twice, two measures with a column of one name, a measure that has no such profile, or what cannot
            be combined (see `combined.combine`).
        BundleError: there is no measure at all, or one is named that was left out; it says why.
    """
    names = list(wanted) if wanted is not None else None
    everything = {name: measure for name, (_, measure) in _everything(offered).items()}
    if names is None or combined.NAME not in names or combined.NAME in everything:
        if weights is not None:
            raise UsageError(f"weights are for the measure {combined.NAME}; ask for it as well")
        read = _choose(offered, names, profile)
        return Chosen(tuple(measure for _, measure in read), tuple(read))
    if profile != DEFAULT:
        raise UsageError(f"{combined.NAME} has no profile {profile!r}, only {DEFAULT}; leave one of them out")
    others = [name for name in names if name != combined.NAME]
    if len(others) < len(names) - 1:
        raise UsageError(f"measure {combined.NAME!r} is asked for twice; name it once")
    read = _choose(offered, others, profile) if others else []
    taken = {measure.name: measure for _, measure in read}
    made = combined.combine(taken, weights, everything)
    twice = [
        each.name for each in taken.values() for column in each.columns if column.name == made.columns[0].name
    ]
    if twice:
        raise UsageError(
            f"{made.name} and {twice[0]} both have a column {made.name!r}; ask for them one at a time"
        )
    by_name: dict[str, Listed] = {**taken, made.name: made}
    return Chosen(tuple(by_name[name] for name in names), tuple(read), made)


def _everything(offered: Sequence[tuple[str, Measures]]) -> dict[str, tuple[int, Measure]]:
    """All measures by name, each with the index of its bundle, the first bundle's before those of others."""
    found: dict[str, tuple[int, Measure]] = {}
    for index, (_, measures) in enumerate(offered):
        for measure in measures.all:
            found.setdefault(measure.name, (index, measure))
    return found


def _choose(
    offered: Sequence[tuple[str, Measures]], names: Sequence[str] | None, profile: str
) -> list[tuple[int, Measure]]:
    everything = _everything(offered)
    if names is None:
        first = [(index, measure) for index, (_, measures) in enumerate(offered) for measure in measures.all]
        if not first:
            raise BundleError(f"{offered[0][0]}: this bundle has no measure and cannot score; use another")
        return [(index, measure.in_profile(profile)) for index, measure in first[:1]]
    chosen = []
    for name in names:
        if name not in everything:
            raise _not_there(name, offered, list(everything))
        if everything[name] in chosen:
            raise UsageError(f"measure {name!r} is asked for twice; name it once")
        chosen.append(everything[name])
    owners: dict[str, str] = {}
    for _, measure in chosen:
        for column in measure.columns:
            if column.name in owners:
                raise UsageError(
                    f"{owners[column.name]} and {measure.name} both have a column {column.name!r}; "
                    "ask for them one at a time"
                )
            owners[column.name] = measure.name
    if not chosen:
        raise UsageError("no measure is named; choose from " + ", ".join(everything))
    return [(index, measure.in_profile(profile)) for index, measure in chosen]


def _not_there(name: str, offered: Sequence[tuple[str, Measures]], have: Sequence[str]) -> Exception:
    for bundle, measures in offered:
        if name in measures.unknown:
            return BundleError(f"{bundle}: measure {name!r} cannot be read: {measures.unknown[name]}")
    bundles = " and ".join(bundle for bundle, _ in offered)
    listed = ", ".join(have) or "none"
    if name in KNOWN:
        return UsageError(f"{bundles}: has no measure {name!r}, only {listed}; it comes with {KNOWN[name]}")
    close = difflib.get_close_matches(name, [*have, *KNOWN, combined.NAME], n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return UsageError(f"{bundles}: there is no measure {name!r}, only {listed}{hint}")
