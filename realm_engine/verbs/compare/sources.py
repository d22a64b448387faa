"""Where the pictures of a comparison lie: folders with a name each, or a table of files."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from realm_engine.errors import TextError, UsageError
from realm_engine.machine.files import sha256_of
from realm_engine.pictures.descriptions import Descriptions
from realm_engine.pictures.find import Found, look_for_images
from realm_engine.pictures.given import given_pictures
from realm_engine.pictures.inputs import Entry, described
from realm_engine.verbs.compare.scores import FILENAME, GENERATOR, PROMPT, normalised, read_cells

FEW = 20
_NAMED = 3


@dataclass(frozen=True)
class Picture:
    """A picture of a generator, before anything is measured; `prompt` with its white space normalised."""

    generator: str
    filename: str
    path: Path
    prompt: str | None = None

    @property
    def key(self) -> str:
        """Its name in tables of all generators: no two pictures have one."""
        return f"{self.generator.replace('%', '%25').replace('/', '%2F')}/{self.filename}"


@dataclass(frozen=True)
class Sources:
    """The pictures of all generators, in order, what is to be said about them, and what was seen in the folders."""

    pictures: tuple[Picture, ...]
    folders: Mapping[str, Path]
    sentences: tuple[str, ...] = ()
    seen: tuple[Found, ...] = ()

    @property
    def generators(self) -> list[str]:
        """Their names, in order."""
        return list(dict.fromkeys(picture.generator for picture in self.pictures))


def parse_folders(arguments: Sequence[str]) -> dict[str, Path]:
    """Folders by the names of their generators, of `NAME=FOLDER` and `FOLDER`.

    What exists as it is written is a folder, whatever signs are in its name. Raises UsageError for an empty name or
    path, one generator named twice, and one folder given twice.
    """
    found: dict[str, Path] = {}
    for argument in arguments:
        name, sign, path = argument.partition("=")
        if not sign or Path(argument).exists():
            folder = Path(argument)
            name = folder.resolve().name
        else:
            folder, name = Path(path), name.strip()
        if not argument or not name or (sign and not path):
            raise UsageError(f"{argument!r}: give a folder, or NAME=FOLDER")
        if name in found:
            raise UsageError(
                f"two generators are called {name!r} ({found[name]} and {folder}); name them: NAME=FOLDER"
            )
        same = next((other for other, path in found.items() if path.resolve() == folder.resolve()), None)
        if same is not None:
            raise UsageError(f"{name} and {same} are the same folder ({folder}); a comparison needs two")
        found[name] = folder
    return found


def of_folders(folders: Mapping[str, Path], prompts: Descriptions | None = None) -> Sources:
    """The pictures in folders, or those that a pattern or @LIST means; names are relative to each.

    `prompts` are by file name, or by generator and file name.

    Raises UsageError with fewer than two folders, ImageError for one that is missing or holds no picture, and
    TextError where the prompts of a picture are ambiguous.
    """
    if len(folders) < 2:
        raise UsageError(
            f"a comparison needs two folders or more, {len(folders)} given; realm-engine report is for one"
        )
    pictures: list[Picture] = []
    sentences: list[str] = []
    found: list[Found] = []
    for generator, folder in folders.items():
        if folder.is_file():
            raise UsageError(
                f"{folder}: is a file; a generator is a folder or a pattern ('a/*.png'), or give --table CSV"
            )
        given = given_pictures([folder])
        seen = look_for_images(given.paths, given.listed)
        found.append(seen)
        pictures += [Picture(generator, file.name, file.path) for file in seen.files]
    if prompts is not None:
        pictures = [replace(picture, prompt=_prompt(picture, prompts)) for picture in pictures]
        without = sum(picture.prompt is None for picture in pictures)
        sentences.append(
            f"prompts: {prompts.source} ({len(pictures) - without} of {len(pictures)} images have one)"
        )
    return Sources(tuple(pictures), dict(folders), tuple(sentences), tuple(found))


def _prompt(picture: Picture, prompts: Descriptions) -> str | None:
    own = f"{picture.generator}/{picture.filename}"
    return normalised(prompts.lookup(own if prompts.has(own) else picture.filename))


def read_prompts(path: Path) -> Descriptions:
    """Read a CSV with the columns `filename` and `prompt`. Raises TextError."""
    cells = read_cells(path)
    cells.need(FILENAME, PROMPT)
    found: dict[str, str] = {}
    for line, row in cells.rows:
        name = row[FILENAME].strip().replace("\\", "/")
        if not name:
            raise TextError(f"{path}, line {line}: the file name is empty")
        if name in found:
            raise TextError(f"{path}, line {line}: {name!r} stands twice; keep one")
        found[name] = normalised(row[PROMPT]) or ""
    return Descriptions(str(path), found)


def of_table(path: Path) -> Sources:
    """The pictures that a CSV lists: `filename,generator[,prompt]`, names relative to its folder.

    Raises TextError for a missing column, an empty cell and a picture that stands twice, UsageError with fewer than
    two generators.
    """
    cells = read_cells(path)
    cells.need(FILENAME, GENERATOR)
    lines: dict[tuple[str, str], int] = {}
    pictures = []
    for line, row in cells.rows:
        generator, name = row[GENERATOR].strip(), row[FILENAME].strip()
        if not generator or not name:
            raise TextError(f"{path}, line {line}: the {'file name' if generator else 'generator'} is empty")
        if (generator, name) in lines:
            raise TextError(
                f"{path}: {name!r} of {generator} stands twice, on lines {lines[generator, name]} and {line}; keep one"
            )
        lines[generator, name] = line
        pictures.append(Picture(generator, name, path.parent / name, normalised(row.get(PROMPT))))
    order = list(dict.fromkeys(picture.generator for picture in pictures))
    if len(order) < 2:
        raise UsageError(f"{path}: names {len(order)} generator, a comparison needs two or more")
    pictures.sort(key=lambda picture: order.index(picture.generator))
    return Sources(tuple(pictures), {})


def warnings_of(sources: Sources) -> list[str]:
    """What makes a comparison worth less, in words: few pictures, and pictures that several generators have.

    Raises UsageError where all pictures of a generator are those of another: it is one generator twice.
    """
    counts = Counter(picture.generator for picture in sources.pictures)
    found = [few(generator, count) for generator, count in counts.items() if count < FEW]
    shared: dict[tuple[str, str], list[tuple[Picture, Picture]]] = defaultdict(list)
    for same in _same_content(sources.pictures):
        owners: dict[str, Picture] = {}
        for picture in same:
            owners.setdefault(picture.generator, picture)
        names = list(owners)
        for index, first in enumerate(names):
            for second in names[index + 1 :]:
                shared[first, second].append((owners[first], owners[second]))
    for (first, second), pairs in shared.items():
        if len(pairs) >= min(counts[first], counts[second]):
            raise UsageError(
                f"all pictures of {min((first, second), key=lambda name: counts[name])} are in both {first} and "
                f"{second}; that is one generator twice"
            )
        examples = ", ".join(f"{a.filename} = {b.filename}" for a, b in pairs[:_NAMED])
        found.append(
            f"{first} and {second} have {len(pairs)} picture{'' if len(pairs) == 1 else 's'} in common ({examples}); "
            "nothing can differ there"
        )
    return found


def few(generator: str, count: int) -> str:
    """The warning of a generator with few pictures."""
    return f"{generator} has {count} picture{'' if count == 1 else 's'}; with fewer than {FEW} little can be found"


def _same_content(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """Groups of pictures of several generators with one content; only files of one size are read."""
    by_size: dict[int, list[Picture]] = defaultdict(list)
    for picture in pictures:
        if picture.path.is_file():
            by_size[picture.path.stat().st_size].append(picture)
    found: list[list[Picture]] = []
    for alike in by_size.values():
        if len({picture.generator for picture in alike}) > 1:
            by_content: dict[str, list[Picture]] = defaultdict(list)
            for picture in alike:
                by_content[_digest(picture.path)].append(picture)
            found += [same for same in by_content.values() if len({p.generator for p in same}) > 1]
    return found


def _digest(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError:  # it will be an error of its own when it is measured
        return hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()


def entries_of(pictures: Sequence[Picture], descriptions: Descriptions | None = None) -> list[Entry]:
    """Pictures as the engine takes them, called by their keys, each with its description where there are any."""
    found = []
    for index, picture in enumerate(pictures):
        entry = Entry(index, picture.key, picture.path)
        if descriptions is not None:
            own = f"{picture.generator}/{picture.filename}"
            entry = described(entry, descriptions, own if descriptions.has(own) else picture.filename)
        found.append(entry)
    return found
