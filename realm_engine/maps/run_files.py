"""The files of all maps of a run: contact sheets and one COCO data set, which is what a run that goes on makes as well.

Of every map a small picture lies in a hidden folder and a line of JSON in the run's record, so that sheets and data set
can be made at the end of any run without mapping again what an earlier one has mapped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from realm_engine.errors import OutputError
from realm_engine.machine.files import write_atomically
from realm_engine.maps.coco import FILE as COCO_FILE
from realm_engine.maps.coco import coco_text
from realm_engine.maps.contact import empty_cell, footer, sheets
from realm_engine.maps.files import MapFolder, png_bytes

_SHEETS = re.compile(r"map\.contact-(\d+)\.png")


@dataclass(frozen=True)
class Done:
    """What became of one picture of a run.

    `stem`: of its files. `summary`: see `coco.coco_summary`; None where it has no map, for the reason `error`.
    """

    name: str
    stem: str
    summary: str | None
    error: str = ""


def write_run_files(folder: MapFolder, done: Sequence[Done], info: Mapping[str, Any]) -> list[Path]:
    """Write what the formats of a folder ask for of a whole run, and return the paths.

    Sheets of an earlier run that has had more of them are removed. `done`: the pictures in order; `info`: stands in the
    data set. Raises OutputError.
    """
    written = []
    if "contact" in folder.formats:
        number = 0
        for number, sheet in enumerate(sheets(_cells(folder, done), _footer(folder, done)), start=1):
            written.append(folder.folder / f"map.contact-{number}.png")
            write_atomically(written[-1], png_bytes(sheet))
        _remove_after(folder.folder, number)
    if "coco" in folder.formats:
        mapped = [(each.name, each.summary) for each in done if each.summary is not None]
        written.append(folder.folder / COCO_FILE)
        write_atomically(
            written[-1], (part.encode("utf-8", "backslashreplace") for part in coco_text(mapped, info))
        )
    return written


def _cells(folder: MapFolder, done: Sequence[Done]) -> Iterator[Image.Image]:
    for each in done:
        if each.summary is None:
            yield empty_cell(each.name, each.error or "not mapped")
            continue
        path = folder.paths(each.stem)["contact"]
        try:
            with Image.open(path) as picture:
                yield picture.convert("RGB")
        except OSError as error:
            raise OutputError(
                f"{path}: cannot be read ({error}); remove it and go on with --resume"
            ) from error


def _footer(folder: MapFolder, done: Sequence[Done]) -> str:
    for each in done:
        if each.summary is not None:
            known = json.loads(each.summary)
            ends = known["category"], known["plain"]
            return footer(known["supercategory"], *ends, known["numbers"], folder.limits)
    return ""


def _remove_after(folder: Path, last: int) -> None:
    try:
        for path in folder.iterdir():
            found = _SHEETS.fullmatch(path.name)
            if found is not None and int(found[1]) > last:
                path.unlink()
    except OSError as error:
        raise OutputError(f"{folder}: {error.filename} cannot be removed ({error.strerror})") from error
