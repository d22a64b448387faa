"""How far the pictures are, on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from realm_train.features import Progress
from realm_train.said import progress


@contextmanager
def pictures_bar(total: int, show: bool) -> Iterator[Progress]:
    """A bar for what says how many pictures are done, and of how many."""
    seen = 0
    with progress("pictures", total, show) as advance:

        def told(done: int, of: int) -> None:
            nonlocal seen
            for _ in range(done - seen):
                advance("")
            seen = done

        yield told
