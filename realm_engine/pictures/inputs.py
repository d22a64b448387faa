"""What a caller may give as images: one or many, as paths, bytes, streams or arrays, with names and texts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from realm_engine.errors import TextError, UsageError
from realm_engine.measures.core import is_missing
from realm_engine.pictures.decode import ImageSource, collect_images
from realm_engine.pictures.pipeline import Job
from realm_engine.text import Descriptions


def pair_jobs(
    images: ImageSource | Iterable[ImageSource],
    descriptions: str | Iterable[str | None] | Descriptions | None,
    names: Sequence[str] | None,
    text_required: bool,
    texts: Sequence[Any] | None = None,
) -> Iterator[Job]:
    """Pair images with names and descriptions. Lengths known beforehand are checked at once.

    `texts`: what the caller has ready for every image by its index; here it is only counted.
    """
    one = is_one(images)
    if isinstance(images, str | os.PathLike) and Path(images).is_dir():
        found = collect_images([images])
        sources: Iterable[Any] = [file.path for file in found]
        names = names or [file.name for file in found]
    else:
        sources = [images] if one else images  # type: ignore[assignment]
    if isinstance(descriptions, str):
        if not one:
            raise UsageError("one description was given for many images; give a list with one per image")
        descriptions = [descriptions]
    for what, given in (("descriptions", descriptions), ("names", names), ("texts", texts)):
        if isinstance(given, Sequence) and isinstance(sources, Sequence) and len(given) != len(sources):
            raise UsageError(f"{len(sources)} images but {len(given)} {what}; give one per image")
    return _pair(sources, descriptions, names, text_required, texts)


def _pair(
    sources: Iterable[Any],
    descriptions: Iterable[str | None] | Descriptions | None,
    names: Sequence[str] | None,
    text_required: bool,
    texts: Sequence[Any] | None,
) -> Iterator[Job]:
    own = None if descriptions is None or isinstance(descriptions, Descriptions) else iter(descriptions)
    for index, source in enumerate(sources):
        for what, given in (("names", names), ("texts", texts)):
            if given is not None and index >= len(given):
                raise _too_many(what, index)
        name = names[index] if names is not None else _name(source, index)
        text, error = None, None
        if isinstance(descriptions, Descriptions):
            try:
                text = descriptions.lookup(name)
            except TextError as problem:
                error = str(problem)
        elif own is not None:
            try:
                text = next(own)
            except StopIteration:
                raise _too_many("descriptions", index) from None
        if text_required and error is None and is_missing(text):
            error = f"{name}: no description; add one or score from the picture alone"
        yield Job(index, name, source, text, error)


def _too_many(what: str, count: int) -> UsageError:
    return UsageError(f"there are more images than {what} ({count})")


def is_one(images: Any) -> bool:
    """Whether what was given is one image, not many."""
    if isinstance(images, str | os.PathLike | bytes | bytearray | memoryview) or hasattr(images, "read"):
        return True
    # An array of rank 4 is a batch; a Pillow image has no length and is no iterable either.
    return images.ndim != 4 if isinstance(images, np.ndarray) else not isinstance(images, Iterable)


def _name(source: Any, index: int) -> str:
    if isinstance(source, str | os.PathLike):
        return Path(source).as_posix()
    return str(getattr(source, "name", None) or f"image-{index + 1}")
