"""NVIDIA: what driver, GPUs and libraries a machine has, and what keeps CUDA from working there.

Facts come from the driver itself (`libcuda`), /proc and /sys; nothing here needs a CUDA toolkit.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

VENDOR = "0x10de"
# Lowest Linux driver of each CUDA major version (CUDA's release notes, table of minor version compatibility),
# and the oldest GPUs it still serves.
OLDEST_DRIVER = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}
OLDEST_GPU = {11: (3, 5), 12: (5, 0), 13: (7, 5)}
_NO_DEVICE, _SYSTEM_DRIVER_MISMATCH, _COMPAT_NOT_SUPPORTED = 100, 803, 804
_LIBCUDA = ("libcuda.so.1", "nvcuda.dll")
# What to install for a missing library: package for CUDA 12 and before, and for CUDA 13.
_PACKAGES = {
    "cudart": ("nvidia-cuda-runtime-cu{cuda}", "nvidia-cuda-runtime"),
    "cublas": ("nvidia-cublas-cu{cuda}", "nvidia-cublas"),
    "cublasLt": ("nvidia-cublas-cu{cuda}", "nvidia-cublas"),
    "cufft": ("nvidia-cufft-cu{cuda}", "nvidia-cufft"),
    "curand": ("nvidia-curand-cu{cuda}", "nvidia-curand"),
    "nvrtc": ("nvidia-cuda-nvrtc-cu{cuda}", "nvidia-cuda-nvrtc"),
    "nvJitLink": ("nvidia-nvjitlink-cu{cuda}", "nvidia-nvjitlink"),
    "cudnn": ("nvidia-cudnn-cu{cuda}", "nvidia-cudnn-cu{cuda}"),
    "nvinfer": ("tensorrt-cu{cuda}", "tensorrt-cu{cuda}"),
}


@dataclass(frozen=True)
class Gpu:
    """One GPU: its name, compute capability (major, minor) and memory in bytes."""

    name: str
    compute_capability: tuple[int, int]
    memory_bytes: int

    @property
    def arch(self) -> str:
        """As compilers call it: sm_90."""
        return "sm_{}{}".format(*self.compute_capability)


@dataclass(frozen=True)
class Nvidia:
    """What there is of NVIDIA's on a machine.

    `hardware`: cards on the PCI bus, None where the bus cannot be seen. `kernel_driver`: version of the loaded
    module. `cuda`: the newest CUDA (major, minor) the driver serves, None without `libcuda`. `status`: what
    `cuInit` returned, 0 = works. `hidden`: CUDA_VISIBLE_DEVICES hides every GPU.
    """

    hardware: int | None = None
    kernel_driver: str | None = None
    cuda: tuple[int, int] | None = None
    status: int | None = None
    gpus: tuple[Gpu, ...] = ()
    hidden: bool = False


@dataclass(frozen=True)
class Problem:
    """What does not work, and the one thing that cures it; as a message they are one line."""

    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.what}; {self.cure}"


@dataclass(frozen=True)
class Libraries:
    """Shared libraries by file name: where each was found, or None."""

    found: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[str, ...]:
        """Those that are nowhere."""
        return tuple(name for name, path in self.found.items() if path is None)


def inspect() -> Nvidia:
    """Ask the machine. Loads `libcuda` into this process, which a broken driver may not survive."""
    hardware, kernel = _pci_cards(Path("/sys/bus/pci/devices")), _kernel_driver()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hidden = visible is not None and visible.split(",")[0].strip() in ("", "-1", "NoDevFiles")
    library = _load(_LIBCUDA)
    if library is None:
        return Nvidia(hardware, kernel, hidden=hidden)
    version = ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(version))
    status = int(library.cuInit(0))
    gpus = _gpus(library) if status == 0 else ()
    return Nvidia(hardware, kernel, cuda_version(version.value), status, gpus, hidden)


def gpu_problem(machine: Nvidia, cuda_major: int | None = None) -> Problem | None:
    """Why no GPU of this machine can be used by programs built for a CUDA major version; None where one can."""
    if machine.cuda is None:
        return _without_libcuda(machine)
    if cuda_major is not None and machine.cuda[0] < cuda_major:
        has = f"driver {machine.kernel_driver}" if machine.kernel_driver else "the NVIDIA driver"
        needed = OLDEST_DRIVER.get(cuda_major, "the newest")
        return Problem(
            f"{has} serves CUDA {machine.cuda[0]}.{machine.cuda[1]} at most, but CUDA {cuda_major} is needed",
            f"install NVIDIA driver {needed} or newer",
        )
    if machine.hidden:
        return Problem("CUDA_VISIBLE_DEVICES hides every GPU", "unset CUDA_VISIBLE_DEVICES")
    if machine.status == _SYSTEM_DRIVER_MISMATCH:
        return Problem(
            "the NVIDIA kernel module and libcuda are of different versions", "restart this machine (reboot)"
        )
    if machine.status == _COMPAT_NOT_SUPPORTED:
        return Problem(
            "a CUDA compatibility library is in use that this GPU does not support",
            "remove the folder 'compat' from LD_LIBRARY_PATH",
        )
    if machine.status == _NO_DEVICE or (machine.status == 0 and not machine.gpus):
        return Problem(
            "the NVIDIA driver is installed but shows no GPU", "start the container with --gpus all"
        )
    if machine.status:
        return Problem(
            f"the NVIDIA driver does not start (cuInit returned {machine.status})",
            "run nvidia-smi to see why",
        )
    oldest = OLDEST_GPU.get(cuda_major or 0, (0, 0))
    if all(gpu.compute_capability < oldest for gpu in machine.gpus):
        gpu = machine.gpus[0]
        return Problem(
            f"{gpu.name} has compute capability {_dotted(gpu.compute_capability)}, CUDA {cuda_major} needs "
            f"{_dotted(oldest)}",
            "use --device cpu",
        )
    return None


def library_problem(libraries: Libraries) -> Problem | None:
    """Which libraries are missing, and how to get them all at once; None if nothing is missing."""
    if not libraries.missing:
        return None
    cuda = cuda_major(libraries.found) or 13
    packages = dict.fromkeys(filter(None, (package_of(name, cuda) for name in libraries.missing)))
    names = ", ".join(libraries.missing)
    if not packages:
        return Problem(f"{names} cannot be found", "add its folder to LD_LIBRARY_PATH")
    return Problem(f"{names} cannot be found", "pip install " + " ".join(map(_quoted, packages)))


def cuda_major(names: Iterable[str]) -> int | None:
    """The CUDA major version that libraries belong to, by the number behind libcudart or libcublas."""
    for name in names:
        stem, major = library_version(name)
        if stem in ("cudart", "cublas", "cublasLt") and major is not None:
            return major
    return None


def library_version(name: str) -> tuple[str, int | None]:
    """("cudnn", 9) of "libcudnn.so.9"; the name itself and None for anything else."""
    match = re.fullmatch(r"lib(\w+)\.so\.(\d+)(?:\.\d+)*", name)
    return (match[1], int(match[2])) if match else (name, None)


def package_of(name: str, cuda: int) -> str | None:
    """What pip calls the package of a library, None if it is missing."""
    stem, major = library_version(name)
    packages = _PACKAGES.get(stem)
    if packages is None:
        return None
    package = packages[cuda >= 13].format(cuda=cuda)
    return f"{package}=={major}.*" if stem in ("nvinfer", "cudnn") and major is not None else package


def is_nvidia_library(name: str) -> bool:
    """Whether a library is one of NVIDIA's that a program brings or installs beside the driver."""
    return library_version(name)[0] in _PACKAGES


