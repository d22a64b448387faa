"""What somebody typed where pictures are wanted: paths, patterns that no shell has expanded, and lists of files.

What lies there as it is typed is taken as it is, whatever signs are in its name; else `@LIST` is a list, and a word
with `*`, `?` or `[` a pattern.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from realm_engine.errors import ImageError, UsageError
from realm_engine.pictures.find import STDIN, kind_of

_LIST = "@"
_HEAD_BYTES = 96


@dataclass(frozen=True)
class Given:
    """Files and folders, in the order given.

    `listed`: those that a list names, one of which may be gone by now without the others being worth less.
    """

    paths: tuple[Path, ...]
    listed: frozenset[Path] = frozenset()


def given_pictures(paths: Iterable[Path], files_from: Path | None = None) -> Given:
    """The files and folders that are meant by what was typed; `files_from` is a list, whose files come last.

    Raises UsageError where nothing is given, ImageError for a list that cannot be read or names nothing, for a
    pattern that nothing matches, and for a path that does not exist.
    """
    found: list[Path] = []
    listed: list[Path] = []
    typed = list(paths)
    lists = [path for path in typed if _is_list(path)] + ([] if files_from is None else [files_from])
    words = [str(path) for path in (*typed, *([] if files_from is None else [files_from]))]
    if sum(word in (STDIN, _LIST + STDIN) for word in words) > 1:
        raise UsageError("standard input is asked for twice; give - once, for a picture or for a list")
    for path in typed:
        if path in lists:
            names = read_list(Path(str(path)[len(_LIST) :]))
            listed += names
            found += names
        elif _is_pattern(path):
            found += _matches(str(path))
        else:
            found.append(path)
    if files_from is not None:
        names = read_list(files_from)
        listed += names
        found += names
    if not found:
        raise UsageError("there is nothing to look at; give pictures or folders, or --files-from LIST")
    if listed and len(listed) == len(found) and not any(os.path.lexists(path) for path in listed):
        where = ", ".join(dict.fromkeys(str(each).removeprefix(_LIST) for each in lists))
        raise ImageError(
            f"{where}: none of its {len(listed)} files exists (the first: {listed[0]}); its lines are paths from the "
            f"working directory, {Path.cwd()}"
        )
    return Given(tuple(found), frozenset(listed))


def read_list(path: Path) -> list[Path]:
    """The paths that a file lists, one a line, or ended by NUL where there is one (`find -print0`); "-" is the standard
    input. Each is taken as it is written, from the working directory. Raises ImageError.
    """
    called = "standard input" if str(path) == STDIN else str(path)
    try:
        if str(path) == STDIN:
            if sys.stdin is None:
                raise ImageError(f"{STDIN}: there is no standard input here; give a file")
            content = sys.stdin.buffer.read()
        else:
            content = path.read_bytes()
    except OSError as error:
        raise ImageError(
            f"{called}: the list cannot be read ({error.strerror}); give a text file with a path a line"
        ) from error
    if kind_of(content[:_HEAD_BYTES]) is not None:
        raise ImageError(f"{called}: is a picture, no list; give it as it is, without @ and --files-from")
    found = [Path(name) for name in _names(content, called)]
    if not found:
        raise ImageError(f"{called}: the list names no file; write a path a line")
    return found


def _names(content: bytes, called: str) -> Iterator[str]:
    if b"\0" in content:
        lines = content.split(b"\0")
    else:
        lines = [line.removesuffix(b"\r") for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
    for line in lines:
        if line.strip():
            yield os.fsdecode(line)


def _is_list(path: Path) -> bool:
    return str(path).startswith(_LIST) and len(str(path)) > 1 and not os.path.lexists(path)


def _is_pattern(path: Path) -> bool:
    return glob.has_magic(str(path)) and not os.path.lexists(path)


def _matches(pattern: str) -> list[Path]:
    """What a pattern means, sorted; ** is any depth, and hidden names are left out as a shell leaves them out."""
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
    if not found:
        raise ImageError(
            f"{pattern}: nothing is called so; give pictures, a folder, or a pattern that fits some"
        )
    return [Path(each) for each in found]
