"""Compare two folders of golden vectors: what `write.py --check` and the tests of every host mean by "equal"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

SECTIONS = ("tokens", "decoding", "preprocessing", "embeddings", "similarities", "scores", "probes", "maps")
# Of a section's entry: what was computed, and is compared with a tolerance. All other fields must be equal.
COMPUTED = {
    "embeddings": ("core", "clip"),
    "similarities": ("values",),
    "scores": ("mos", "realness"),
    "probes": ("p_fake", "real_fake_unlike"),
}
PNG_HEADER = 33  # signature and IHDR: size, depth, colour type, interlacing


def differences(golden: Path, other: Path) -> Iterator[str]:
    """Yield one line for each thing in `other` that differs from `golden` by more than golden's tolerances."""
    expected, actual = (_read(folder) for folder in (golden, other))
    for key in ("format", "bundle", "tolerances"):
        if expected.get(key) != actual.get(key):
            yield f"golden.json, {key}: {expected.get(key)} is not {actual.get(key)}"
    for section in SECTIONS:
        yield from _section(section, expected, actual)
    yield from _files(golden, other, expected)


def cosine(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Cosine of two vectors, in float64; 0 where their lengths differ."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) if a.shape == b.shape else 0.0


def max_abs(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Largest absolute difference; infinite where shapes differ or something is not a number."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    return float(np.abs(a - b).max(initial=0.0))


def _read(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    return loaded


def _section(section: str, expected: dict[str, Any], actual: dict[str, Any]) -> Iterator[str]:
    ours, theirs = expected.get(section, []), actual.get(section, [])
    if len(ours) != len(theirs):
        yield f"golden.json, {section}: {len(ours)} entries, not {len(theirs)}"
        return
    for index, (one, two) in enumerate(zip(ours, theirs, strict=True)):
        where = f"golden.json, {section}[{index}]"
        computed = COMPUTED.get(section, ())
        for key in sorted({*one, *two} - set(computed)):
            if one.get(key) != two.get(key):
                yield f"{where}, {key}: {_short(one.get(key))} is not {_short(two.get(key))}"
        for key in computed:
            yield from _computed(f"{where}, {key}", section, key, one[key], two[key], expected)


def _computed(
    where: str, section: str, key: str, one: Any, two: Any, expected: dict[str, Any]
) -> Iterator[str]:
    tolerances = expected["tolerances"]
    if section == "embeddings":
        if cosine(one, two) < tolerances["embedding_cosine"]:
            yield f"{where}: cosine {cosine(one, two):.6f}, below {tolerances['embedding_cosine']}"
        return
    # A rating is a line of the MOS: 17 to 18 points per unit.
    limit = {
        "values": tolerances["similarity_max_abs"],
        "mos": tolerances["mos_max_abs"],
        "realness": tolerances["mos_max_abs"] * 20,
        "p_fake": tolerances["p_fake_max_abs"],
        "real_fake_unlike": tolerances["unlike_max_abs"],
    }[key]
    if max_abs(one, two) > limit:
        yield f"{where}: differs by {max_abs(one, two):.2g}, more than {limit:g}"


def _files(golden: Path, other: Path, expected: dict[str, Any]) -> Iterator[str]:
    levels = {entry["file"]: entry["max_levels"] for entry in expected["decoding"]}
    levels |= {entry["rgb"]: entry["max_levels"] for entry in expected["decoding"]}
    levels |= {
        entry["pixels"]: expected["tolerances"]["preprocessing_levels"] for entry in expected["preprocessing"]
    }
    names = [
        {
            path.relative_to(folder).as_posix()
            for kind in ("images", "maps")
            for path in (folder / kind).glob("*")
        }
        for folder in (golden, other)
    ]
    for name in sorted(names[0] ^ names[1]):
        yield f"{name}: is only in {golden if name in names[0] else other}"
    for name in sorted(names[0] & names[1]):
        compare = _maps if name.endswith(".npy") else _images
        limit = expected["tolerances"]["map_max_abs"] if name.endswith(".npy") else levels.get(name, 0)
        yield from compare(name, golden / name, other / name, limit)


def _images(name: str, one: Path, two: Path, limit: float) -> Iterator[str]:
    if name.endswith(".png") and one.read_bytes()[:PNG_HEADER] != two.read_bytes()[:PNG_HEADER]:
        yield f"{name}: another size or kind of PNG"
        return
    with Image.open(one) as first, Image.open(two) as second:
        same_kind = first.mode == second.mode and first.info.get("gamma") == second.info.get("gamma")
        pixels = [
            np.asarray(image.convert("RGBA") if image.mode == "P" else image) for image in (first, second)
        ]
        if not same_kind or first.getexif() != second.getexif():
            yield f"{name}: another colour mode or other metadata"
        elif (difference := max_abs(*pixels)) > limit:
            yield f"{name}: differs by {difference:g} levels, more than {limit}"


def _maps(name: str, one: Path, two: Path, limit: float) -> Iterator[str]:
    first, second = np.load(one), np.load(two)
    if second.dtype != first.dtype:
        yield f"{name}: holds {second.dtype}, not {first.dtype}"
    elif first.shape != second.shape or (np.isnan(first) != np.isnan(second)).any():
        yield f"{name}: other pixels are NaN, which are those that no window covers"
    elif (difference := max_abs(np.nan_to_num(first), np.nan_to_num(second))) > limit:
        yield f"{name}: differs by {difference:.2g}, more than {limit}"


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
