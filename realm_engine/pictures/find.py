"""Which pictures there are under the paths that somebody gave: every one is found, or counted with the reason.

A folder holds what its files are, not what they are called: a picture without an extension, or with an unusual one, is
told by its first bytes. Links are followed, wherever they lead, but never round in a circle.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from realm_engine.errors import ImageError, did_you_mean

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
"""A file in a folder that is called so is a picture, and an error where it turns out to be none."""

STDIN = "-"
_STDIN_FILE = Path("/dev/stdin")
_NAMED = 3  # files that are named of those left out
_HEAD_BYTES = 96
_BESIDE = 1000  # names that are looked at for what a misspelt one may mean
# What a camera wrote looks like a TIFF, and holds a thumbnail in its place.
_RAW = frozenset({".dng", ".nef", ".cr2", ".arw", ".orf", ".rw2", ".pef", ".srw", ".nrw"})
_DRAWN = (".overlay.png", ".heatmap.png", ".panel.png")  # what `map` draws
_DRAWN_OF_ALL = re.compile(r"map\.contact-\d+\.png")
CELLS = ".map.contact"
"""The folder of the small pictures that `map` makes contact sheets of."""
DRAWN_BY = "realm-engine map"
"""What these say of themselves in a PNG's text "Software", within the first `_HEAD_BYTES`."""
_HIDDEN, _NO_FILE, _OWN, _CIRCLE, _TWICE = (
    "hidden",
    "no regular file",
    "drawn by realm-engine map",
    "a link to a folder that it lies in",
    "a link to a folder that another link leads to",
)
_UNREADABLE = "of a kind that cannot be read ({}); save as PNG or JPEG"
_HEADS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"II*\x00",
    b"MM\x00*",
    b"II+\x00",
    b"MM\x00+",
)
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # sizes of the header after the file's own
_OTHER_KINDS = {
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"mif1": "HEIC",
    b"msf1": "HEIC",
    b"avif": "AVIF",
    b"avis": "AVIF",
}
_JPEG_XL = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n")


@dataclass(frozen=True)
class ImageFile:
    """One image to work on: where it lies, and the name by which results call it.

    Attributes:
        path: The file.
        name: POSIX path relative to the directory the user gave, where there are several to their common parent; the
            file name when one file was given.
        root: The directory the user gave, or the folder of the file.
    """

    path: Path
    name: str
    root: Path


@dataclass(frozen=True)
class LeftOut:
    """Something in a folder that is no image of the run although it may be a picture, and why."""

    path: Path
    why: str


@dataclass(frozen=True)
class Found:
    """The images of some paths, and what was left out of their folders."""

    files: tuple[ImageFile, ...]
    left_out: tuple[LeftOut, ...]

    def left_out_as(self, drawn: bool) -> Found:
        """The same with what is left out because `map` drew it alone, or with all else alone."""
        return replace(self, left_out=tuple(each for each in self.left_out if (each.why == _OWN) == drawn))

    def sentences(self) -> list[str]:
        """What was left out in words, a line for each reason, with the first names."""
        by_why: dict[str, list[str]] = {}
        for each in self.left_out:
            by_why.setdefault(each.why, []).append(each.path.as_posix())
        return [
            f"left out: {', '.join(names[:_NAMED])}"
            + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
            + f" ({why})"
            for why, names in by_why.items()
        ]


def find_images(path: str | os.PathLike[str]) -> list[Path]:
    """List the images under `path`: a file as it is, of a directory what `look_for_images` finds.

    Raises:
        ImageError: `path` does not exist or cannot be listed.
    """
    return _under(Path(path))[0]


def look_for_images(paths: Iterable[str | os.PathLike[str]], listed: Set[Path] = frozenset()) -> Found:
    """Find the images of several files and directories, in the order given, each path once.

    What is given as a file is taken as it is, a pipe too; "-" is the standard input. A directory is searched with all
    that lies in it and in folders that it links to, sorted by path, for files that are called like images
    (`EXTENSIONS`, any case) or are some by their first bytes; hidden ones are left out. Two names of one file are two
    images. One of `listed` that does not exist is an image that cannot be read.

    Raises:
        ImageError: a path does not exist, or there is not one image in all of them.
    """
    given = [Path(path) for path in paths]
    found: list[tuple[Path, str, Path]] = []  # file, its whole path, root
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    for start in given:
        files, others = ([start], []) if start in listed and not _exists(start) else _under(start)
        root = start if _is_folder(start) else start.parent
        left_out += others
        for file, absolute in zip(files, _absolute_paths(files, start), strict=True):
            if absolute not in seen:
                seen.add(absolute)
                found.append((file, absolute, root))
    if not found:
        where = ", ".join(str(start) for start in given)
        more = "".join(f"; {sentence}" for sentence in Found((), tuple(left_out)).sentences())
        wanted = ", ".join(sorted(suffix[1:] for suffix in EXTENSIONS))
        raise ImageError(
            f"{where}: no images found; give images or a directory that holds some ({wanted}){more}"
        )
    base = _common([root for *_, root in found])
    return Found(
        tuple(ImageFile(file, _name(absolute, base), root) for file, absolute, root in found), tuple(left_out)
    )


def collect_images(paths: Iterable[str | os.PathLike[str]]) -> list[ImageFile]:
    """The files of `look_for_images`. Raises ImageError."""
    return list(look_for_images(paths).files)