def find_library(name: str) -> str | None:
    """Where a library lies: in one of pip's nvidia-* packages, else wherever the system's loader finds it."""
    for folder in sys.path:
        for pattern in (f"nvidia/*/lib/{name}", f"nvidia/*/bin/{name}", f"tensorrt_libs/{name}"):
            for path in sorted(Path(folder or ".").glob(pattern)):
                return str(path)
    try:
        ctypes.CDLL(name)
    except OSError:
        return None
    return name


def runtime_versions(libraries: Libraries) -> dict[str, str]:
    """What the found libraries say of themselves: "CUDA runtime", "cuDNN", "TensorRT". Loads them."""
    versions = {}
    for name, path in libraries.found.items():
        stem, _ = library_version(name)
        try:
            if path is None:
                continue
            if stem == "cudart":
                number = ctypes.c_int()
                if ctypes.CDLL(path).cudaRuntimeGetVersion(ctypes.byref(number)) == 0:
                    versions["CUDA runtime"] = _dotted(cuda_version(number.value))
            elif stem == "cudnn":
                versions["cuDNN"] = _dotted(cudnn_version(_number(path, "cudnnGetVersion")))
            elif stem == "nvinfer":
                versions["TensorRT"] = _dotted(tensorrt_version(_number(path, "getInferLibVersion")))
        except (OSError, AttributeError):
            continue
    return versions


