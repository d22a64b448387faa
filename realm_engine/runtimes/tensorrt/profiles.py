"""Named shape profiles: which sizes of a graph's free dimensions an engine is built for. Pure arithmetic.

TensorRT wants a box per profile, min to max in every free dimension, and tunes its kernels for one point in
it (opt). The dimensions have names, the same in every bundle, so a profile is ranges by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from realm_engine.bundle.manifest import TensorSpec
from realm_engine.errors import DeviceError

# Scratch memory that engines may need at their largest call, such as "1G". It is part of what an engine is made
# from, so building and running must agree on it: one variable for both.
MEMORY_VARIABLE = "REALM_TENSORRT_MEMORY"

# Independent rows: a call that holds too many of them is run in parts.
SPLITTABLE = ("windows", "batch")

# What TensorRT keeps alive at once, from its own account of its scratch memory for realm-tiny and ViT-B/32:
# the pixels and their float32 copy before the resize (2 x 3 channels x 4 bytes), and about 4 copies of what
# the tower takes.
BYTES_PER_SOURCE_PX = 24
COPIES_OF_INPUT = 4


@dataclass(frozen=True)
class Range:
    """Sizes of one dimension: smallest, the one kernels are tuned for, largest."""

    min: int
    opt: int
    max: int

    def __post_init__(self) -> None:
        if not 1 <= self.min <= self.opt <= self.max:
            raise ValueError(f"{self.min} <= {self.opt} <= {self.max} is no range of sizes")


@dataclass(frozen=True)
class ShapeProfile:
    """Ranges by dimension name, and the profile's own name."""

    name: str
    dims: Mapping[str, Range]

    def shapes(self, tensor: TensorSpec) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """The min, opt and max shape of an input. Raises DeviceError for a dimension nobody knows."""
        ranges = [self._range(tensor, dim) for dim in tensor.shape]
        return (
            tuple(each.min for each in ranges),
            tuple(each.opt for each in ranges),
            tuple(each.max for each in ranges),
        )

    def _range(self, tensor: TensorSpec, dim: int | str) -> Range:
        if isinstance(dim, int):
            return Range(dim, dim, dim)
        if dim not in self.dims:
            raise DeviceError(
                f"input {tensor.name!r} has a free dimension {dim!r} that no shape profile knows; "
                "export the bundle again, or use --device cuda"
            )
        return self.dims[dim]

    def outside(self, dims: Mapping[str, int]) -> str | None:
        """The first dimension that does not fit this profile; None when all do."""
        for name, size in dims.items():
            if name in self.dims and not self.dims[name].min <= size <= self.dims[name].max:
                return name
        return None


@dataclass(frozen=True)
class Limits:
    """How large the boxes may get. `memory_bytes`: scratch memory of an engine at the largest of its sizes.

    Boxes never depend on what happens to be free at the moment: that would make other engines every time.
    """

    memory_bytes: int = 4 << 30
    windows: int = 256
    images: int = 32
    image_height_px: int = 16384  # of several images one below the other
    image_width_px: int = 8192
    window_px: int = 512
    texts: int = 1024

    def __post_init__(self) -> None:
        if self.memory_bytes < 64 << 20:
            raise DeviceError(
                f"engines cannot be built for {self.memory_bytes >> 20} MB of memory; "
                f"{MEMORY_VARIABLE} must be 64M or more"
            )


# A batch of photographs as they usually are; larger ones go one at a time.
_BATCHED_SIDE_PX = 1024
_USUAL_SIDE_PX = 512
_USUAL_WINDOW_PX = 64
_LEAST_STRIDE_PX = 4  # between the windows of a grid


