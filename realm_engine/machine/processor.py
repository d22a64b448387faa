"""The processor that this process may use."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from realm_engine.machine import cgroup

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


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """What computes here."""
    model, flags = read_cpuinfo(_read(cpuinfo))
    return Processor(
        model=model or platform.processor() or platform.machine(),
        cores=os.cpu_count() or 1,
        affinity=_affinity(),
        quota=cgroup.cpu_quota(),
        usable=default_threads(),
        features=tuple(name for flag, name in _FEATURES.items() if flag in flags),
    )


def read_cpuinfo(text: str) -> tuple[str, frozenset[str]]:
    """Model name and flags of the first processor in a /proc/cpuinfo."""
    model, flags = "", frozenset[str]()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and not model:
            model = value.strip()
        elif key.strip() in ("flags", "Features") and not flags:
            flags = frozenset(value.split())
    return model, flags


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
