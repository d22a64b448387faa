"""What no JSON of a bundle needs, found before it is parsed. The C++ host and the page have the same limits."""

from __future__ import annotations

import re

MOST_BYTES = 4 << 20  # of a manifest
MOST_DEPTH = 100
MOST_MEMBERS = 20_000

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_SIGN = re.compile(r"[\[\]{}:]")


def json_problem(text: str, most_members: int = MOST_MEMBERS) -> str | None:
    """Why a text must not be parsed ("nested deeper than 100"), None where it may be."""
    depth = members = 0
    for found in _SIGN.finditer(_STRING.sub("", text)):
        sign = found[0]
        if sign == ":":
            members += 1
            if members > most_members:
                return f"more than {most_members} members"
        elif sign in "[{":
            depth += 1
            if depth > MOST_DEPTH:
                return f"nested deeper than {MOST_DEPTH}"
        else:
            depth -= 1
    return None
