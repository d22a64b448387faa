"""The pictures and texts that verbs are given, all in one way."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from realm_engine.errors import UsageError
from realm_engine.machine.memory import without_collector
from realm_engine.pictures.descriptions import Descriptions, is_missing, not_text
from realm_engine.pictures.find import Found, look_for_images
from realm_engine.pictures.given import Given, given_pictures
from realm_engine.pictures.inputs import Entry, descriptions_by_root, file_entries
from realm_engine.verbs.console import Console, say_descriptions, say_left_out


@dataclass(frozen=True)
class Texts:
    """The texts that pictures are looked at with.

    Attributes:
        given: Those of every picture; empty for a text of its own.
        descriptions: The file of them; None for what lies in or beside each folder.
        none: No file is looked for.
        required: A picture without a text is an error.
    """

    given: tuple[str, ...] = ()
    descriptions: Path | None = None
    none: bool = False
    required: bool = False

    def __post_init__(self) -> None:
        if self.given and self.descriptions is not None:
            raise UsageError("--text contradicts --descriptions; give one of them")
        if self.none and self.descriptions is not None:
            raise UsageError("--no-descriptions contradicts --descriptions; give one of them")
        for text in self.given:
            if is_missing(text):
                raise UsageError("--text is empty; say what looks unreal, or leave it out")
            wrong = not_text(text)
            if wrong is not None:
                raise UsageError(f"--text {wrong}")

    @property
    def one(self) -> str | None:
        """The one text of every picture. Raises UsageError where several are given."""
        if len(self.given) > 1:
            raise UsageError("--text may be given once here; a map alone takes several")
        return self.given[0] if self.given else None


@dataclass(frozen=True)
class Inputs:
    """What a verb works on: paths as they were typed, a list of more, and the texts."""

    paths: tuple[Path, ...] = ()
    files_from: Path | None = None
    texts: Texts = field(default_factory=Texts)

    def look(self) -> Looked:
        """Find the pictures and pair them with their texts.

        Raises UsageError, ImageError and TextError where there is nothing to work on.
        """
        texts, start = self.texts, time.monotonic()
        with without_collector():
            given = given_pictures(self.paths, self.files_from)
            found = look_for_images(given.paths, given.listed)
            search = not texts.given and not texts.none
            by_root = descriptions_by_root(found.files, texts.descriptions) if search else {}
            entries = file_entries(found.files, by_root, texts.required and not texts.given)
            if texts.given:
                text = texts.given if len(texts.given) > 1 else texts.given[0]
                entries = [replace(entry, text=text) for entry in entries]
        return Looked(given, found, entries, by_root, time.monotonic() - start)


@dataclass(frozen=True)
class Looked:
    """The pictures of a run with their texts."""

    given: Given
    found: Found
    entries: list[Entry]
    by_root: Mapping[Path, Descriptions]
    seconds: float

    def say(self, console: Console) -> None:
        """Say what is left out, and which texts are used."""
        console.detail(f"found {len(self.entries)} images in {self.seconds:.2f} s")
        say_left_out(self.found, console)
        say_descriptions(self.entries, self.by_root, self.given.paths, console)

    @property
    def sources(self) -> list[Path]:
        """The files of descriptions that are used."""
        return [Path(used.source) for used in self.by_root.values()]
