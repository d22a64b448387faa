"""The doctor: what of this machine the engine can use, what it cannot, and the one command that cures it."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from realm_engine.bundle.bundle import Bundle, installed_bundles
from realm_engine.doctor.findings import ABSENT, BROKEN, OK, WARNING, Finding, Report, split_cure
from realm_engine.doctor.isolated import Answer, ask, of_this_package
from realm_engine.errors import RealmError
from realm_engine.machine.files import cache_dir
from realm_engine.machine.memory import format_bytes, memory
from realm_engine.machine.packages import REQUIREMENTS, engine_version, install_command
from realm_engine.machine.processor import processor
from realm_engine.opened import Contents
from realm_engine.runtimes import nvidia
from realm_engine.runtimes.devices import AUTO_ORDER, DEVICES
from realm_engine.runtimes.measured import load_tuned
from realm_engine.runtimes.onnxruntime import provider_libraries

DEVICE_TIMEOUT_S = 180.0  # TensorRT builds an engine for the tiny graph first

# Which distributions bring a device's runtime; those of GPU devices are no fault where there is no GPU.
_PACKAGES: dict[str, tuple[str, ...]] = {
    "cpu": ("onnxruntime", "onnxruntime-gpu"),
    "cuda": ("onnxruntime-gpu",),
    "openvino": ("openvino",),
    "tensorrt": ("tensorrt", "tensorrt-cu12", "tensorrt-cu13"),
    "tensorrt-rtx": ("tensorrt-rtx", "tensorrt-rtx-cu12", "tensorrt-rtx-cu13"),
}
_GPU_DEVICES = ("cuda", "tensorrt", "tensorrt-rtx")
_RUNTIMES = ("onnxruntime", "openvino", "tensorrt", "pycuda", "cuda-python", "cuda-bindings")
_NVIDIA_PACKAGES = ("nvidia-", "cuda-")
# Loaded by their names to ask for versions, beside what ONNX Runtime itself asks for.
_LIBRARIES = (
    "libcudart.so.12",
    "libcudart.so.13",
    "libcudnn.so.9",
    "libnvinfer.so.10",
    "libnvinfer.so.11",
)


def examine(devices: Sequence[str] = DEVICES) -> Report:
    """Look at everything. Whatever may crash runs in a process of its own."""
    named = [device for device in devices if device != "auto"]
    wanted = dict.fromkeys((*provider_libraries("cuda"), *provider_libraries("tensorrt"), *_LIBRARIES))
    with ThreadPoolExecutor() as pool:
        answers = {device: pool.submit(ask, _probe("device", device), DEVICE_TIMEOUT_S) for device in named}
        asked = pool.submit(ask, _probe("nvidia"))
        libraries = pool.submit(ask, _probe("libraries", *wanted))
        smi = pool.submit(nvidia_smi)
        packages = runtime_packages()
        machine, refused = machine_of(asked.result())
        found = libraries.result().value or {"found": {}, "versions": {}}
        needs = {name: provider_libraries(name) for name in ("cuda", "tensorrt")}
        sections = {
            "devices": tuple(
                device_finding(device, answers[device].result(), packages, machine) for device in named
            ),
            "NVIDIA": (
                *nvidia_findings(machine, refused, smi.result(), found["versions"]),
                *mismatches(packages, machine, needs, found["found"]),
            ),
            "packages": tuple(
                Finding(name, OK, version) for name, version in packages.items() if name.startswith(_RUNTIMES)
            ),
            "machine": machine_findings(),
            "cache": (cache_finding(cache_dir()),),
            "bundles": bundle_findings(),
        }
    working = [finding.name for finding in sections["devices"] if finding.state == OK]
    auto = next((device for device in AUTO_ORDER if device in working), None)
    engine = {
        "version": engine_version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    return Report(engine, auto, sections, packages)


def runtime_packages() -> dict[str, str]:
    """Installed distributions that the engine's runtimes consist of, with their versions.

    Of ONNX Runtime's only those of the module that is imported, where it is of any: others may lie further down the
    path.
    """
    found: dict[str, str] = {}
    further: set[str] = set()
    spec = importlib.util.find_spec("onnxruntime")
    imported = {Path(folder).resolve() for folder in (spec and spec.submodule_search_locations) or ()}
    for distribution in distributions():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        if name.startswith((*_RUNTIMES, *_NVIDIA_PACKAGES)) and not name.endswith("-telemetry"):
            found.setdefault(name, distribution.version)
            folder = Path(str(distribution.locate_file("onnxruntime"))).resolve()
            if name in _PACKAGES["cpu"] and folder not in imported:
                further.add(name)
    if any(name in _PACKAGES["cpu"] and name not in further for name in found):
        found = {name: version for name, version in found.items() if name not in further}
    return dict(sorted(found.items()))


def device_finding(
    device: str, answer: Answer, packages: Mapping[str, str], machine: nvidia.Nvidia
) -> Finding:
    """What became of a real inference on a device."""
    facts = answer.value or {}
    if facts.get("works"):
        also = "".join(f", also {precision}" for precision in facts["native_precisions"])
        threads = "" if device in _GPU_DEVICES else f", {facts['threads']} threads"
        return Finding(device, OK, f"{facts['runtime']}{threads}{also}", None, facts)
    installed = [name for name in _PACKAGES.get(device, ()) if name in packages]
    if answer.failure is not None:
        again = [installed[0]] if installed else REQUIREMENTS["gpu" if device == "cuda" else device]
        named = " ".join(f"'{name}'" for name in again)
        return Finding(device, BROKEN, answer.failure, f"pip install --force-reinstall {named}", facts)
    message = str(facts.get("message", "no answer"))
    what, cure = split_cure(message.removeprefix(f"device {device}: "))
    nothing_to_use = device in _GPU_DEVICES and machine.cuda is None and not machine.hardware
    return Finding(device, ABSENT if nothing_to_use or not installed else BROKEN, what, cure, facts)


def machine_of(answer: Answer) -> tuple[nvidia.Nvidia, str | None]:
    """What `probe_nvidia` answered, and how it failed where it did: then nothing is known of the driver."""
    if answer.value is None:
        return nvidia.Nvidia(), answer.failure
    value = dict(answer.value)
    value["cuda"] = tuple(value["cuda"]) if value["cuda"] else None
    value["gpus"] = tuple(
        nvidia.Gpu(
            gpu["name"], (gpu["compute_capability"][0], gpu["compute_capability"][1]), gpu["memory_bytes"]
        )
        for gpu in value["gpus"]
    )
    return nvidia.Nvidia(**value), None


def nvidia_smi() -> str | None:
    """Driver version by nvidia-smi, None where it is not there or does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.split()
    return lines[0] if done.returncode == 0 and lines else None


