"""Which pictures of several generators belong together: by prompt, else by file name, where most have a partner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from realm_engine.errors import UsageError
from realm_engine.verbs.compare.scores import Row

LEAST_SHARE = 0.8
PROMPTS, NAMES = "prompt", "file name"


@dataclass(frozen=True)
class Pairing:
    """Whether pictures are compared within what belongs together.

    `by`: "prompt" or "file name", None unpaired. `keys`: what all generators have, in order; () unpaired. `left_out`:
    by generator, pictures without a partner in every other one, which count for nothing. `why`: one sentence.
    """

    by: str | None
    keys: tuple[str, ...] = field(repr=False)
    left_out: Mapping[str, int]
    why: str
    key_of: Callable[[Row], str | None] = field(repr=False)

    @property
    def paired(self) -> bool:
        """Whether they are."""
        return self.by is not None

    def keeps(self, row: Row) -> bool:
        """Whether a picture counts."""
        return self.by is None or self.key_of(row) in self._known

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.keys)


def pair(rows: Mapping[str, Sequence[Row]], wish: bool | None = None) -> Pairing:
    """Find out what belongs together.

    Args:
        rows: Of every generator.
        wish: True: pair whatever the share of partners is; False: do not; None: where at least 80 % of the pictures
            of each generator have a partner in all others, by prompt, else by file name.

    Raises:
        UsageError: pairing is wished for, and fewer than two prompts or names are in all generators.
    """
    if wish is False:
        return _unpaired(rows, "Unpaired, as asked for: each picture counts by itself.")
    if len(rows) < 2:
        return _unpaired(rows, "")
    tried = [_by(name, key, rows) for name, key in _ways(rows)]
    for found, share in tried:
        if share >= LEAST_SHARE and len(found.keys) > 1:
            return found
    best, share = max(tried, key=lambda each: each[1])
    if wish is None:
        return _unpaired(
            rows,
            f"Unpaired: at most {share:.0%} of a folder has partners in all others by {best.by} "
            f"({LEAST_SHARE:.0%} are needed), so each picture counts by itself.",
        )
    if len(best.keys) < 2:
        raise UsageError(
            f"--paired yes: only {len(best.keys)} {best.by} is in all of {', '.join(rows)}; give --prompts CSV, or "
            "leave --paired out"
        )
    return best


def _ways(rows: Mapping[str, Sequence[Row]]) -> list[tuple[str, Callable[[Row], str | None]]]:
    everything = [row for each in rows.values() for row in each]
    ways: list[tuple[str, Callable[[Row], str | None]]] = [(NAMES, _stem)]
    bare = Counter((row.generator, PurePosixPath(row.filename).stem) for row in everything)
    if max(bare.values()) == 1:  # a folder in which names repeat means its subfolders
        ways.append((NAMES, lambda row: PurePosixPath(row.filename).stem))
    if any(row.prompt is not None for row in everything):
        ways.insert(0, (PROMPTS, lambda row: row.prompt))
    return ways


def _stem(row: Row) -> str:
    return PurePosixPath(row.filename).with_suffix("").as_posix()


def _by(
    name: str, key: Callable[[Row], str | None], rows: Mapping[str, Sequence[Row]]
) -> tuple[Pairing, float]:
    """Pairing by a key, and the least share of a generator's pictures that have partners."""
    each = {generator: [key(row) for row in own] for generator, own in rows.items()}
    common = set.intersection(*(set(keys) for keys in each.values())) - {None}
    left_out = {generator: sum(k not in common for k in keys) for generator, keys in each.items()}
    share = min((len(keys) - left_out[generator]) / max(len(keys), 1) for generator, keys in each.items())
    first = next(iter(each.values()))
    keys = tuple(k for k in dict.fromkeys(first) if k is not None and k in common)
    dropped = sum(left_out.values())
    why = (
        f"Paired by {name}: the {len(keys)} {name}s that all generators have are compared with themselves, and each "
        f"counts once; {dropped or 'no'} picture{'' if dropped == 1 else 's'} without partners "
        f"{'is' if dropped == 1 else 'are'} left out."
    )
    return Pairing(name, keys, left_out, why, key), share


def _unpaired(rows: Mapping[str, Sequence[Row]], why: str) -> Pairing:
    return Pairing(None, (), dict.fromkeys(rows, 0), why, lambda row: None)
