"""What a caller may give as pictures: paths, bytes, streams or arrays, each made an `Entry` with its text, once."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from realm_engine.errors import ImageError, ImageTypeError, ImageValueError, TextError, UsageError
from realm_engine.pictures.decode import read_pipe
from realm_engine.pictures.descriptions import (
    DESCRIPTIONS_FILE,
    Descriptions,
    is_missing,
    not_text,
    read_descriptions,
)
from realm_engine.pictures.find import ImageFile, collect_images
from realm_engine.pictures.sources import (
    ImageSource,
    Layout,
    check_source,
    is_empty_path,
    is_one_picture,
    is_tensor,
    pictures_of,
)

Texts: TypeAlias = "str | Sequence[str] | None"
"""What a picture is looked at with: one text, several (of a map), or none."""


@dataclass(frozen=True)
class Entry:
    """One picture of a run: its place in it, the name by which results call it, where it comes from, and its text.

    `error` says why it cannot be worked on (its description is ambiguous...). `root`: the folder that was given.
    """

    index: int
    name: str
    source: ImageSource
    text: Texts = None
    error: str | None = None
    root: Path | None = None


def entries(
    images: ImageSource | Iterable[ImageSource],
    texts: str | Iterable[Texts] | Descriptions | None = None,
    names: Sequence[str] | None = None,
    text_required: bool = False,
    called: str = "texts",
    layout: Layout | None = None,
) -> Iterator[Entry]:
    """Pair pictures with names and texts. What is known beforehand, lengths and types, is checked at once.

    `texts`: one for the one picture, one per picture, or descriptions to look up by name; `called` in errors. `layout`:
    the images are tensors, see `pictures_of`.
    Raises UsageError where their numbers differ, and for an empty path; ImageTypeError and ImageValueError for what is
    no image, of an iterator when it is reached.
    """
    one = is_one(images) if layout is None else is_one_picture(images, layout)
    if layout is not None:
        pictures = pictures_of(images, layout)
        images = next(pictures) if one else list(pictures) if is_tensor(images) else pictures
    if is_empty_path(images):
        raise UsageError(
            "the path of the image is empty; give a file or a folder, this one here as '.' in a str"
        )
    if isinstance(images, str | os.PathLike) and Path(images).is_dir():
        found = collect_images([images])
        sources: Iterable[Any] = [file.path for file in found]
        names = names or [file.name for file in found]
    else:
        sources = [images] if one else images  # type: ignore[assignment]
    if isinstance(texts, str):
        if not one:
            raise UsageError(
                f"one {called.removesuffix('s')} was given for many images; give a list with one per image"
            )
        texts = [texts]
    if isinstance(sources, Sequence):
        for index, source in enumerate(sources):
            _check(source, index, one)
    for what, given in ((called, texts), ("names", names)):
        if isinstance(given, Sequence) and isinstance(sources, Sequence) and len(given) != len(sources):
            raise UsageError(f"{len(sources)} images but {len(given)} {what}; give one per image")
    return _entries(sources, texts, names, text_required, called)


def _entries(
    sources: Iterable[Any],
    texts: Iterable[Texts] | Descriptions | None,
    names: Sequence[str] | None,
    text_required: bool,
    called: str,
) -> Iterator[Entry]:
    each = None if texts is None or isinstance(texts, Descriptions) else iter(texts)
    for index, source in enumerate(sources):
        if names is not None and index >= len(names):
            raise _too_many("names", index)
        _check(source, index)
        entry = Entry(index, names[index] if names is not None else _name(source, index), source)
        if isinstance(texts, Descriptions):
            entry = described(entry, texts, entry.name)
        elif each is not None:
            try:
                entry = with_text(entry, next(each))
            except StopIteration:
                raise _too_many(called, index) from None
        yield required(entry) if text_required else entry


def file_entries(
    files: Sequence[ImageFile], by_root: Mapping[Path, Descriptions], text_required: bool = False
) -> list[Entry]:
    """Pair files with the descriptions of the folder they were found in.

    With `text_required` a picture without one carries an error. Raises UsageError where no picture has any.
    """
    found = []
    for index, file in enumerate(files):
        source: ImageSource = file.path
        text = error = None
        if not os.path.isfile(file.path) and file.path.exists():  # noqa: PTH113 - is_file takes twice the time
            # A pipe: who is asked to stop while it waits for one must be this thread.
            try:
                source = read_pipe(file.path)
            except ImageError as refused:
                error = str(refused)
        if file.root in by_root and error is None:
            texts = by_root[file.root]
            text, error = _looked_up(texts, _key(file.name, file.path, file.root, texts))
        found.append(Entry(index, file.name, source, text, error, file.root))
    if not text_required:
        return found
    if all(entry.text is None and entry.error is None for entry in found):
        raise UsageError("no image has a description; give --descriptions CSV, or --missing-text allow")
    return [required(entry) for entry in found]


def described(entry: Entry, descriptions: Descriptions, key: str) -> Entry:
    """The entry with the description that stands under `key`, or with the error that several do."""
    text, error = _looked_up(descriptions, key)
    return replace(entry, text=text, error=error)


def _looked_up(descriptions: Descriptions, key: str) -> tuple[str | None, str | None]:
    """The description that stands under `key`, None if it is missing, and the error that several do."""
    try:
        text = descriptions.lookup(key)
    except TextError as error:
        return None, str(error)
    return None if is_missing(text) else text, None


def with_text(entry: Entry, text: Any) -> Entry:
    """The entry with a text that a caller gave, or with the error that it is none; NaN, of a data frame, is missing."""
    if text is None or (isinstance(text, float) and math.isnan(text)):
        return entry
    several = [text] if isinstance(text, str) else text
    if not isinstance(several, Sequence) or not all(isinstance(each, str) for each in several):
        return replace(
            entry, error=f"{entry.name}: its description is {text!r}, which is no text; give a str or None"
        )
    for each in several:
        wrong = not_text(each)
        if wrong is not None:
            return replace(entry, error=f"{entry.name}: its description {wrong}")
    return replace(entry, text=text)


def required(entry: Entry) -> Entry:
    """The entry, with an error where it has no text."""
    missing = entry.text is None or (isinstance(entry.text, str) and is_missing(entry.text))
    if entry.error is not None or not missing:
        return entry
    return replace(
        entry, text=None, error=f"{entry.name}: no description; add one, or use --missing-text allow"
    )


def find_descriptions(root: Path) -> Path | None:
    """`image_descriptions.csv` in a directory, else beside it; None if it is missing."""
    for folder in (root, root.resolve().parent):
        if (folder / DESCRIPTIONS_FILE).is_file():
            return folder / DESCRIPTIONS_FILE
    return None


def descriptions_by_root(files: Sequence[ImageFile], given: Path | None) -> dict[Path, Descriptions]:
    """The descriptions of every directory: the file given for all of them, else what lies in or beside each.

    Raises TextError for a file that cannot be read as descriptions.
    """
    roots = dict.fromkeys(file.root for file in files)
    if given is not None:
        shared = read_descriptions(given)
        return dict.fromkeys(roots, shared)
    found = {root: find_descriptions(root) for root in roots}
    read = {path: read_descriptions(path) for path in dict.fromkeys(found.values()) if path is not None}
    return {root: read[path] for root, path in found.items() if path is not None}


def count_described(
    found: Sequence[Entry], by_root: Mapping[Path, Descriptions]
) -> dict[str, tuple[int, int]]:
    """For every file of descriptions: how many of its images have a text, and how many there are."""
    counts: dict[str, tuple[int, int]] = {}
    for entry in found:
        if entry.root is not None and entry.root in by_root:
            source = by_root[entry.root].source
            with_text, total = counts.get(source, (0, 0))
            counts[source] = with_text + (entry.text is not None), total + 1
    return counts


def rows_left_over(
    found: Sequence[Entry], by_root: Mapping[Path, Descriptions], searched: Iterable[Path]
) -> dict[str, list[str]]:
    """For every file of descriptions in a folder that was searched: its rows that belong to no image there.

    One that lies beside the folder, or was given, may describe more than is worked on.
    """
    left: dict[str, list[str]] = {}
    for root in searched:
        texts = by_root.get(root)
        if texts is None or Path(texts.source).parent != root:
            continue
        own = [entry for entry in found if entry.root == root and isinstance(entry.source, Path)]
        if sum(entry.text is not None for entry in own) >= len(texts.by_name):
            continue
        used = {_row_of(entry, texts) for entry in own}
        names = [name for name in texts.by_name if name not in used]
        if names:
            left[texts.source] = names
    return left


def _row_of(entry: Entry, texts: Descriptions) -> str | None:
    assert isinstance(entry.source, Path) and entry.root is not None
    with suppress(TextError):  # several rows: the entry has the error
        return texts.row(_key(entry.name, entry.source, entry.root, texts))
    return None


def _key(name: str, path: Path, root: Path, texts: Descriptions) -> str:
    """By what to look a picture up: of several folders a name has that of its own before it, and so may the CSV."""
    return name if texts.has(name) else path.relative_to(root).as_posix()


def is_one(images: Any) -> bool:
    """Whether what was given is one image, not many."""
    if isinstance(images, str | os.PathLike | bytes | bytearray | memoryview) or hasattr(images, "read"):
        return True
    if isinstance(images, np.ndarray):  # of rank 4 it is a batch, of names or objects a list
        return images.ndim != 4 and images.dtype.kind not in "OU"
    return not isinstance(images, Iterable)  # as a Pillow image is none


def _check(source: Any, index: int, alone: bool = False) -> None:
    """Raise ImageTypeError or ImageValueError, which say the place of the source among others."""
    try:
        check_source(source)
    except (ImageTypeError, ImageValueError) as error:
        raise error if alone else type(error)(f"image {index + 1}: {error}") from None


def _too_many(what: str, count: int) -> UsageError:
    return UsageError(f"there are more images than {what} ({count})")


def _name(source: Any, index: int) -> str:
    if isinstance(source, str | os.PathLike) and not is_empty_path(source):
        return Path(source).as_posix()
    return str(getattr(source, "name", None) or f"image-{index + 1}")
