"""What a form says: images with their texts, and how they are to be answered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import IO, cast

from starlette.datastructures import UploadFile

from realm_engine.errors import UsageError, printable
from realm_engine.pictures.descriptions import Descriptions, is_missing
from realm_engine.pictures.inputs import Entry, described, required, with_text

_LONGEST_NAME = 255


class Upload:
    """An image as it came; the engine reads it once, in a thread that decodes."""

    def __init__(self, file: UploadFile, name: str) -> None:
        self.name = name
        self._file = file.file

    def read(self) -> bytes:
        """All of it."""
        return self._file.read()


def entries_of(
    files: Sequence[UploadFile],
    text: Sequence[str],
    texts: Sequence[str],
    descriptions: str | None,
    text_required: bool,
) -> list[Entry]:
    """Pair images with their texts, in the order in which they came.

    `text`: for every image, several of a map; `texts`: one per image, an empty one for an image that has none;
    `descriptions`: JSON, an object from file names to texts. At most one of them is given. Raises UsageError.
    """
    text = [each for each in text if not is_missing(each)]
    if all(is_missing(each) for each in texts):  # a form that was left empty
        texts = ()
    given = [
        name for name, value in (("text", text), ("texts", texts), ("descriptions", descriptions)) if value
    ]
    if len(given) > 1:
        raise UsageError(f"{given[0]} contradicts {given[1]}; give one of them")
    if texts and len(texts) != len(files):
        raise UsageError(
            f"{len(files)} images but {len(texts)} texts; give one per image, in their order, an empty one where an "
            "image has none"
        )
    found = []
    for index, file in enumerate(files):
        name = (file.filename or "")[:_LONGEST_NAME] or f"image-{index + 1}"
        found.append(Entry(index, name, cast(IO[bytes], Upload(file, printable(name)))))
    if text:
        found = [with_text(entry, text[0] if len(text) == 1 else tuple(text)) for entry in found]
    elif texts:
        found = [
            with_text(entry, None if is_missing(each) else each)
            for entry, each in zip(found, texts, strict=True)
        ]
    elif descriptions:
        found = _described(found, _by_name(descriptions))
    return [required(entry) for entry in found] if text_required else found


def _by_name(descriptions: str) -> Mapping[str, str]:
    """Texts by file name, those left out that are null. Raises UsageError."""
    try:
        found = json.loads(descriptions)
    except (ValueError, RecursionError) as error:
        raise UsageError("descriptions: no JSON; write an object from file names to texts") from error
    if not isinstance(found, dict) or not all(isinstance(each, str | None) for each in found.values()):
        raise UsageError('descriptions: no object from file names to texts; write {"NAME": "TEXT", ...}')
    return {name: text for name, text in found.items() if text is not None}


def _described(entries: Sequence[Entry], by_name: Mapping[str, str]) -> list[Entry]:
    """Entries with the texts that stand under their names, found as in a table of descriptions."""
    texts = Descriptions("descriptions", dict(by_name))
    found = [described(entry, texts, entry.name) for entry in entries]
    used = {texts.row(entry.name) for entry in found if entry.error is None}
    unused = [name for name in by_name if name not in used]
    if unused and all(entry.error is None for entry in found):
        raise UsageError(f"descriptions: no image is called {unused[0]!r}; name each as its file was sent")
    # Texts may be anything in JSON, half of a surrogate pair too.
    return [
        with_text(replace(entry, text=None), entry.text) if entry.error is None else entry for entry in found
    ]


def preferred(accept: str, offered: Sequence[str]) -> str | None:
    """The type of those offered that an Accept header wants most, the first of equals; None where it takes none."""
    wanted: dict[str, float] = {}
    for part in accept.split(","):
        name, *parameters = (word.strip().lower() for word in part.split(";"))
        quality = next((word[2:] for word in parameters if word.startswith("q=")), "1")
        try:
            wanted[name] = float(quality)
        except ValueError:
            wanted[name] = 0.0
    if not accept.strip():
        return offered[0]

    def quality_of(kind: str) -> float:
        ranges = (kind, f"{kind.partition('/')[0]}/*", "*/*")
        return next((wanted[each] for each in ranges if each in wanted), 0.0)

    best = max(offered, key=quality_of)
    return best if quality_of(best) > 0 else None
