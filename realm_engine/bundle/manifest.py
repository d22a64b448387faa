"""`bundle.json` as frozen dataclasses: every field checked once, with an error that names the field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from realm_engine.errors import BundleError

FORMAT = "realm-bundle"
FORMAT_MAJOR, FORMAT_MINOR = 1, 4
INTERPOLATIONS = ("bilinear", "bicubic")
# Beyond these a resample matrix, or the ids of one text, would fill the memory.
MOST_PIXELS = 1 << 14
MOST_TOKENS = 1 << 16
MOST = (1 << 31) - 1
MOST_POINTS = 1 << 12  # of a list of numbers
MOST_SIZES = 64  # of a list of whole numbers: windows, buckets, cells
MOST_NUMBER = 1e12  # further from 0 than any range, slope or deviation of a measure
MOST_FILES = 128
MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a graph; a dimension is a number, or a name when it is free."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class GraphSpec:
    """One graph: its files by precision and its interface, the same in every precision.

    `devices`: files by precision that are made for one device, by the device; it takes them instead.
    """

    name: str
    variants: Mapping[str, str]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    devices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def files(self) -> frozenset[str]:
        """All of them."""
        made_for = (file for own in self.devices.values() for file in own.values())
        return frozenset((*self.variants.values(), *made_for))

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return tuple(tensor.name for tensor in self.inputs)

    def output(self, name: str) -> TensorSpec | None:
        """The output called `name`, None where the manifest does not list it."""
        return next((tensor for tensor in self.outputs if tensor.name == name), None)


@dataclass(frozen=True)
class TextSpec:
    """How text becomes token ids: tokenizer file, limit and the lengths ids are padded to."""

    tokenizer: str
    max_tokens: int
    pad_id: int
    fixed_length: bool
    buckets: tuple[int, ...]


class Section:
    """A JSON object of the manifest together with the place it stands, for errors that name both."""

    def __init__(self, data: Any, where: str) -> None:
        if not isinstance(data, dict):
            raise BundleError(f"{where} must be a JSON object; export the bundle again")
        self.data: dict[str, Any] = data
        self.where = where

    def get(self, key: str, kind: type | tuple[type, ...]) -> Any:
        """The value at `key`, which must be there and of that kind (a bool is no number)."""
        value = self.data.get(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            state = "missing" if key not in self.data else f"{shown(value)}, of the wrong kind"
            raise BundleError(f"{self.where}: '{key}' is {state}; export the bundle again")
        return value

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = str(self.get(key, str))
        if not value:
            raise BundleError(f"{self.where}: '{key}' is empty; export the bundle again")
        return value

    def whole(self, key: str, least: int, most: int) -> int:
        """A whole number within limits."""
        value = int(self.get(key, int))
        if value < least:
            raise BundleError(
                f"{self.where}: '{key}' is {shown(value)}, below {least}; export the bundle again"
            )
        if value > most:
            raise BundleError(
                f"{self.where}: '{key}' is {shown(value)}, above {most}; export the bundle again"
            )
        return value

    def positive(self, key: str, most: int = MOST) -> int:
        """A whole number of at least 1."""
        return self.whole(key, 1, most)

    def number(self, key: str, otherwise: float | None = None) -> float:
        """A number of at most `MOST_NUMBER`, to either side; `otherwise` where there is no such key."""
        if otherwise is not None and key not in self.data:
            return otherwise
        value = self.get(key, (int, float))
        if not _is_number(value):
            raise BundleError(
                f"{self.where}: '{key}' is {shown(value)}, no number within +- {MOST_NUMBER:g}; export the bundle again"
            )
        return float(value)

    def positives(self, key: str) -> tuple[int, ...]:
        """A non-empty list of whole numbers of at least 1, at most `MOST_SIZES`."""
        values = self.get(key, list)
        whole = all(isinstance(v, int) and not isinstance(v, bool) and 1 <= v <= MOST for v in values)
        if not 1 <= len(values) <= MOST_SIZES or not whole:
            raise BundleError(
                f"{self.where}: '{key}' must list 1 to {MOST_SIZES} whole numbers from 1 to {MOST}; export it again"
            )
        return tuple(values)

    def numbers(self, key: str) -> tuple[float, ...]:
        """A non-empty list of numbers as `number`, at most `MOST_POINTS`."""
        values = self.get(key, list)
        if not 1 <= len(values) <= MOST_POINTS or not all(map(_is_number, values)):
            raise BundleError(
                f"{self.where}: '{key}' must list 1 to {MOST_POINTS} finite numbers, within +- {MOST_NUMBER:g}; "
                "export the bundle again"
            )
        return tuple(float(value) for value in values)

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """One of the given words."""
        value = str(self.get(key, str))
        if value not in choices:
            raise BundleError(f"{self.where}: '{key}' is {shown(value)}, must be one of {', '.join(choices)}")
        return value

    def section(self, key: str) -> Section:
        """The JSON object at `key`."""
        return Section(self.data.get(key), f"{self.where}, '{key}'")

    def section_items(self) -> list[tuple[str, Section]]:
        """The JSON objects in this one, with their names."""
        return [(name, self.section(name)) for name in self.data]

    def sections(self, key: str) -> dict[str, Section]:
        """The JSON objects inside the object at `key`, by name; none where there is no such object."""
        return dict(self.section(key).section_items()) if key in self.data else {}


def shown(value: Any) -> str:
    """A value of the manifest as errors quote it, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        return "a number of thousands of digits"
    except RecursionError:
        return "something nested too deep"
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."


