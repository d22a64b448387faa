"""JSON that strangers wrote: read within limits, and only what every host reads alike."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NoReturn

from realm_engine.bundle.json_limits import MOST_BYTES, MOST_MEMBERS, json_problem
from realm_engine.errors import BundleError


def parse_json(
    content: bytes, where: str, most_bytes: int = MOST_BYTES, most_members: int = MOST_MEMBERS
) -> Any:
    """The value in a JSON text.

    Raises BundleError, one line, for a text that is too long, nested too deep or of too many members, for NaN and
    numbers beyond float64, which JSON has not, and for half of a surrogate pair, which no text in UTF-8 can hold.
    """
    if len(content) > most_bytes:
        raise BundleError(f"{where}: more than {most_bytes >> 20} MiB of text; export the bundle again")
    try:
        text = content.decode("utf-8")
        if (problem := json_problem(text, most_members)) is not None:
            raise ValueError(problem)
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise BundleError(f"{where}: not valid JSON (nested too deep); export the bundle again") from error
    except UnicodeEncodeError as error:
        raise BundleError(
            f"{where}: not valid JSON (half of a surrogate pair); export the bundle again"
        ) from error
    except ValueError as error:
        raise BundleError(f"{where}: not valid JSON ({error}); export the bundle again") from error
    return value


def read_json(path: Path, most_bytes: int = MOST_BYTES) -> Any:
    """`parse_json` of a file. Raises BundleError for one that cannot be read, too."""
    try:
        with path.open("rb") as stream:
            content = stream.read(most_bytes + 1)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error
    return parse_json(content, str(path), most_bytes)


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is beyond float64")
    return value
