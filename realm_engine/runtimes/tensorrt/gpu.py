"""The GPU of this machine: its name, compute capability, memory and driver."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realm_engine.errors import DeviceError
from realm_engine.runtimes.nvidia import gpu_problem, inspect
from realm_engine.runtimes.tensorrt.cuda import Cuda, CudaError

_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Gpu:
    """The first GPU that CUDA shows. `arch`: its compute capability, as "sm_89"."""

    name: str
    arch: str
    memory_bytes: int
    driver: str


def find_gpu(cuda: Cuda, device: str) -> Gpu:
    """Ask the driver. Raises DeviceError, with the cure, when there is no GPU or no driver that suits."""
    try:
        count = int(cuda.call("cudaGetDeviceCount"))
        properties: Any = cuda.call("cudaGetDeviceProperties", 0) if count else None
        version = int(cuda.call("cudaDriverGetVersion"))
    except CudaError as error:
        raise DeviceError(f"device {device}: {_cure(cuda, error, device)}") from error
    if properties is None:
        raise DeviceError(
            f"device {device}: CUDA shows no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu"
        )
    name = properties.name
    return Gpu(
        name=(name.decode() if isinstance(name, bytes) else str(name)).strip(),
        arch=f"sm_{properties.major}{properties.minor}",
        memory_bytes=int(properties.totalGlobalMem),
        driver=driver_version() or f"CUDA {cuda_version(version)}",
    )


def driver_version(path: Path = _DRIVER) -> str | None:
    """The Linux driver's own version, such as "580.65.06"; None where it does not say."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"Kernel Module\b.*?\s(\d+\.\d+(?:\.\d+)?)\s", text)
    return found[1] if found else None


def cuda_version(number: int) -> str:
    """CUDA's 13020 as "13.2"."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _cure(cuda: Cuda, error: CudaError, device: str) -> str:
    if error.name == "cudaErrorInsufficientDriver":
        needed = cuda_version(cuda.runtime_version())
        try:
            supported = int(cuda.call("cudaDriverGetVersion"))
        except CudaError:
            supported = 0
        if supported == 0:
            # In the words of `doctor` and of --device cuda, which ask the machine rather than CUDA.
            problem = gpu_problem(inspect(), cuda.runtime_version() // 1000)
            return str(problem or "there is no NVIDIA driver; install it, or use --device cpu")
        older = f"'cuda-bindings<{needed.split('.')[0]}' {device}-cu{supported // 1000}"
        return (
            f"the NVIDIA driver is for CUDA {cuda_version(supported)}, these packages need CUDA {needed}; update the "
            f"driver, or pip install {older}, or use --device cpu"
        )
    return (
        f"no NVIDIA GPU can be used: {error}; check nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu"
    )
