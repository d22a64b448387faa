"""What a command line was given: images, each with its description, and the rows that scoring them makes."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from realm_engine.bundle.bundle import MANIFEST
from realm_engine.engine import Engine, Score
from realm_engine.errors import TextError, UsageError
from realm_engine.measures.core import is_missing
from realm_engine.pictures.decode import ImageFile
from realm_engine.tables.record import Picture, picture_of
from realm_engine.tables.rows import Row
from realm_engine.text import Descriptions, read_descriptions

DESCRIPTIONS_FILE = "image_descriptions.csv"


@dataclass(frozen=True)
class Item:
    """One image and its text; `error` says why it cannot be worked on (its description is ambiguous...)."""

    file: ImageFile
    text: str | None = None
    error: str = ""


def find_descriptions(root: Path) -> Path | None:
    """`image_descriptions.csv` in a directory, else beside it; None where there is none."""
    for folder in (root, root.resolve().parent):
        if (folder / DESCRIPTIONS_FILE).is_file():
            return folder / DESCRIPTIONS_FILE
    return None


def descriptions_by_root(files: Sequence[ImageFile], given: Path | None) -> dict[Path, Descriptions]:
    """The descriptions of every directory: the file given for all of them, else what lies in or beside each.

    Raises:
        TextError: a file cannot be read as descriptions.
    """
    roots = dict.fromkeys(file.root for file in files)
    if given is not None:
        shared = read_descriptions(given)
        return dict.fromkeys(roots, shared)
    found = {root: find_descriptions(root) for root in roots}
    read = {path: read_descriptions(path) for path in dict.fromkeys(found.values()) if path is not None}
    return {root: read[path] for root, path in found.items() if path is not None}


def pair(files: Sequence[ImageFile], by_root: Mapping[Path, Descriptions], text_required: bool) -> list[Item]:
    """Give every image its description, None where there is none.

    With `text_required` an image without one carries an error.

    Raises:
        UsageError: `text_required`, and there is not one description for any image.
    """
    items = [_described(file, by_root.get(file.root)) for file in files]
    if not text_required:
        return items
    if all(item.text is None and not item.error for item in items):
        raise UsageError("no image has a description; give --descriptions CSV, or --missing-text image-only")
    return [
        Item(item.file, None, f"{item.file.name}: no description; add one, or use --missing-text image-only")
        if item.text is None and not item.error
        else item
        for item in items
    ]


def _described(file: ImageFile, descriptions: Descriptions | None) -> Item:
    if descriptions is None:
        return Item(file)
    try:
        # The name may carry the directory itself where two directories clash; the CSV never does.
        text = descriptions.lookup(file.path.relative_to(file.root).as_posix())
    except TextError as error:
        return Item(file, error=str(error))
    return Item(file, None if is_missing(text) else text)


def pending(items: Sequence[Item], done: Mapping[str, Row]) -> list[Item]:
    """Items whose row is not there yet, or was made with another description."""
    return [
        item
        for item in items
        if item.error or item.file.name not in done or done[item.file.name].description != (item.text or "")
    ]


def pictures_now(items: Sequence[Item]) -> dict[str, Picture | None]:
    """Which picture lies under the name of every image; None where there is none any more."""
    return {item.file.name: picture_of(item.file.path) for item in items}


def run_identity(engine: Engine) -> dict[str, str]:
    """What must be equal for rows of two runs to stand in one table."""
    used = engine.describe("core")
    manifest = (engine.bundle.root / MANIFEST).read_bytes()
    return {
        "bundle": used["bundle"],
        "manifest": hashlib.sha256(manifest).hexdigest()[:16],
        "precision": used["precision"],
    }


def count_described(
    items: Sequence[Item], by_root: Mapping[Path, Descriptions]
) -> dict[str, tuple[int, int]]:
    """For every file of descriptions: how many of its images have a text, and how many there are."""
    counts: dict[str, tuple[int, int]] = {}
    for item in items:
        if item.file.root in by_root:
            source = by_root[item.file.root].source
            described, total = counts.get(source, (0, 0))
            counts[source] = described + (item.text is not None), total + 1
    return counts


def score_items(engine: Engine, items: Sequence[Item], batch_size: int | None) -> Iterator[Row]:
    """Score items; one row each, in order. An item that carries an error is a row with that error."""
    fit = [item for item in items if not item.error]
    scores = engine.iter_scores(
        [item.file.path for item in fit],
        [item.text for item in fit],
        batch_size=batch_size,
        names=[item.file.name for item in fit],
    )
    for item in items:
        yield Row(item.file.name, error=item.error) if item.error else _row(next(scores))


def _row(score: Score) -> Row:
    return Row(score.name, score.mos, score.realness, score.description or "", score.error or "")