def nvidia_findings(
    machine: nvidia.Nvidia, refused: str | None, smi: str | None, versions: Mapping[str, str]
) -> list[Finding]:
    """Driver, GPUs, and the versions that the libraries say of themselves."""
    facts = {**asdict(machine), "nvidia_smi": smi}
    if refused is not None:
        return [Finding("driver", BROKEN, f"asking it {refused}", "reinstall the NVIDIA driver", facts)]
    driver = machine.kernel_driver or smi
    problem = nvidia.gpu_problem(machine)
    if problem is None:
        serves = "" if machine.cuda is None else f", serves CUDA up to {machine.cuda[0]}.{machine.cuda[1]}"
        found = [Finding("driver", OK, f"{driver or 'of unknown version'}{serves}", None, facts)]
    else:
        state = ABSENT if machine.cuda is None and not driver and not machine.hardware else BROKEN
        found = [Finding("driver", state, problem.what, problem.cure, facts)]
    for index, gpu in enumerate(machine.gpus):
        capability = "{}.{}".format(*gpu.compute_capability)
        detail = f"{gpu.name}, compute capability {capability} ({gpu.arch}), {format_bytes(gpu.memory_bytes)}"
        found.append(Finding(f"GPU {index}", OK, detail, None, {**asdict(gpu), "arch": gpu.arch}))
    return found + [Finding(name, OK, version) for name, version in versions.items()]


def mismatches(
    packages: Mapping[str, str],
    machine: nvidia.Nvidia,
    needs: Mapping[str, Sequence[str]],
    found: Mapping[str, str | None],
) -> list[Finding]:
    """Versions that do not go together, whether or not anything has failed over them yet.

    `needs`: NVIDIA libraries that ONNX Runtime's "cuda" and "tensorrt" providers ask for; `found`: where they
    are, None for nowhere.
    """
    result = []
    has_gpu = bool(machine.gpus or machine.hardware)
    several = [name for name in packages if name.startswith("onnxruntime") and "extensions" not in name]
    if len(several) > 1:
        keep = "gpu" if has_gpu and "onnxruntime-gpu" in several else "cpu"
        result.append(
            Finding(
                "ONNX Runtime",
                WARNING,
                f"{' and '.join(several)} are all installed into one folder, and only the last one is there",
                f"pip uninstall -y {' '.join(several)} && {install_command(keep)}",
            )
        )
    elif several and machine.gpus and not needs.get("cuda"):
        result.append(
            Finding(
                "ONNX Runtime",
                WARNING,
                "there is a GPU, but the installed ONNX Runtime is the one without CUDA",
                f"pip uninstall -y {several[0]} && {install_command('gpu')}",
            )
        )
    built_for = nvidia.cuda_major(needs.get("cuda", ()))
    if built_for is not None and machine.cuda is not None:
        problem = nvidia.gpu_problem(machine, built_for)
        if problem is not None:
            result.append(Finding(f"CUDA {built_for}", BROKEN, f"ONNX Runtime: {problem.what}", problem.cure))
    missing = nvidia.library_problem(
        nvidia.Libraries({name: found.get(name) for name in needs.get("cuda", ()) if name in found})
    )
    if missing is not None and has_gpu:
        result.append(Finding("libraries", BROKEN, f"ONNX Runtime: {missing.what}", missing.cure))
    result.extend(_tensorrt_mismatch(packages, needs.get("tensorrt", ())))
    return result


