"""What the weights of each part may be used for: `--terms FILE`, and what the manifest says of it. Knows no torch."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.errors import ExportError

UNKNOWN_LICENCE = "not stated; ask whoever trained the weights"
LICENCE_FILE = "LICENSE-WEIGHTS.md"
KEYS = ("licence", "commercial_use", "training_data")


@dataclass(frozen=True)
class Terms:
    """Terms of some weights.

    Attributes:
        licence: Its name, one line.
        text: File of its text, copied into the bundle.
        commercial_use: Whether it allows commercial use.
        training_data: What the weights were trained on, one line.
    """

    licence: str = UNKNOWN_LICENCE
    text: Path | None = None
    commercial_use: bool = False
    training_data: str = "not stated"


@dataclass(frozen=True)
class WrittenTerms:
    """Terms as a manifest holds them, its "licence" and "training_data".

    Attributes:
        whole: Of the bundle: the strictest.
        of: By part.
    """

    whole: Mapping[str, Any]
    of: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_licence(given: str, what: str, folder: Path | None = None) -> tuple[str, Path | None]:
    """The line that names a licence, and the file of its text where one was given.

    Args:
        given: The line, or a path: of a file that is there, or a word that ends in .md or .txt.
        what: What gave it, for errors.
        folder: What a path is relative to; by default the working directory.

    Raises:
        ExportError: it is empty, or the file is missing or not UTF-8.
    """
    line = " ".join(given.split())
    if not line:
        raise ExportError(f"{what} is empty; name the licence, or give the file of its text")
    path = Path(given) if folder is None else folder / given
    if _is_file(path):
        return _first_line(path), path.resolve()
    if Path(given).suffix.lower() in (".md", ".txt") and " " not in line:
        raise ExportError(f"{what} {given}: no such file")
    return line, None


def read_terms(path: Path, otherwise: Terms) -> dict[str, Terms]:
    """Read a file of terms: {"PART": {"licence": ..., "commercial_use": ..., "training_data": ...}}.

    A part is "core", "dream" or a measure. "licence" is a line, or the path of its text relative to this file.
    "training_data" may be left out, and is then `otherwise`'s.

    Raises:
        ExportError: it is not such a file.
    """
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise ExportError(f"{path} is not JSON: {error}") from None
    if not isinstance(stated, dict):
        raise ExportError(f"{path} must hold a JSON object, a part's name before its terms")
    return {
        part: _terms(entry, f"{path}, {part!r}", path.parent, otherwise) for part, entry in stated.items()
    }


def check_parts(terms: Collection[str], parts: Collection[str]) -> None:
    """Refuse terms of parts that are not exported.

    Raises:
        ExportError: a name of `terms` is none of `parts`.
    """
    unknown = [name for name in terms if name not in parts]
    if unknown:
        raise ExportError(
            f"terms of {unknown[0]!r}, but what is exported is {', '.join(parts)}; leave them out"
        )


def write_terms(folder: Path, terms: Mapping[str, Terms]) -> WrittenTerms:
    """Copy the texts of licences into a bundle, each once, and say what its manifest shall hold.

    The text that goes for the bundle as a whole is `LICENCE_FILE`, any other LICENSE-PART.md.

    Args:
        folder: The bundle; what lies in it is not overwritten.
        terms: Of every part, by name.
    """
    whole = _strictest(terms)
    taken = {path.name for path in folder.iterdir()}
    names: dict[Path, str] = {}
    if whole.text is not None and LICENCE_FILE not in taken:
        names[whole.text] = LICENCE_FILE
    for part, each in terms.items():
        if each.text is not None and each.text not in names:
            names[each.text] = _free_name(part, taken | set(names.values()))
    for source, name in names.items():
        shutil.copyfile(source, folder / name)
    return WrittenTerms(_entry(whole, names), {part: _entry(each, names) for part, each in terms.items()})


def _terms(entry: Any, where: str, folder: Path, otherwise: Terms) -> Terms:
    if not isinstance(entry, dict):
        raise ExportError(f'{where}: write {{"licence": ..., "commercial_use": ..., "training_data": ...}}')
    for key in entry:
        if key not in KEYS:
            raise ExportError(f"{where}: {key!r} is none of {', '.join(KEYS)}; leave it out")
    licence, commercial_use = entry.get("licence"), entry.get("commercial_use")
    if not isinstance(licence, str):
        raise ExportError(f"{where}: 'licence' must be its name, or the file of its text")
    if not isinstance(commercial_use, bool):
        raise ExportError(f"{where}: 'commercial_use' must be true or false")
    training_data = entry.get("training_data", otherwise.training_data)
    if not isinstance(training_data, str):
        raise ExportError(f"{where}: 'training_data' must be one line of text")
    line, text = read_licence(licence, f"{where}: 'licence'", folder)
    return Terms(line, text, commercial_use, " ".join(training_data.split()))


def _strictest(terms: Mapping[str, Terms]) -> Terms:
    """What goes for a bundle as a whole: where a part may not be used commercially, the terms of all such parts."""
    commercial_use = all(each.commercial_use for each in terms.values())
    strict = {name: each for name, each in terms.items() if each.commercial_use == commercial_use}
    licences = {(each.licence, each.text) for each in strict.values()}
    return Terms(
        licence=_joined({name: each.licence for name, each in strict.items()}),
        text=next(iter(licences))[1] if len(licences) == 1 else None,
        commercial_use=commercial_use,
        training_data=_joined({name: each.training_data for name, each in terms.items()}),
    )


def _joined(lines: Mapping[str, str]) -> str:
    """One line for all parts; where they differ, each part's behind its name."""
    different = set(lines.values())
    return (
        different.pop()
        if len(different) == 1
        else "; ".join(f"{name}: {line}" for name, line in lines.items())
    )


def _entry(terms: Terms, names: Mapping[Path, str]) -> dict[str, Any]:
    licence: dict[str, Any] = {"weights": terms.licence, "commercial_use": terms.commercial_use}
    if terms.text is not None:
        licence["text"] = names[terms.text]
    return {"licence": licence, "training_data": terms.training_data}


def _free_name(part: str, taken: Collection[str]) -> str:
    suffixes = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    names = (f"LICENSE-{part.upper()}{suffix}.md" for suffix in suffixes)
    return next(name for name in names if name not in taken and name != LICENCE_FILE)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a line that is too long for a path
        return False


def _first_line(path: Path) -> str:
    try:
        lines = [line.strip("# ").strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"{path}: cannot be read as UTF-8 ({error})") from None
    return next((line for line in lines if line), path.name)
