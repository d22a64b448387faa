"""What measures say in words: how often each of them, per generator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from realm_engine.verbs.compare.results import Share
from realm_engine.verbs.compare.scores import Row
from realm_engine.verbs.compare.statistics.wins import wilson
from realm_engine.verbs.compare.subjects import Subject


def shares_of(subjects: Sequence[Subject], generator: str, rows: Sequence[Row]) -> list[Share]:
    """Shares of all words of all subjects over the pictures that have an answer, each picture counting by itself."""
    found = []
    for subject in subjects:
        for column, words in subject.words.items():
            counts = Counter(row.words.get(column) for row in rows)
            n = sum(counts[word] for word in words)
            for word in words:
                low, high = wilson(counts[word], n) if n else (None, None)
                share = counts[word] / n if n else None
                found.append(Share(subject.name, generator, column, word, counts[word], n, share, low, high))
    return found


def by_column(shares: Iterable[Share]) -> dict[str, dict[str, list[Share]]]:
    """Shares of one measure as tables: by column, then by generator, word by word; in the order given."""
    found: dict[str, dict[str, list[Share]]] = {}
    for each in shares:
        found.setdefault(each.column, {}).setdefault(each.generator, []).append(each)
    return found
