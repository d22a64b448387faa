"""The files of a map: overlay, heat map, values and a JSON record, one set per image."""

import hashlib
import io
import json
import math
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from realm_engine.arrays import UInt8
from realm_engine.errors import UsageError
from realm_engine.machine.files import check_folder, write_atomically
from realm_engine.machine.packages import engine_version
from realm_engine.maps import render
from realm_engine.maps.coco import coco_summary
from realm_engine.maps.contact import cell
from realm_engine.maps.figure import Caption, Drawing, draw, overlay, panel
from realm_engine.maps.picture_map import PictureMap
from realm_engine.pictures.find import CELLS, DRAWN_BY

LONGEST_STEM_BYTES = 255 - len(".overlay.png") - 1
DEFAULT_FORMATS = ("overlay", "heatmap", "npy", "json")
_SUFFIXES = {
    "overlay": ".overlay.png",
    "heatmap": ".heatmap.png",
    "npy": ".npy",
    "json": ".json",
    "panel": ".panel.png",
}
_OF_A_RUN = ("contact", "coco")
FORMATS = (*_SUFFIXES, *_OF_A_RUN)
_RESERVED = ("map.coco",)  # stems whose record would be a file of the run
# What a map that is saved by hand may be called beside these, and Pillow's word for it.
_OVERLAYS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


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
        uses = Counter(stem.casefold() for stem in (*stems, *_RESERVED))
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
        formats: Collection[str] = DEFAULT_FORMATS,
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
        self.limits = limits
        self.regions = regions

    def paths(self, stem: str) -> dict[str, Path]:
        """Where the files of a map lie, by format; for contact sheets that is its small picture."""
        found = {name: self.folder / f"{stem}{_SUFFIXES[name]}" for name in self.formats if name in _SUFFIXES}
        if "contact" in self.formats:
            found["contact"] = self.folder / CELLS / f"{stem}.png"
        return found

    def summary(self, result: PictureMap) -> str | None:
        """What the files of the whole run need of a map beside its own; None where none are asked for."""
        return coco_summary(result, self.regions) if set(self.formats) & set(_OF_A_RUN) else None

    def write(
        self,
        stem: str,
        image: UInt8,
        result: PictureMap,
        facts: Mapping[str, Any],
        caption: Caption | None = None,
    ) -> list[Path]:
        """Write the files of one map as `<folder>/<stem>.<...>` and return their paths.

        `facts` go into the JSON beside what the map itself tells, `caption` into the pictures.

        Raises:
            OutputError: a file cannot be written.
        """
        paths = self.paths(stem)
        for parent in {path.parent for path in paths.values()}:
            if parent != self.folder:
                check_folder(parent)
        content = Content(result, image, self.limits, self.regions, caption or Caption(), facts)
        for name, path in paths.items():
            write_atomically(path, content.of(name))
        return list(paths.values())


class Content:
    """What the files of one map hold, by format."""

    def __init__(
        self,
        result: PictureMap,
        image: UInt8 | None,
        limits: tuple[float, float] | None,
        regions: int | None,
        caption: Caption,
        facts: Mapping[str, Any],
    ) -> None:
        """`image`: uint8 RGB, the picture of the map; what does not show it needs none. See `MapFolder` for others."""
        self._result, self._image, self._regions = result, image, regions
        self._limits = limits or colour_limits(result)
        self._caption, self._facts = caption, facts

    def of(self, name: str) -> bytes:
        """The content of the file of a format. Raises KeyError for one that does not exist."""
        if name == "npy":
            stream = io.BytesIO()
            np.save(stream, self._result.values, allow_pickle=False)
            return stream.getvalue()
        if name == "json":
            record = {**self._facts, **map_record(self._result, self._limits, self._regions)}
            return (json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode(
                "utf-8", "backslashreplace"
            )
        if name == "heatmap":
            found = self._result
            return png_bytes(
                Image.fromarray(
                    render.heatmap(found.values, found.legend, found.covered, self._limits, found.step_px)
                )
            )
        return png_bytes(self.drawn(name))

    def drawn(self, name: str) -> Image.Image:
        """The overlay, the panel, or the small picture of a contact sheet."""
        if name == "contact":
            assert self._image is not None
            return cell(self._result, self._image, self._limits, self._regions, self._caption)
        make = {"overlay": overlay, "panel": panel}[name]
        return make(self._drawing, self._result, self._limits, self._caption)

    @cached_property
    def _drawing(self) -> Drawing:
        assert self._image is not None
        return draw(self._result, self._image, self._limits, self._regions)


def save(result: PictureMap, path: str | os.PathLike[str], title: str | None, score: str) -> None:
    """See `PictureMap.save`."""
    target = Path(path)
    kinds = {**{suffix: kind for kind, suffix in _SUFFIXES.items()}, **dict.fromkeys(_OVERLAYS, "overlay")}
    name = target.name.lower()
    kind = next((kinds[ending] for ending in kinds if name.endswith(ending)), None)
    if kind is None:
        raise UsageError(f"{target}: a map is saved as {', '.join(sorted(kinds))}, by the ending of the name")
    if kind in ("overlay", "panel") and result.image is None:
        raise UsageError(f"{target}: this map does not hold its picture; draw it with overlay(image=...)")
    caption = Caption(result.name if title is None else title, score)
    facts = {"image": result.name, "engine_version": engine_version()}
    content = Content(result, result.image, None, None, caption, facts)
    if kind == "overlay" and not name.endswith(".png"):
        stream = io.BytesIO()
        content.drawn(kind).save(stream, _OVERLAYS[target.suffix.lower()], quality=92)
        write_atomically(target, stream.getvalue())
    else:
        write_atomically(target, content.of(kind))


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


def png_bytes(picture: Image.Image) -> bytes:
    """A PNG that says at its beginning what drew it, so that a later run does not look at it (`find.DRAWN_BY`)."""
    stream, words = io.BytesIO(), PngInfo()
    words.add_text("Software", DRAWN_BY)
    picture.save(stream, "PNG", compress_level=4, pnginfo=words)
    return stream.getvalue()
