"""The files of a map: overlay, heat map, values and a JSON record, one set per image."""

import hashlib
import io
import json
import math
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from realm_engine.arrays import UInt8
from realm_engine.errors import UsageError
from realm_engine.machine.files import check_folder, write_atomically
from realm_engine.maps import render
from realm_engine.maps.picture_map import PictureMap
from realm_engine.pictures.find import DRAWN_BY

LONGEST_STEM_BYTES = 255 - len(".overlay.png") - 1
FORMATS = ("overlay", "heatmap", "npy", "json")
_SUFFIXES = {"overlay": ".overlay.png", "heatmap": ".heatmap.png", "npy": ".npy", "json": ".json"}


def parse_formats(text: str) -> tuple[str, ...]:
    """Read a comma-separated list of formats.

    Raises:
        UsageError: it names none, or one that does not exist.
    """
    formats = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise UsageError(f"--format {text}: choose one or more of {','.join(FORMATS)}")
    return formats


def output_stems(names: Sequence[str]) -> list[str]:
    """Output paths without extension for image names (POSIX, relative), no two alike.

    Subfolders stay; `a.png` becomes `a`. Where two images of a folder share a stem, both keep their extension
    (`a.png`, `a.jpg`). A name that leaves the folder (`/x/a.png`, `../a.png`) loses what leads out of it.
    Names that differ in case only count as alike, as they do on many file systems.
    """
    inside = [
        PurePosixPath(*(part for part in PurePosixPath(name).parts if part not in ("/", "..", ".")))
        for name in names
    ]
    stems = [path.with_suffix("").as_posix() for path in inside]
    for candidates in ([path.as_posix() for path in inside], None):
        uses = Counter(stem.casefold() for stem in stems)
        stems = [
            stem
            if uses[stem.casefold()] == 1
            else (candidates[index] if candidates is not None else f"{stem}.{index + 1}")
            for index, stem in enumerate(stems)
        ]
    return [_short(stem) for stem in stems]


def _short(stem: str) -> str:
    """A path whose parts leave room for an ending in what file systems allow; a digest stands for what is cut off."""
    return "/".join(
        part
        if len(os.fsencode(part)) <= LONGEST_STEM_BYTES
        else os.fsdecode(os.fsencode(part)[: LONGEST_STEM_BYTES - 17].decode("utf-8", "ignore").encode())
        + "-"
        + hashlib.sha256(os.fsencode(part)).hexdigest()[:16]
        for part in stem.split("/")
    )


class MapFolder:
    """A folder that maps are written to; every file is complete or not there at all."""

    def __init__(
        self,
        folder: Path,
        formats: Collection[str] = FORMATS,
        limits: tuple[float, float] | None = None,
        regions: int | None = None,
    ) -> None:
        """Check the folder, making it if need be.

        Args:
            folder: Where to write.
            formats: Which of `FORMATS`.
            limits: Values at the ends of the colour map, the same for all pictures; None: each map's own.
            regions: How many of the most unreal regions to frame and to list; None: as many as the bundle says.

        Raises:
            UsageError: the limits are not two increasing numbers.
            OutputError: nothing can be written there.
        """
        if limits is not None and not limits[0] < limits[1] < math.inf:
            raise UsageError(
                f"--range {limits[0]:g} {limits[1]:g}: give the lower value first, then the higher"
            )
        check_folder(folder)
        self.folder = folder
        self.formats = tuple(formats)
        self._limits = limits
        self._regions = regions

    def paths(self, stem: str) -> dict[str, Path]:
        """Where the files of a map lie, by format."""
        return {name: self.folder / f"{stem}{_SUFFIXES[name]}" for name in self.formats}

    def write(self, stem: str, image: UInt8, result: PictureMap, facts: Mapping[str, Any]) -> list[Path]:
        """Write the files of one map as `<folder>/<stem>.<...>` and return their paths.

        `facts` go into the JSON beside what the map itself tells.

        Raises:
            OutputError: a file cannot be written.
        """
        paths = self.paths(stem)
        for parent in {path.parent for path in paths.values()}:
            if parent != self.folder:
                check_folder(parent)
        limits = self._limits or colour_limits(result)
        for name, path in paths.items():
            write_atomically(path, self._content(name, image, result, limits, facts))
        return list(paths.values())

    def _content(
        self,
        name: str,
        image: UInt8,
        result: PictureMap,
        limits: tuple[float, float],
        facts: Mapping[str, Any],
    ) -> bytes:
        legend = result.legend
        if name == "npy":
            stream = io.BytesIO()
            np.save(stream, result.values, allow_pickle=False)
            return stream.getvalue()
        if name == "json":
            record = {**facts, **map_record(result, limits, self._regions)}
            return (json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode(
                "utf-8", "backslashreplace"
            )
        if name == "heatmap":
            return _png(render.heatmap(result.values, legend, result.covered, limits))
        boxes = [(r.x, r.y, r.width, r.height) for r in result.regions(self._regions)]
        return _png(render.overlay(image, result.values, legend, result.covered, limits, boxes))


def colour_limits(result: PictureMap) -> tuple[float, float]:
    """The values at the ends of a map's colours: those that it knows of itself, else the range of its values."""
    return result.own_limits or render.colour_limits(result.values, result.covered)


def map_record(result: PictureMap, limits: tuple[float, float], regions: int | None = None) -> dict[str, Any]:
    """Everything a map knows about itself, ready for JSON: parameters, statistics and regions."""
    height, width = result.values.shape
    return {
        "quantity": result.legend.quantity,
        "meaning": result.legend.meaning,
        "width_px": width,
        "height_px": height,
        **result.facts(),
        "statistics": result.statistics(),
        "colour_limits": list(limits),
        "regions": [asdict(region) for region in result.regions(regions)],
    }


def _png(picture: UInt8) -> bytes:
    """A PNG that says at its beginning what drew it, so that a later run does not look at it (`find.DRAWN_BY`)."""
    stream, words = io.BytesIO(), PngInfo()
    words.add_text("Software", DRAWN_BY)
    Image.fromarray(picture).save(stream, "PNG", compress_level=4, pnginfo=words)
    return stream.getvalue()
