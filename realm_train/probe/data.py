"""Pictures that are known to be photographs or generated, and folds that keep what belongs together on one side.

<root>/real/SOURCE/...     <root>/fake/SOURCE/...       folders; SOURCE is a camera, a data set, a generator
labels.csv                                              filename,label,source[,group]; label is real or fake
<root>/[train/]image_descriptions.csv                   RAISE-TD: r* are photographs, f* generated
"""

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from realm_engine.arrays import Bool
from realm_engine.errors import ImageError
from realm_engine.machine import csv_files
from realm_engine.pictures.find import look_for_images
from realm_train import raise_td
from realm_train.errors import DataError
from realm_train.splits import Split

LABELS = {"real": False, "fake": True}
_COLUMNS = ("filename", "label", "source")
_RAISE_TD = {"r*": ("photographs", False), "f*": ("generated", True)}


@dataclass(frozen=True)
class Labelled:
    """A picture of which it is known what it is.

    Attributes:
        path: The file.
        fake: Whether it was generated.
        source: Where it comes from: a camera, a data set, a generator.
        group: Pictures of one group (a scene, a prompt, the same bytes) never straddle a fold. A picture alone is
            its own group.
    """

    path: Path
    fake: bool
    source: str
    group: str


def read_labelled(root: Path | str) -> tuple[Labelled, ...]:
    """Read labelled pictures: a CSV, a folder with `real/` and `fake/`, or RAISE-TD.

    Copies of one file become one group.

    Raises:
        DataError: there is no such data, the CSV is wrong (names file and line), there is no picture of a label, or a
            file is both real and fake.
    """
    root = Path(root)
    if root.is_file():
        pictures = _read_csv(root)
    elif any((root / label).is_dir() for label in LABELS):
        pictures = _read_folders(root)
    elif (root / raise_td.CSV_NAME).is_file() or (root / "train" / raise_td.CSV_NAME).is_file():
        pictures = _read_raise_td(root)
    elif root.is_dir():
        raise DataError(
            f"{root}: has neither real/ and fake/ nor {raise_td.CSV_NAME}; put pictures into real/SOURCE/ and "
            f"fake/SOURCE/, or give a CSV with the columns {', '.join(_COLUMNS)}"
        )
    else:
        raise DataError(f"{root}: no such file or folder; give a folder with real/ and fake/, or a CSV")
    for label, fake in LABELS.items():
        if not any(picture.fake == fake for picture in pictures):
            raise DataError(f"{root}: has no {label} pictures; a probe needs both kinds")
    return _copies_in_one_group(pictures)


def read_photographs(folder: Path) -> tuple[Labelled, ...]:
    """Pictures of a folder, all of them real; the folder's name is their source.

    Raises:
        DataError: there is none.
    """
    try:
        found = look_for_images([folder]).files
    except ImageError as error:
        raise DataError(str(error)) from error
    return tuple(Labelled(file.path, False, folder.resolve().name, str(file.path)) for file in found)


def together(parts: Iterable[Sequence[Labelled]]) -> tuple[Labelled, ...]:
    """Pictures of several places; copies of one file, wherever they lie, become one group.

    Raises:
        DataError: a file is both real and fake.
    """
    return _copies_in_one_group([picture for part in parts for picture in part])


def labels(pictures: Sequence[Labelled]) -> Bool:
    """Whether each is fake: bool [N]."""
    return np.array([picture.fake for picture in pictures], dtype=bool)


def folds(pictures: Sequence[Labelled], count: int, seed: int = 42) -> list[Split]:
    """Folds stratified by label, as row numbers of `pictures`; the rows of one group are never on both sides.

    Raises:
        DataError: fewer than 2 folds, or a label has fewer groups than there are folds.
    """
    if count < 2:
        raise DataError(f"cross-validation needs at least 2 folds, not {count}")
    for label, fake in LABELS.items():
        groups = {picture.group for picture in pictures if picture.fake == fake}
        if len(groups) < count:
            raise DataError(
                f"{len(groups)} groups of {label} pictures cannot be split into {count} folds; give at least {count}"
            )
    is_fake, groups_of = labels(pictures), [picture.group for picture in pictures]
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    splits = [
        Split(tuple(map(int, train)), tuple(map(int, held_out)))
        for train, held_out in splitter.split(np.zeros(len(pictures)), is_fake, groups_of)
    ]
    for split in splits:
        for side in (split.train, split.validation):
            if len({bool(is_fake[row]) for row in side}) < 2:
                raise DataError(
                    f"{count} folds leave one with a single label, so large are the groups; take fewer folds"
                )
    return splits


