"""What `tune` measured on this machine, kept in the cache folder: read here, written by `realm_engine.verbs.tune`."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from realm_engine.bundle.bundle import Bundle
from realm_engine.errors import OutputError
from realm_engine.machine.files import cache_dir, replacing, sweep
from realm_engine.machine.processor import default_threads, processor
from realm_engine.runtimes.devices import AUTO_ORDER, DEVICES
from realm_engine.runtimes.words import Precision

log = logging.getLogger("realm_engine")

FORMAT_VERSION = 1
MOST_BATCH = 4096
# A difference of speed below this share is noise.
CLEARLY = 0.05
_PACKAGES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    *(f"{name}-cu{cuda}" for name in ("tensorrt", "tensorrt-rtx") for cuda in (12, 13)),
)


@dataclass(frozen=True)
class Measured:
    """One way to run a part, measured here.

    `per_second`: images (core) or windows (dream). `differences`: from the fp32 reference, by name.
    `passes`: whether they are within the gates of the precision; only then `auto` takes it.
    """

    part: str
    device: str
    precision: str
    batch: int
    threads: int
    per_second: float
    passes: bool
    differences: Mapping[str, float]

    def __post_init__(self) -> None:
        """Raises ValueError for what no run of `tune` measures: a record is a file that anybody may have written."""
        counts = [(self.batch, MOST_BATCH), (self.threads, 4 * (os.cpu_count() or 1))]
        if self.precision not in tuple(Precision) or self.device not in DEVICES:
            raise ValueError("a device or precision that is none")
        if any(type(count) is not int or not 1 <= count <= most for count, most in counts):
            raise ValueError(f"a batch of {self.batch!r} and {self.threads!r} threads")
        if not (isinstance(self.per_second, (int, float)) and 0 <= self.per_second < math.inf):
            raise ValueError(f"{self.per_second!r} per second")


@dataclass(frozen=True)
class Tuned:
    """All measurements of one bundle on this machine, and when and with what they were taken."""

    bundle: str
    date: str
    machine: Mapping[str, Any]
    images: int
    measured: tuple[Measured, ...]

    def fastest(self, part: str, precision: str | None = None) -> list[Measured]:
        """Measurements of a part, the best choice first: those that pass, or all of one precision.

        What is not clearly faster than a precision at least as high on the same device, or on one that comes
        earlier in `AUTO_ORDER`, comes after it.
        """
        mine = [one for one in self.measured if one.part == part]
        found = [one for one in mine if (one.passes if precision is None else one.precision == precision)]

        def pointless(one: Measured) -> bool:
            return any(
                other is not one
                and _bits(other.precision) >= _bits(one.precision)
                and _order(other.device) <= _order(one.device)
                and other.per_second > (1 - CLEARLY) * one.per_second
                for other in found
            )

        return sorted(found, key=lambda one: (pointless(one), -one.per_second))


def _bits(precision: str) -> int:
    return Precision(precision).bits if precision in tuple(Precision) else 0


def _order(device: str) -> int:
    return AUTO_ORDER.index(device) if device in AUTO_ORDER else len(AUTO_ORDER)


def machine_facts() -> dict[str, Any]:
    """What a measurement depends on: processor, cores this process may use, GPUs, and runtime versions."""
    return {
        "processor": processor().model,
        "cores": default_threads(),
        "gpus": _gpus(),
        "runtimes": {name: found for name in _PACKAGES if (found := _version(name)) is not None},
    }


def load_tuned(bundle: Bundle) -> Tuned | None:
    """What was measured with this bundle on this machine; None where nothing was, or it holds no longer.

    A record of other runtime versions, or one that cannot be read, is not used, which is logged.
    """
    path = tuned_path(bundle)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        record = Tuned(
            str(data["bundle"]),
            str(data["date"]),
            dict(data["machine"]),
            int(data["images"]),
            tuple(Measured(**item) for item in data["measured"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        log.warning(
            "%s is no record of tune (%.200s) and is not used; run realm-engine tune again", path, error
        )
        return None
    now = machine_facts()
    changed = [key for key in now if record.machine.get(key) != now[key]]
    if changed:
        log.warning(
            "what realm-engine tune measured on %s is not used, because the %s changed; run it again",
            record.date,
            " and the ".join(changed),
        )
        return None
    return record


def save_tuned(bundle: Bundle, date: str, images: int, measured: Sequence[Measured]) -> Path:
    """Keep measurements for later runs. Raises OutputError when the cache folder cannot be written."""
    path = tuned_path(bundle)
    record = Tuned(bundle.name, date, machine_facts(), images, tuple(measured))
    text = json.dumps({"format_version": FORMAT_VERSION, **asdict(record)}, indent=2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        with replacing(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}); set REALM_CACHE_DIR to a folder that can"
        ) from error
    return path


def forget_tuned(bundle: Bundle) -> bool:
    """Remove the record of a bundle; whether there was one. Raises OutputError when it cannot be removed."""
    path = tuned_path(bundle)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise OutputError(f"{path}: cannot be removed ({error.strerror})") from error
    return True


def tuned_path(bundle: Bundle) -> Path:
    """Where the record of a bundle lies: another content or another processor has another file."""
    digests = sorted(str(entry["sha256"]) for entry in bundle.manifest["files"].values())
    key = "\n".join([*digests, processor().model, str(default_threads())])
    return cache_dir() / "tune" / f"{bundle.name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.json"


def _gpus() -> list[str]:
    """Names of NVIDIA's GPUs as the Linux driver lists them."""
    names = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        names += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return names


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
