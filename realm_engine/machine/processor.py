"""The processor that this process may use."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from realm_engine.machine import cgroup

CPUINFO = Path("/proc/cpuinfo")
BUSY_ABOVE = 0.5
# Instructions that decide how fast a precision is, as /proc/cpuinfo (x86, then Arm) calls them.
_FEATURES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI (int8)",
    "avx512_vnni": "AVX-512 VNNI (int8)",
    "avx512_bf16": "AVX-512 BF16",
    "amx_int8": "AMX int8",
    "amx_bf16": "AMX bf16",
    "amx_fp16": "AMX fp16",
    "asimddp": "dot product (int8)",
    "i8mm": "matrix multiply (int8)",
    "bf16": "BF16",
    "sve": "SVE",
}


@dataclass(frozen=True)
class Processor:
    """`cores`: of the machine; `affinity` and `quota` (cores): what this process is held to; `usable`: what is
    left of them, the default of --threads. `features`: instruction sets that matter here."""

    model: str
    cores: int
    affinity: int
    quota: float | None
    usable: int
    features: tuple[str, ...]


def processor(path: Path = CPUINFO) -> Processor:
    """What computes here."""
    said = cpuinfo(path)
    flags = said.get("flags", said.get("Features", "")).split()
    return Processor(
        model=said.get("model name") or platform.processor() or platform.machine(),
        cores=os.cpu_count() or 1,
        affinity=_affinity(),
        quota=cgroup.cpu_quota(),
        usable=default_threads(),
        features=tuple(name for flag, name in _FEATURES.items() if flag in flags),
    )


def cpuinfo(path: Path = CPUINFO) -> dict[str, str]:
    """What Linux says of the first processor ("model name", "flags", on Arm "Features"); {} on other systems."""
    found: dict[str, str] = {}
    for line in _read(path).split("\n\n")[0].splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    return found


def system_load() -> float | None:
    """Processes that wait for or use a processor, mean of the last minute; None where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows; a container without /proc
        return None


def busy_load() -> float | None:
    """The load where others are at work, so that nothing that is timed now can be trusted; else None."""
    load = system_load()
    return load if load is not None and load > BUSY_ABOVE else None


def default_threads() -> int:
    """Cores this process may use: the smaller of its CPU affinity and its cgroup quota (v2, then v1)."""
    quota = cgroup.cpu_quota()
    return _affinity() if quota is None else max(1, min(_affinity(), int(quota)))


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
