"""What inputs of strangers may do: give a valid result, or one line that says what is wrong with them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from hypothesis import strategies as st

from realm_engine.errors import RealmError

T = TypeVar("T")

TEXTS = st.text(st.characters(), max_size=40)  # half surrogates included
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 1, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf"), -0.0])
    | TEXTS
    | st.sampled_from(
        ["", ".", "..", "../x", "/etc/passwd", "C:\\x", "a\0b", "\ud800", "\x1b[2J\n", "1" * 5000]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


def result_or_line(work: Callable[[], T]) -> T | None:
    """What the work gives, None where it raises a RealmError of one line; whatever else it raises is a bug."""
    try:
        return work()
    except RealmError as error:
        assert str(error) and len(str(error).splitlines()) == 1, error
        return None


def mutated(document: Any) -> st.SearchStrategy[Any]:
    """A JSON document of which one to three places hold something else, are gone, or are called something else."""
    return st.lists(_change(document), min_size=1, max_size=3).map(
        lambda changes: _changed(document, changes)
    )


def broken(content: bytes, most: int = 4) -> st.SearchStrategy[bytes]:
    """Bytes of which a few are others, or a piece is gone, doubled, or in another place, or the end is missing."""
    place = st.integers(0, max(0, len(content) - 1))
    edits = st.one_of(
        st.tuples(st.just("set"), place, st.binary(min_size=1, max_size=4)),
        st.tuples(st.just("cut"), place, st.integers(1, 64)),
        st.tuples(st.just("twice"), place, st.integers(1, 64)),
        st.tuples(st.just("insert"), place, st.binary(min_size=1, max_size=16)),
        st.tuples(st.just("end"), place, st.none()),
    )
    return st.lists(edits, min_size=1, max_size=most).map(lambda found: _edited(content, found))


def as_json(document: Any) -> bytes:
    """As a stranger writes it: NaN, Infinity and half surrogates as they come."""
    return json.dumps(document).encode("utf-8", "surrogatepass")


def _change(document: Any) -> st.SearchStrategy[tuple[str, tuple[Any, ...], Any]]:
    return st.tuples(
        st.sampled_from(["set", "set", "set", "remove", "rename"]),
        st.sampled_from(list(_places(document))),
        JSON,
    )


def _places(document: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything inside a document, keys and indices."""
    inside = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, value in inside:
        yield (*above, key)
        yield from _places(value, (*above, key))


def _changed(document: Any, changes: list[tuple[str, tuple[Any, ...], Any]]) -> Any:
    found = copy.deepcopy(document)
    for how, place, value in changes:
        *above, last = place
        inside = found
        try:
            for key in above:
                inside = inside[key]
            if how == "set":
                inside[last] = value
            else:
                taken = inside.pop(last)
                if how == "rename" and isinstance(inside, dict):
                    inside[str(value)] = taken
        except (KeyError, IndexError, TypeError, AttributeError):  # an earlier change took it away
            continue
    return found


def _edited(content: bytes, edits: list[tuple[str, int, Any]]) -> bytes:
    for how, place, what in edits:
        if how == "set":
            content = content[:place] + what + content[place + len(what) :]
        elif how == "cut":
            content = content[:place] + content[place + what :]
        elif how == "twice":
            content = content[: place + what] + content[place:]
        elif how == "insert":
            content = content[:place] + what + content[place:]
        else:
            content = content[:place]
    return content
