"""Which maps of a folder are made already: what survives a kill, and what `map --resume` goes on from.

A line is added to `map.run.jsonl` in the folder when all files of a map are there; the first line says what run makes
them. A map counts only for the run, the picture and the texts that it was made from, and while its files are there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from realm_engine.errors import OutputError
from realm_engine.machine.csv_files import lines_of, text_of
from realm_engine.machine.files import hold, is_held, write_atomically
from realm_engine.tables.record import CURE, Picture, check_header, read_picture, run_header
from realm_engine.tables.rows import ENCODING

NAME = "map.run.jsonl"


@dataclass(frozen=True)
class Made:
    """A map that is made: the picture as it was, the texts that were given (None: phrases), and the files' stem.

    `summary`: JSON of what the files of the whole run need of it, None where there are none.
    """

    picture: Picture
    texts: tuple[str, ...] | None
    stem: str
    stands_out: bool | None = None
    summary: str | None = None


class MapsMade:
    """The maps that a run has made in a folder, a line each. A context manager while it goes on.

    Attributes:
        earlier: Maps by image that an earlier run of this kind made; {} where it does not go on.
    """

    def __init__(self, folder: Path, run: Mapping[str, str], resume: bool) -> None:
        """Raises OutputError: another run writes there now, or what is there is of another run or cannot be read."""
        self._path = folder / NAME
        if is_held(self._path):
            raise OutputError(
                f"{folder}: another run writes maps there now; wait for it, or choose another output"
            )
        self._run = dict(run)
        self.earlier = self._read() if resume and self._path.exists() else {}
        self._stream: IO[str] | None = None

    def __enter__(self) -> Self:
        # Written anew, so that a line that a kill cut is gone.
        lines = [_line(run_header(self._run)), *(_made_line(*each) for each in self.earlier.items())]
        write_atomically(self._path, "".join(lines).encode(**ENCODING))
        self._stream = self._path.open("a", newline="", **ENCODING)
        hold(self._stream)
        return self

    def add(self, name: str, made: Made) -> None:
        """Say that all files of a map are there. Raises OutputError."""
        assert self._stream is not None
        try:
            self._stream.write(_made_line(name, made))
            self._stream.flush()
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written ({error.strerror})") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._stream is not None
        try:
            self._stream.close()
        except OSError as failed:  # what could not be written is tried once more
            if kind is None:
                raise OutputError(f"{self._path}: cannot be written ({failed.strerror})") from failed

    def _read(self) -> dict[str, Made]:
        try:
            first, *lines = lines_of(text_of(self._path.read_bytes(), ENCODING["errors"]))
            check_header(self._path, json.loads(first), self._run)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise OutputError(f"{self._path}: cannot be read as the record of maps; {CURE}") from None
        found: dict[str, Made] = {}
        for line in lines:
            try:
                entry = json.loads(line)
                texts = None if entry["texts"] is None else tuple(map(str, entry["texts"]))
                summary = entry.get("summary")
                found[str(entry["image"])] = Made(
                    read_picture(entry["picture"]),
                    texts,
                    str(entry["stem"]),
                    entry["stands_out"],
                    None if summary is None else json.dumps(summary, separators=(",", ":")),
                )
            except (ValueError, KeyError, TypeError):
                break  # the kill came in the middle of this line
        return found


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"


def _made_line(name: str, made: Made) -> str:
    texts: Sequence[str] | None = made.texts
    line = {
        "image": name,
        "picture": made.picture,
        "texts": texts,
        "stem": made.stem,
        "stands_out": made.stands_out,
    }
    return _line(line if made.summary is None else {**line, "summary": json.loads(made.summary)})
