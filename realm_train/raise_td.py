"""Rated images with descriptions: RAISE-TD in REALM's layout, or a folder of one's own in the same form.

    <root>/train/images/*      <root>/train/image_descriptions.csv
    <root>/test/images/*       <root>/test/image_descriptions.csv

A folder of one's own may leave out the level of `train`, and keep the images beside the CSV. The CSV has
the columns `filename`, `description` and one of `MOS` (z-score) and `rating` (0-100).
"""

import csv
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from realm_engine.arrays import UInt8
from realm_engine.machine import csv_files
from realm_engine.pictures.decode import load_image
from realm_engine.pictures.find import EXTENSIONS
from realm_train.errors import DataError

CSV_NAME = "image_descriptions.csv"
RATING_OFFSET = 64.010578006
RATING_SLOPE = 17.349906357


_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Row:
    """One rated image: the name it has in the CSV, its file, MOS as a z-score, description ("" if none)."""

    filename: str
    path: Path
    mos: float
    description: str


def rating_to_mos(rating: float) -> float:
    """A 0-100 rating as MOS (z-score)."""
    return (rating - RATING_OFFSET) / RATING_SLOPE


def mos_to_rating(mos: float) -> float:
    """MOS (z-score) as a 0-100 rating; not clipped."""
    return RATING_OFFSET + RATING_SLOPE * mos