def _tensorrt_mismatch(packages: Mapping[str, str], needs: Sequence[str]) -> list[Finding]:
    """ONNX Runtime's own TensorRT provider, which this engine does not use, loads one major version only."""
    wanted = {major for stem, major in map(nvidia.library_version, needs) if stem == "nvinfer"}
    name = next((name for name in _PACKAGES["tensorrt"] if name in packages), None)
    if name is None or not wanted or packages[name].split(".")[0] in map(str, wanted):
        return []
    major = min(number for number in wanted if number is not None)
    detail = (
        f"TensorRT {packages[name]} is installed, ONNX Runtime's TensorRT provider is built for {major} "
        "(of no account for --device tensorrt)"
    )
    return [Finding("TensorRT", WARNING, detail, f"pip install '{name}=={major}.*'")]


def machine_findings() -> tuple[Finding, ...]:
    """Processor, cores and memory."""
    cpu, ram = processor(), memory()
    held = [f"affinity {cpu.affinity}"] if cpu.affinity < cpu.cores else []
    held += [f"container quota {cpu.quota:g}"] if cpu.quota is not None else []
    of = f"{cpu.usable} of {cpu.cores}" + (f" ({', '.join(held)})" if held else "")
    found = [
        Finding("processor", OK, cpu.model, None, asdict(cpu)),
        Finding("cores", OK, of),
        Finding("instructions", OK, ", ".join(cpu.features) or "none of those that matter here"),
    ]
    limit = "" if ram.limit_bytes is None else f", limited to {format_bytes(ram.limit_bytes)}"
    detail = f"{format_bytes(ram.available_bytes)} free of {format_bytes(ram.total_bytes)}{limit}"
    found.append(Finding("memory", OK, detail, None, asdict(ram)))
    return tuple(found)


def cache_finding(folder: Path) -> Finding:
    """Whether the cache folder can be written, and how much lies in it."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    facts: dict[str, Any] = {"path": str(folder), "files": len(sizes), "size_bytes": sum(sizes)}
    try:
        free = shutil.disk_usage(existing).free
        if not existing.is_dir():
            raise NotADirectoryError(20, "a file stands in its way")
        with tempfile.TemporaryFile(dir=existing):  # os.access believes a read-only mount is writable
            pass
    except OSError as error:
        cure = "export REALM_CACHE_DIR=/a/folder/that/can/be/written"
        detail = f"{folder} cannot be written ({error.strerror}); everything runs, uncached"
        return Finding("folder", BROKEN, detail, cure, {**facts, "writable": False})
    if not folder.exists():
        detail = f"{folder} (made when first needed)"
    else:
        detail = f"{folder}, {len(sizes)} files, {format_bytes(sum(sizes))}"
    detail += f"; {format_bytes(free)} free on the disk"
    return Finding("folder", OK, detail, None, {**facts, "writable": True, "free_bytes": free})


def bundle_findings(open_bundle: Callable[..., Bundle] = Bundle.open) -> tuple[Finding, ...]:
    """Every bundle that has a name: whether it is complete, and whether `tune` has measured it here."""
    found = []
    for name, folder in installed_bundles().items():
        try:
            contents = Contents(open_bundle(folder, verify=False))
        except RealmError as error:
            what, cure = split_cure(str(error))
            found.append(Finding(name, BROKEN, what, cure, {"path": str(folder)}))
            continue
        parts = {part.name: contents.bundle.precisions(part) for part in contents.parts}
        has = ", ".join(f"{part} {'/'.join(files)}" for part, files in parts.items() if files)
        record = load_tuned(contents.bundle)
        tuned = "not tuned on this machine" if record is None else f"tuned {record.date}"
        facts = {"path": str(folder), "precisions": parts, "tuned": None if record is None else record.date}
        found.append(Finding(name, OK, f"{has}; {tuned}", None, facts))
    return tuple(found)


def _probe(*arguments: str) -> list[str]:
    return of_this_package("realm_engine.doctor.probe", *arguments)
