"""Strangers' texts on a page: nothing in them is markup, and nothing moves the text beside it."""

from __future__ import annotations

import unicodedata

from markupsafe import Markup, escape

# What turns the direction of a text, or ends such a turn: shown as \u202e, never obeyed.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain(text: str) -> str:
    """A text whose control characters, marks of direction and halves of characters are visible escapes."""
    return "".join(_escaped(c) if _is_unsafe(c) else c for c in text)


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters, its middle left out: names differ at their ends."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[-(most - 1 - head) :]}"


def isolated(text: object, most: int | None = None) -> Markup:
    """A text as markup of its own direction, shortened to `most` characters, the whole in its title."""
    whole = plain(str(text))
    short = whole if most is None else shortened(whole, most)
    title = Markup("") if short == whole else Markup(' title="{}"').format(whole)
    return Markup("<bdi{}>{}</bdi>").format(title, escape(short))


def quoted(text: str, most: int = 60) -> str:
    """A stranger's text inside a sentence that `prose` makes markup of: of its own direction, shortened."""
    return f"\u2068{shortened(plain(text), most)}\u2069"


def prose(sentence: str) -> Markup:
    """A sentence as markup, what was `quoted` in it of its own direction."""
    return Markup(str(escape(sentence)).replace("\u2068", "<bdi>").replace("\u2069", "</bdi>"))


def _is_unsafe(character: str) -> bool:
    return character in _DIRECTIONS or unicodedata.category(character) in ("Cc", "Cs", "Cn", "Co", "Zl", "Zp")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