def split_folder(root: Path | str, split: str) -> Path | None:
    """The folder of "train" or "test"; a flat folder is its own "train". None if there is no such split.

    Raises:
        DataError: `root` is not a folder, or holds no data set at all.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the folder that holds train/{CSV_NAME}")
    if (root / split / CSV_NAME).is_file():
        return root / split
    if split == "train":
        if (root / CSV_NAME).is_file():
            return root
        raise DataError(f"{root}: has neither train/{CSV_NAME} nor {CSV_NAME}")
    return None


def read_split(root: Path | str, split: str = "train") -> list[Row]:
    """Read and check one split, in CSV order.

    Raises:
        DataError: The split or one of its files is missing, or the CSV is wrong; names the file and the line.
    """
    folder = split_folder(root, split)
    if folder is None:
        raise DataError(f"{root}: has no {split}/{CSV_NAME}")
    images = folder / "images"
    return read_csv(folder / CSV_NAME, images if images.is_dir() else folder)


def pictures_alone(root: Path | str) -> list[Row]:
    """The pictures of a folder that has no CSV, by name, unrated and without descriptions; none if it has one."""
    root = Path(root)
    if not root.is_dir() or any((root / name).exists() for name in (CSV_NAME, "train", "test")):
        return []
    paths = sorted(path for path in root.iterdir() if path.suffix.lower() in EXTENSIONS and path.is_file())
    return [Row(path.name, path, math.nan, "") for path in paths]


def read_csv(path: Path, images: Path) -> list[Row]:
    """Read a description CSV whose images lie in `images`; see `read_split`."""
    find = _finder(images)
    rows: list[Row] = []
    lines: dict[str, int] = {}
    files: dict[Path, int] = {}
    try:
        header, records = csv_files.read_csv(csv_files.text_of(path.read_bytes()))
        value_column = _check_header(path, header)
        for line, cells in records:
            where = f"{path}, line {line}"
            row = _read_row(header, cells, value_column, where, find)
            if row.filename in lines:
                raise DataError(
                    f"{where}: {row.filename} is already in line {lines[row.filename]}; remove one"
                )
            if row.path in files:
                raise DataError(
                    f"{where}: {row.filename} is the same image as line {files[row.path]}; remove one"
                )
            lines[row.filename] = files[row.path] = line
            rows.append(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 CSV ({error})") from error
    if not rows:
        raise DataError(f"{path}: has a header but no rows")
    return rows


def _check_header(path: Path, columns: Sequence[str]) -> str:
    for name in ("filename", "description"):
        if name not in columns:
            raise DataError(f"{path}, line 1: no column {name!r}; found {', '.join(columns) or 'nothing'}")
    for name in ("MOS", "rating"):
        if name in columns:
            return name
    raise DataError(f"{path}, line 1: no column 'MOS' or 'rating'; found {', '.join(columns)}")


def _read_row(
    header: Sequence[str],
    cells: Sequence[str],
    value_column: str,
    where: str,
    find: Callable[[str, str], Path],
) -> Row:
    if len(cells) > len(header):
        raise DataError(f"{where}: more cells than columns; put descriptions with commas in double quotes")
    if len(cells) < len(header):
        raise DataError(f"{where}: fewer cells than columns")
    record = dict(zip(header, cells, strict=True))
    filename = record["filename"].strip()
    text = record[value_column].strip()
    if not filename:
        raise DataError(f"{where}: filename is empty")
    try:
        value = csv_files.number_of(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: {value_column} is {text!r}, expected a number")
    if value_column == "rating" and not 0 <= value <= 100:
        raise DataError(f"{where}: rating is {text}, expected 0 to 100")
    mos = rating_to_mos(value) if value_column == "rating" else value
    description = record["description"].strip()
    return Row(filename, find(filename, where), mos, "" if csv_files.is_blank(description) else description)


def _finder(images: Path) -> Callable[[str, str], Path]:
    """Look up a file name in a folder: exact first, then by stem in any image format."""
    exact: dict[str, Path] = {}
    stems: dict[str, list[Path]] = {}
    for path in sorted(images.iterdir()) if images.is_dir() else []:
        if path.suffix.lower() in EXTENSIONS:
            exact[path.name] = path
            stems.setdefault(path.stem, []).append(path)

    def find(filename: str, where: str) -> Path:
        if filename in exact:
            return exact[filename]
        name = Path(filename)
        stem = name.stem if name.suffix.lower() in EXTENSIONS else name.name
        found = stems.get(stem, [])
        if len(found) > 1:
            raise DataError(
                f"{where}: {filename} could be {' or '.join(path.name for path in found)}; name one"
            )
        if not found:
            raise DataError(f"{where}: no image {filename} (nor another format of it) in {images}")
        return found[0]

    return find


def load_pixels(
    rows: Sequence[Row],
    height_px: int,
    width_px: int,
    interpolation: str = "bilinear",
    margin: float = 1.0,
    threads: int = 4,
    done: Callable[[], None] | None = None,
) -> tuple[list[UInt8], list[UInt8]]:
    """Decode every image once, resized for a model, to keep in memory.

    Args:
        rows: What to load.
        height_px: Height the model takes.
        width_px: Width the model takes.
        interpolation: "bilinear" or "bicubic": PIL's, antialiased; the aspect ratio is not kept.
        margin: Keep a second version with up to this much more resolution for crops, but never more than the
            file has.
        threads: Decoders at once.
        done: Called after each image.

    Returns:
        uint8 RGB arrays in the order of `rows`: exactly (height_px, width_px, 3), what the engine computes;
        and the larger version, which is the same array where the file or `margin` gives no more.

    Raises:
        ImageError: An image cannot be decoded; names the file.
    """

    def load(row: Row) -> tuple[UInt8, UInt8]:
        decoded = load_image(row.path)
        exact = resize(decoded, height_px, width_px, interpolation)
        height = max(height_px, min(decoded.shape[0], round(height_px * margin)))
        width = max(width_px, min(decoded.shape[1], round(width_px * margin)))
        larger = (height, width) != (height_px, width_px)
        return exact, resize(decoded, height, width, interpolation) if larger else exact

    with ThreadPoolExecutor(max(1, threads)) as pool:
        pairs = []
        for pair in pool.map(load, rows):
            pairs.append(pair)
            if done is not None:
                done()
    return [exact for exact, _ in pairs], [larger for _, larger in pairs]


def resize(pixels: UInt8, height_px: int, width_px: int, interpolation: str = "bilinear") -> UInt8:
    """PIL's antialiased resize of uint8 RGB (H, W, 3); the array itself where the size is right."""
    if pixels.shape[:2] == (height_px, width_px):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width_px, height_px), _FILTERS[interpolation]))
