"""What the numbers were measured on. No names of hosts or users."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from typing import Any

from realm_engine.machine.processor import cpuinfo, default_threads
from realm_engine.runtimes.devices import available

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")
_PACKAGES = (
    "torch",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "numpy",
    "open_clip_torch",
    "transformers",
)


def describe() -> dict[str, Any]:
    """Processor, memory, GPU, runtimes and versions."""
    info = cpuinfo()
    flags = set(info.get("flags", info.get("Features", "")).split())
    return {
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "cpu_family_model": "/".join(info.get(key, "?") for key in ("cpu family", "model", "stepping")),
        "cores_usable": default_threads(),
        "cores_present": os.cpu_count(),
        "flags": [flag for flag in _FLAGS if flag in flags],
        "memory_gib": _memory_gib(),
        "gpu": _gpu(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "packages": _versions(),
        "runtimes": {device: state.split(":")[0] for device, state in available().items()},
    }


def slug(machine: dict[str, Any]) -> str:
    """A name for a folder: processor, cores and matrix units, or the GPU."""
    gpu = machine.get("gpu")
    if gpu:
        words = str(gpu)
    else:
        units = [flag for flag in machine["flags"] if flag.startswith(("amx", "avx512_bf16"))]
        words = " ".join([str(machine["cpu"]), f"{machine['cores_usable']} cores", *units[:1]])
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _gpu() -> str | None:
    import torch

    return str(torch.cuda.get_device_name(0)) if torch.cuda.is_available() else None


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