def _common(roots: Sequence[Path]) -> str | None:
    """The folder that names are relative to; None where there is none in common (two drives)."""
    try:
        return os.path.commonpath([_absolute(root) for root in dict.fromkeys(roots)])
    except ValueError:
        return None


def _hint(path: Path) -> str:
    """What was probably meant by a path that does not exist."""
    if re.match(r"[a-z][a-z0-9+]+:/", str(path)):
        return "; nothing is fetched here: save the picture and give its file"
    try:
        beside = [entry.name for entry in itertools.islice(os.scandir(path.parent), _BESIDE)]
    except OSError:
        return ""
    return did_you_mean(path.name, beside)


def _exists(path: Path) -> bool:
    """Path.exists raises where a name is longer than any can be."""
    return os.path.exists(path)  # noqa: PTH110


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - as for `_exists`


def _absolute(path: Path) -> str:
    """The whole path, links as they are called: two names of one file are two."""
    return os.path.abspath(path)  # noqa: PTH100 - resolve() follows links


def _absolute_paths(files: Sequence[Path], start: Path) -> list[str]:
    """`_absolute` of the files under `start`. A hundred thousand times that itself took seconds."""
    if not _is_folder(start):
        return [_absolute(file) for file in files]
    one = start / "x"
    whole, written = _absolute(one)[:-1], len(str(one)) - 1
    return [whole + str(file)[written:] for file in files]


def _name(absolute: str, base: str | None) -> str:
    if absolute == str(_STDIN_FILE):
        return "stdin"
    name = absolute if base is None else absolute[len(base) :].lstrip(os.sep)
    return name.replace(os.sep, "/")


def _under(start: Path) -> tuple[list[Path], list[LeftOut]]:
    if str(start) == STDIN:
        if not _STDIN_FILE.exists():
            raise ImageError(f"{STDIN}: there is no standard input here; give a file")
        return [_STDIN_FILE], []
    if _is_folder(start):
        files: list[Path] = []
        left_out: list[LeftOut] = []
        for path, why in _walk(start, (), set()):
            if why is None:
                files.append(path)
            else:
                left_out.append(LeftOut(path, why))
        files.sort(key=Path.as_posix)
        left_out.sort(key=lambda each: each.path.as_posix())
        return files, left_out
    if not _exists(start):
        raise ImageError(f"{start}: no such file or directory{_hint(start)}")
    return [start], []


def _walk(
    folder: Path, above: tuple[tuple[int, int], ...], linked: set[tuple[int, int]]
) -> Iterator[tuple[Path, str | None]]:
    """Images in a folder, with None, and what is left out, with the reason.

    `above`: the folders that it lies in; `linked`: those that links have led to.
    """
    try:
        own = _identity(folder)
        listed = list(os.scandir(folder))
    except OSError as error:
        raise ImageError(f"{folder}: cannot be listed ({error.strerror})") from error
    names = {entry.name for entry in listed}
    for entry in listed:
        path = folder / entry.name
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError:  # a link to itself
            is_folder = is_file = False
        if is_folder:
            why = _OWN if entry.name == CELLS else _HIDDEN if entry.name.startswith(".") else None
            if why is None and entry.is_symlink():
                target = _identity(path)
                why = _CIRCLE if target in (*above, own) else _TWICE if target in linked else None
                linked.add(target)
            if why is None:
                yield from _walk(path, (*above, own), linked)
            else:
                yield path, why
        elif is_file and _is_drawn(path, names):
            yield path, _OWN
        elif is_file:
            yield from _file(path, entry.name)
        elif path.suffix.lower() in EXTENSIONS:
            # A link that leads nowhere is an image that cannot be read; a pipe would be waited for.
            yield path, None if entry.is_symlink() and not path.exists() else _NO_FILE


def _is_drawn(path: Path, beside: Set[str]) -> bool:
    """Whether `map` made a picture, which is none to look at again: it says so, or its record lies beside it."""
    if not path.name.endswith(".png"):
        return False
    ends = [end for end in _DRAWN if path.name.endswith(end)]
    if any(path.name.removesuffix(end) + ".json" in beside for end in ends):
        return True
    own = bool(ends) or _DRAWN_OF_ALL.fullmatch(path.name) is not None
    return own and b"Software\0" + DRAWN_BY.encode() in _head(path)


def _file(path: Path, name: str) -> Iterator[tuple[Path, str | None]]:
    suffix = path.suffix.lower()
    if suffix in EXTENSIONS and not name.startswith("."):
        yield path, None
        return
    kind = kind_of(_head(path))
    if kind is None:
        return
    if name.startswith("."):
        yield path, _HIDDEN
    elif suffix in _RAW:
        yield path, _UNREADABLE.format("camera raw")
    else:
        yield path, _UNREADABLE.format(kind) if kind else None


def kind_of(head: bytes) -> str | None:
    """What the first bytes of a file say: "" for an image that can be read, a name for another, None for no image."""
    if head.startswith(_HEADS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return ""
    if head[:2] == b"BM" and len(head) >= 18 and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return ""
    if head[4:8] == b"ftyp":
        return _OTHER_KINDS.get(head[8:12])
    return "JPEG XL" if head.startswith(_JPEG_XL) and len(head) > 4 else None


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_HEAD_BYTES)
    except OSError:  # nothing says that it is a picture
        return b""


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