_MOST_SHOWN = 120


def _is_number(value: Any) -> bool:
    """Whether it is a number (no bool) within the limits, NaN being in none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= MOST_NUMBER


def safe_relative(path: Any, where: str) -> str:
    """Return `path` when it is a plain relative POSIX path that cannot leave its folder.

    Raises BundleError for an absolute path, a drive, a backslash, or a `..` part.
    """
    plain = isinstance(path, str) and path and "\\" not in path and "\0" not in path
    if plain and not PureWindowsPath(path).drive:
        parts = PurePosixPath(path)
        if not parts.is_absolute() and ".." not in parts.parts and parts.parts:
            return str(path)
    raise BundleError(
        f"{where}: the path {shown(path)} leaves the bundle; do not use a bundle that asks for it"
    )


def is_bundle_name(name: str) -> bool:
    """Whether a bundle may be called so: a name that is safe as one component of a path, on every system."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name) is not None


NAME_RULE = "1 to 64 letters (a-z, A-Z), digits, '.', '_' and '-', the first a letter or digit"


def check_name(manifest: Section) -> str:
    """The bundle's name. Raises BundleError for one that is more than a name: files are called after it."""
    name = str(manifest.get("name", str))
    if not is_bundle_name(name):
        raise BundleError(
            f"{manifest.where}: 'name' is {name[:80]!r}, no name of a bundle ({NAME_RULE}); export the bundle again"
        )
    return name


def safe_name(name: str, where: str) -> str:
    """Return `name` when it can name a measure or a column: letters, digits, "-" and "_", a letter first."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name) is None:
        raise BundleError(
            f"{where}: {shown(name)} cannot be a name; use letters, digits, '-' and '_', a letter first"
        )
    return name


def check_version(manifest: Section) -> bool:
    """Whether a bundle is of a later minor version than this engine knows. Raises BundleError for another major one."""
    if manifest.data.get("format") != FORMAT:
        raise BundleError(f"{manifest.where}: 'format' is not {FORMAT!r}; this is no REALM bundle")
    version = str(manifest.get("format_version", str))
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}){0,3}", version) is None:
        raise BundleError(
            f"{manifest.where}: format version {shown(version)} is not a version; export the bundle again"
        )
    major = version.split(".")[0]
    if int(major) != FORMAT_MAJOR:
        cure = "update realm-engine" if int(major) > FORMAT_MAJOR else "export the bundle again"
        raise BundleError(
            f"{manifest.where}: format version {version}, but this engine reads {FORMAT_MAJOR}.x; {cure}"
        )
    minor = version.split(".")[1:2]
    return bool(minor) and int(minor[0]) > FORMAT_MINOR


def parse_graphs(section: Section, later: bool) -> dict[str, GraphSpec]:
    """The graphs by name. `later`: an entry without variants is of a form that a later version added, and left out."""
    graphs = {}
    for name, entry in section.section_items():
        if later and "variants" not in entry.data:
            continue
        variants = entry.section("variants").data
        if not variants:
            raise BundleError(f"{entry.where}: no variant; export the bundle again")
        graphs[name] = GraphSpec(
            name=name,
            variants={precision: safe_relative(path, entry.where) for precision, path in variants.items()},
            inputs=_tensors(entry, "inputs"),
            outputs=_tensors(entry, "outputs"),
            devices={
                device: {precision: safe_relative(path, own.where) for precision, path in own.data.items()}
                for device, own in entry.sections("devices").items()
            },
        )
    return graphs


def _tensors(entry: Section, key: str) -> tuple[TensorSpec, ...]:
    tensors = []
    for item in entry.get(key, list):
        tensor = Section(item, f"{entry.where}, '{key}'")
        tensors.append(TensorSpec(tensor.get("name", str), tensor.get("dtype", str), _shape(tensor)))
    return tuple(tensors)


def _shape(tensor: Section) -> tuple[int | str, ...]:
    shape = tensor.get("shape", list)
    sizes = all(
        isinstance(size, str) or (isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= MOST)
        for size in shape
    )
    if len(shape) > MOST_DIMENSIONS or not sizes:
        raise BundleError(
            f"{tensor.where}: 'shape' must list at most {MOST_DIMENSIONS} sizes from 1, or names of free ones; "
            "export the bundle again"
        )
    return tuple(shape)


def parse_text(section: Section) -> TextSpec:
    """The "text" object of a tower."""
    max_tokens = section.positive("max_tokens", MOST_TOKENS)
    buckets = tuple(sorted(set(section.positives("buckets"))))
    if buckets[-1] != max_tokens:
        raise BundleError(f"{section.where}: 'buckets' must end with 'max_tokens'; export the bundle again")
    return TextSpec(
        tokenizer=safe_relative(section.get("tokenizer", str), section.where),
        max_tokens=max_tokens,
        pad_id=section.whole("pad_id", 0, MOST),
        fixed_length=bool(section.get("fixed_length", bool)),
        buckets=buckets,
    )