def profiles(
    inputs: Sequence[TensorSpec], config: Mapping[str, Any], limits: Limits | None = None
) -> tuple[ShapeProfile, ...]:
    """Profiles of one graph.

    Args:
        inputs: Its inputs; the names of their free dimensions say what the graph is.
        config: The graph's own `realm.config`: one section of the manifest, or several by name.
        limits: How large the profiles may get.

    Returns:
        The profile for most calls first. No free dimension: one profile "static" without ranges.
    """
    limits = limits or Limits()
    free = {dim for tensor in inputs for dim in tensor.shape if isinstance(dim, str)}
    if "windows" in free:
        return (_windows(inputs, _with(config, "presets"), limits),)
    if {"batch", "height", "width"} <= free:
        return _photographs(inputs, limits)
    if {"height", "width"} <= free:
        return (_picture(limits),)
    if {"rows", "columns"} <= free:
        return (_pooled(free, limits),)
    if free == {"texts"}:
        return (ShapeProfile("compared", {"texts": _up_to(limits.texts, 1)}),)
    if "tokens" in free or "batch" in free:
        return (_texts(config, limits),)
    return (ShapeProfile("static", {}),)


def _sections(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [config, *(value for value in config.values() if isinstance(value, Mapping))]


def _with(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The section that says `key`; an empty one where none does."""
    return next((section for section in _sections(config) if key in section), {})


def _fixed(inputs: Sequence[TensorSpec], name: str, otherwise: int) -> int:
    """What a matrix makes of an axis: its size before the last, where it is a number."""
    sizes = [tensor.shape[-2] for tensor in inputs if tensor.name == name]
    return next((size for size in sizes if isinstance(size, int)), otherwise)


def _windows(inputs: Sequence[TensorSpec], maps: Mapping[str, Any], limits: Limits) -> ShapeProfile:
    presets = maps.get("presets", {}).values()
    used = [int(size) for preset in presets for size in preset["windows_px"]] or [_USUAL_WINDOW_PX]
    preset = maps.get("presets", {}).get(str(maps.get("recommended_preset")), {})
    window = Range(1, max(preset.get("windows_px", used)), max(limits.window_px, *used))
    side = _fixed(inputs, "resample", 224)
    height, width = limits.image_height_px, limits.image_width_px
    while height * width * 12 > limits.memory_bytes // 2:  # the image as float32
        height, width = height // 2, width // 2
    each = BYTES_PER_SOURCE_PX * window.max**2 + COPIES_OF_INPUT * 12 * side**2
    count = max(1, min(limits.windows, (limits.memory_bytes - height * width * 12) // each))
    return ShapeProfile(
        "windows",
        {
            "height": _up_to(height, _USUAL_SIDE_PX),
            "width": _up_to(width, _USUAL_SIDE_PX),
            "windows": _up_to(count, count),
            "window": window,
            "texts": _up_to(limits.texts, 1),
        },
    )


def _photographs(inputs: Sequence[TensorSpec], limits: Limits) -> tuple[ShapeProfile, ...]:
    height, width = _fixed(inputs, "resample_rows", 384), _fixed(inputs, "resample_cols", 512)
    tower = COPIES_OF_INPUT * 12 * height * width
    side = min(limits.image_height_px, limits.image_width_px)
    while side > 1 and BYTES_PER_SOURCE_PX * side**2 + tower > limits.memory_bytes:
        side //= 2
    several = min(side, _BATCHED_SIDE_PX)
    count = limits.memory_bytes // (BYTES_PER_SOURCE_PX * several**2 + tower)
    count = max(1, min(limits.images, count))
    found = [
        ShapeProfile(name, {"batch": batch, "resizes": Range(1, 1, batch.max), "height": size, "width": size})
        for name, batch, size in (
            ("batch", Range(1, count, count), _up_to(several, _USUAL_SIDE_PX)),
            ("one", Range(1, 1, 1), _up_to(side, _USUAL_SIDE_PX)),
        )
    ]
    return tuple(found)


def _picture(limits: Limits) -> ShapeProfile:
    """One picture whole, as a trunk takes it."""
    height, width = limits.image_height_px, limits.image_width_px
    while height * width * COPIES_OF_INPUT * 12 > limits.memory_bytes:
        height, width = height // 2, width // 2
    return ShapeProfile(
        "picture", {"height": _up_to(height, _USUAL_SIDE_PX), "width": _up_to(width, _USUAL_SIDE_PX)}
    )


def _pooled(free: Set[str], limits: Limits) -> ShapeProfile:
    """The stages of that picture, in cells of the size that a dimension's name ends in, and a grid of its windows."""
    picture = _picture(limits).dims
    found = {"texts": _up_to(limits.texts, 1)}
    for name in free - found.keys():
        axis, _, cell = name.partition("_")
        length = picture["height" if axis == "rows" else "width"]
        px = int(cell) if cell.isdecimal() else _LEAST_STRIDE_PX
        found[name] = Range(1, length.opt // px, length.max // px)
    return ShapeProfile("pooled", found)


def _texts(config: Mapping[str, Any], limits: Limits) -> ShapeProfile:
    texts = [section["text"] for section in _sections(config) if isinstance(section.get("text"), Mapping)]
    longest = max((int(text["max_tokens"]) for text in texts), default=128)
    buckets = sorted({int(size) for text in texts for size in text.get("buckets", ())}) or [longest]
    fixed = bool(texts) and all(text.get("fixed_length") for text in texts)
    usual = next((size for size in buckets if size >= 32), longest)
    tokens = Range(longest, longest, longest) if fixed else Range(1, usual, longest)
    return ShapeProfile("texts", {"batch": _up_to(limits.images, 8), "tokens": tokens})


def _up_to(largest: int, usual: int) -> Range:
    return Range(1, min(usual, largest), largest)


def dims_of(inputs: Sequence[TensorSpec], shapes: Mapping[str, Sequence[int]], where: str) -> dict[str, int]:
    """Sizes of the free dimensions of a call. Raises DeviceError where shapes contradict the graph."""
    dims: dict[str, int] = {}
    for tensor in inputs:
        given = shapes.get(tensor.name)
        if given is None or len(given) != len(tensor.shape):
            raise DeviceError(f"{where}: input {tensor.name!r} has shape {given}, expected {tensor.shape}")
        for dim, size in zip(tensor.shape, given, strict=True):
            expected = dims.setdefault(dim, size) if isinstance(dim, str) else dim
            if size != expected:
                raise DeviceError(
                    f"{where}: input {tensor.name!r} has shape {tuple(given)}, where {dim!r} is {expected}"
                )
    return dims


def choose(found: Sequence[ShapeProfile], dims: Mapping[str, int], where: str) -> tuple[int, str | None, int]:
    """Which profile runs a call: its index, the dimension to split, and how much of it one part takes.

    The profile that needs the fewest parts wins. Raises DeviceError when none fits, saying what would.
    """
    split = next((name for name in SPLITTABLE if name in dims), None)
    fixed = {name: size for name, size in dims.items() if name != split}
    fitting = [
        (-(-dims[split] // profile.dims[split].max) if split else 1, index)
        for index, profile in enumerate(found)
        if profile.outside(fixed) is None
    ]
    if not fitting:
        nowhere = (n for n in fixed if all(profile.outside({n: fixed[n]}) for profile in found))
        name = next(nowhere, None) or next(filter(None, (profile.outside(fixed) for profile in found)))
        allowed = max((p.dims[name] for p in found if name in p.dims), key=lambda each: each.max)
        raise DeviceError(
            f"{where}: {name} is {fixed[name]}, this engine takes {allowed.min} to {allowed.max}; "
            "give smaller images, smaller windows or fewer texts, or use --device cuda"
        )
    _, index = min(fitting)
    largest = found[index].dims[split].max if split else 1
    return index, split, largest


def canonical(found: Sequence[ShapeProfile]) -> str:
    """Profiles as one line of text, the same for the same ranges: part of an engine's key."""
    return json.dumps(
        {
            profile.name: {
                name: [each.min, each.opt, each.max] for name, each in sorted(profile.dims.items())
            }
            for profile in found
        },
        separators=(",", ":"),
    )
