"""What made a page: versions, models, devices, seeds. Nothing that differs between two runs of one thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from realm_engine.engine import Engine
from realm_engine.machine.packages import engine_version


@dataclass(frozen=True)
class Run:
    """What made a page. `facts`: in words, by what they are; `command`: as it was given, without --resume."""

    facts: Mapping[str, str]
    command: str | None = None
    engine_version: str = field(default_factory=engine_version)


def engine_facts(engine: Engine) -> dict[str, str]:
    """What measured the pictures."""
    bundles = engine.bundles()
    return {
        "Engine": f"realm-engine {engine_version()}",
        "Models": "; ".join(str(used["bundle"]) for used in bundles),
        "Computed by": "; ".join(
            f"{used['runtime']} on {used['device']}, {used['precision']}" for used in bundles
        ),
        "Seed": "0",
    }


def sizes_of(paths: Iterable[Path]) -> str:
    """The sizes of pictures in words: the most frequent, and how many others there are."""
    found: Counter[tuple[int, int]] = Counter()
    for path in paths:
        try:
            with Image.open(path) as image:
                found[image.size] += 1
        except (OSError, ValueError, Image.DecompressionBombError):  # it failed, and stands among those
            continue
    if not found:
        return "–"
    (width, height), _ = min(found.items(), key=lambda each: (-each[1], each[0]))
    others = len(found) - 1
    return f"{width} × {height}" + (f" and {others} other size{'' if others == 1 else 's'}" if others else "")