def _read_folders(root: Path) -> list[Labelled]:
    pictures = []
    for label, fake in LABELS.items():
        folder = root / label
        if not folder.is_dir():
            raise DataError(
                f"{folder}: no such folder; a probe needs pictures in real/SOURCE/ and fake/SOURCE/"
            )
        try:
            found = look_for_images([folder])
        except ImageError as error:
            raise DataError(str(error)) from error
        for file in found.files:
            source, _, below = file.name.partition("/")
            if not below:
                raise DataError(
                    f"{file.path}: lies in {label}/ itself; put it into a folder that says where it comes from, "
                    f"such as {label}/camera"
                )
            pictures.append(Labelled(file.path, fake, source, str(file.path)))
    return pictures


def _read_raise_td(root: Path) -> list[Labelled]:
    pictures = []
    for row in raise_td.read_split(root):
        found = next((kind for pattern, kind in _RAISE_TD.items() if fnmatch(row.filename, pattern)), None)
        if found is None:
            raise DataError(
                f"{row.path}: its name begins neither with r (a photograph) nor with f (generated); "
                f"give a CSV with the columns {', '.join(_COLUMNS)}"
            )
        source, fake = found
        pictures.append(Labelled(row.path, fake, source, str(row.path)))
    return pictures


def _read_csv(path: Path) -> list[Labelled]:
    pictures: list[Labelled] = []
    lines: dict[Path, int] = {}
    try:
        header, records = csv_files.read_csv(csv_files.text_of(path.read_bytes()))
        for name in _COLUMNS:
            if name not in header:
                raise DataError(f"{path}, line 1: no column {name!r}; found {', '.join(header) or 'nothing'}")
        for line, cells in records:
            where = f"{path}, line {line}"
            if len(cells) != len(header):
                more = "more" if len(cells) > len(header) else "fewer"
                raise DataError(f"{where}: {more} cells than columns")
            picture = _read_row(dict(zip(header, map(str.strip, cells), strict=True)), path.parent, where)
            if picture.path in lines:
                raise DataError(
                    f"{where}: {picture.path} is already in line {lines[picture.path]}; remove one"
                )
            lines[picture.path] = line
            pictures.append(picture)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 CSV ({error})") from error
    if not pictures:
        raise DataError(f"{path}: has a header but no rows")
    return pictures


def _read_row(record: Mapping[str, str], folder: Path, where: str) -> Labelled:
    filename, label, source = (record[name] for name in _COLUMNS)
    if label.lower() not in LABELS:
        raise DataError(f"{where}: label is {label!r}, expected real or fake")
    for name in ("filename", "source"):
        if csv_files.is_blank(record[name]):
            raise DataError(f"{where}: {name} is empty")
    path = folder / filename
    if not path.is_file():
        raise DataError(f"{where}: no image {path}")
    group = record.get("group", "")
    own = csv_files.is_blank(group)
    return Labelled(path, LABELS[label.lower()], source, str(path) if own else group)


def _copies_in_one_group(pictures: Sequence[Labelled]) -> tuple[Labelled, ...]:
    """Files with the same bytes are one picture: their groups become one. Raises DataError where labels differ."""
    by_size: defaultdict[int, list[Labelled]] = defaultdict(list)
    for picture in pictures:
        by_size[picture.path.stat().st_size].append(picture)
    first: dict[bytes, Labelled] = {}
    joined: dict[str, str] = {}

    def leader(group: str) -> str:
        while group in joined:
            group = joined[group]
        return group

    for picture in (each for same in by_size.values() if len(same) > 1 for each in same):
        with picture.path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").digest()
        copy = first.setdefault(content, picture)
        if copy.fake != picture.fake:
            raise DataError(
                f"{picture.path}: the same file as {copy.path}, which has the other label; remove one"
            )
        group, other = leader(picture.group), leader(copy.group)
        if group != other:
            joined[group] = other
    return tuple(replace(picture, group=leader(picture.group)) for picture in pictures)
