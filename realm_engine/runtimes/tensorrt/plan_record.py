"""What identifies an engine, and the record beside its plan that says so.

The record names the model, runtime, GPU, precision and shapes that a plan was built from, and the plan's checksum.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

FORMAT_VERSION = 1
_WORDS = {
    "onnx_sha256": "model",
    "runtime": "runtime",
    "gpu": "GPU",
    "arch": "GPU architecture",
    "driver": "driver",
    "profiles": "shape profiles",
}


@dataclass(frozen=True)
class EngineKey:
    """What an engine is made from and for.

    `model` ("realm-tiny/dream.onnx"), `device` and `precision` say which engine it is; the rest must be equal
    for a plan to be used. `gpu` and `driver` are "" where the runtime does not depend on them. `arch`: "sm_89".
    """

    device: str
    model: str
    precision: str
    onnx_sha256: str
    runtime: str
    gpu: str
    arch: str
    driver: str
    profiles: str

    @property
    def stem(self) -> str:
        """File name without suffix: readable, and different for every other key."""
        text = json.dumps(asdict(self), sort_keys=True)
        name = Path(self.model).stem.replace(".", "-")
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return f"{name}-{self.precision}-{self.device}-{self.arch}-{digest}"

    def changes(self, new: EngineKey) -> list[str]:
        """What differs in a newer key, in words: "runtime (TensorRT 10.13.3, now TensorRT 11.4.0)"."""
        found = []
        for name, word in _WORDS.items():
            old, now = getattr(self, name), getattr(new, name)
            if old != now:
                # Hashes and lists of ranges tell a reader nothing.
                told = "" if name in ("onnx_sha256", "profiles") else f" ({old or 'any'}, now {now or 'any'})"
                found.append(f"{word}{told}")
        return found


@dataclass(frozen=True)
class Entry:
    """A plan in the cache. `used`: seconds since the epoch; `build_seconds`: what building it took."""

    path: Path
    key: EngineKey
    size_bytes: int
    sha256: str
    built: str
    build_seconds: float
    used: float

    @property
    def sidecar(self) -> Path:
        """The JSON beside the plan."""
        return self.path.with_suffix(".json")


def record_text(key: EngineKey, data: bytes, seconds: float) -> str:
    """The record of a plan that was built just now, as JSON. `seconds`: what building it took."""
    record = {
        "format_version": FORMAT_VERSION,
        "key": asdict(key),
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "built": time.strftime("%Y-%m-%d %H:%M:%S"),
        "build_seconds": round(seconds, 2),
    }
    return json.dumps(record, indent=2) + "\n"


def read_entry(path: Path) -> Entry | None:
    """The record of a plan; None where it is missing, unreadable or not about this file."""
    try:
        status = path.stat()
        data = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if data["format_version"] != FORMAT_VERSION or data["size_bytes"] != status.st_size:
            return None
        key = EngineKey(**{name: str(value) for name, value in data["key"].items()})
        return Entry(
            path=path,
            key=key,
            size_bytes=int(data["size_bytes"]),
            sha256=str(data["sha256"]),
            built=str(data["built"]),
            build_seconds=float(data["build_seconds"]),
            used=status.st_mtime,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def explain_change(key: EngineKey, entries: Sequence[Entry], for_this_gpu: bool = True) -> str | None:
    """Why a plan that was there once does not serve: what differs from the most similar one.

    `for_this_gpu` False: engines for other architectures do not count as older ones. None if there is no older one.
    """
    relatives = [
        entry
        for entry in entries
        if (entry.key.device, entry.key.model, entry.key.precision) == (key.device, key.model, key.precision)
        and (for_this_gpu or entry.key.arch == key.arch)
        and entry.key != key
    ]
    if not relatives:
        return None
    nearest = min(relatives, key=lambda entry: (len(entry.key.changes(key)), -entry.used))
    changed = " and ".join(nearest.key.changes(key))
    return f"{key.model}: the engine built on {nearest.built} does not serve, other {changed}"


def estimate_seconds(entries: Sequence[Entry], device: str, model_bytes: int) -> float | None:
    """How long a build will take, from what earlier builds took here; None without any."""
    earlier = [entry for entry in entries if entry.key.device == device and entry.size_bytes]
    if not earlier:
        return None
    return sum(entry.build_seconds for entry in earlier) / sum(e.size_bytes for e in earlier) * model_bytes


def describe_entry(entry: Entry) -> dict[str, Any]:
    """What `realm-engine cache list` shows, ready for JSON."""
    shown = {field.name: getattr(entry.key, field.name) for field in fields(EngineKey)}
    shown |= {
        "path": str(entry.path),
        "size_bytes": entry.size_bytes,
        "built": entry.built,
        "build_seconds": entry.build_seconds,
        "used": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.used)),
    }
    return shown