def cuda_version(number: int) -> tuple[int, int]:
    """(13, 2) of 13020."""
    return number // 1000, number % 1000 // 10


def cudnn_version(number: int) -> tuple[int, int, int]:
    """(9, 26, 0) of 92600; before version 9 the major number stood at the thousands."""
    base = 10000 if number >= 90000 else 1000
    return number // base, number % base // 100, number % 100


def tensorrt_version(number: int) -> tuple[int, int, int]:
    """(10, 13, 2) of 101302; before version 10 the major number stood at the thousands."""
    base = 10000 if number >= 100000 else 1000
    return number // base, number % base // 100, number % 100


def _without_libcuda(machine: Nvidia) -> Problem:
    if machine.kernel_driver is not None:
        return Problem(
            f"NVIDIA driver {machine.kernel_driver} is loaded, but its library libcuda.so.1 is not here",
            "start the container with --gpus all",
        )
    if machine.hardware:
        return Problem(
            "an NVIDIA GPU is here without its driver",
            "install the NVIDIA driver (Ubuntu: sudo ubuntu-drivers install; container: docker run --gpus all)",
        )
    return Problem("this machine has no NVIDIA GPU", "use --device cpu")


def _load(names: Iterable[str]) -> ctypes.CDLL | None:
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _number(path: str, function: str) -> int:
    call = getattr(ctypes.CDLL(path), function)
    call.restype = ctypes.c_size_t if function == "cudnnGetVersion" else ctypes.c_int
    return int(call())


def _gpus(library: ctypes.CDLL) -> tuple[Gpu, ...]:
    count = ctypes.c_int()
    library.cuDeviceGetCount(ctypes.byref(count))
    found = []
    for index in range(count.value):
        device, total = ctypes.c_int(), ctypes.c_size_t()
        name = ctypes.create_string_buffer(128)
        library.cuDeviceGet(ctypes.byref(device), index)
        library.cuDeviceGetName(name, len(name), device)
        library.cuDeviceTotalMem_v2(ctypes.byref(total), device)
        capability = (_attribute(library, device, 75), _attribute(library, device, 76))
        found.append(Gpu(name.value.decode("utf-8", "replace"), capability, total.value))
    return tuple(found)


def _attribute(library: ctypes.CDLL, device: ctypes.c_int, which: int) -> int:
    value = ctypes.c_int()
    library.cuDeviceGetAttribute(ctypes.byref(value), which, device)
    return value.value


def _kernel_driver() -> str | None:
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", text)
    return match[1] if match else None


def _pci_cards(bus: Path) -> int | None:
    """Display controllers (PCI class 03) of NVIDIA's."""
    if not bus.is_dir():
        return None
    count = 0
    for device in bus.iterdir():
        try:
            vendor = (device / "vendor").read_text(encoding="ascii").strip()
            kind = (device / "class").read_text(encoding="ascii").strip()
        except OSError:
            continue
        count += vendor == VENDOR and kind.startswith("0x03")
    return count


def _dotted(numbers: Iterable[int]) -> str:
    return ".".join(map(str, numbers))


def _quoted(package: str) -> str:
    return f"'{package}'" if "=" in package else package
