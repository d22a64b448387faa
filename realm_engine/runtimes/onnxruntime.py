"""ONNX Runtime on CPU and on NVIDIA GPUs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from realm_engine.arrays import Array
from realm_engine.errors import ClosedError, DeviceError, DeviceMemoryError, raise_interrupt
from realm_engine.machine import telemetry
from realm_engine.machine.packages import install_command
from realm_engine.runtimes import nvidia
from realm_engine.runtimes.base import contiguous, first_line
from realm_engine.runtimes.elf import needed_libraries
from realm_engine.runtimes.links import without_links
from realm_engine.runtimes.padding import ROW_SIZES

_SEVERITY_FATAL = 4
# Of a call with so large inputs the arena keeps nothing for the next one: the gigabyte of one picture would be there
# beside that of another graph. Asking for it again costs a hundredth of such a call.
_LARGE_BYTES = 8 << 20
_KEEP_NOTHING = ("memory.enable_memory_arena_shrinkage", "cpu:0")
# What ONNX Runtime's arena and CUDA say where there is no memory.
_NO_MEMORY = (
    "Failed to allocate memory",
    "bad_alloc",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


class OnnxRuntimeSession:
    """One graph opened by ONNX Runtime; `bound` sends every call through I/O binding."""

    def __init__(self, module: ModuleType, session: Any, path: Path, bound: bool) -> None:
        self._module = module
        self._session = session
        self._path = path
        self._bound = bound

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Array]:
        """See `Session.run`."""
        session = self._session  # another thread may close the engine meanwhile
        if session is None:
            raise ClosedError(f"{self._path.name}: the engine is closed; open it again")
        try:
            if self._bound:
                return self._run_bound(session, inputs, outputs)
            feeds = {name: contiguous(array) for name, array in inputs.items()}
            return list(session.run(list(outputs), feeds, self._options(feeds)))
        except Exception as error:  # ONNX Runtime's exceptions share no public base
            what = f"{self._path.name}: ONNX Runtime failed: {first_line(error)}"
            if any(words in str(error) for words in _NO_MEMORY):
                raise DeviceMemoryError(f"{what}; use smaller images, or --device cpu") from error
            raise DeviceError(what) from error

    def _options(self, feeds: Mapping[str, Array]) -> Any:
        """How to run these; None: as usual."""
        if sum(array.nbytes for array in feeds.values()) < _LARGE_BYTES:
            return None
        options = self._module.RunOptions()
        options.add_run_config_entry(*_KEEP_NOTHING)
        return options

    @staticmethod
    def _run_bound(session: Any, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Array]:
        """What is on the device already is used there; only the outputs come back."""
        binding = session.io_binding()
        for name, value in inputs.items():
            if isinstance(value, np.ndarray):
                binding.bind_cpu_input(name, contiguous(value))
            else:
                binding.bind_ortvalue_input(name, value)
        for name in outputs:
            binding.bind_output(name, "cpu")
        session.run_with_iobinding(binding)
        return list(binding.copy_outputs_to_cpu())

    def close(self) -> None:
        """See `Session.close`."""
        self._session = None


class OnnxRuntimeBackend:
    """ONNX Runtime with one execution provider; the CPU only takes what a GPU provider leaves it."""

    name = "onnxruntime"

    def __init__(self, module: ModuleType, device: str, provider: str, threads: int) -> None:
        self.device = device
        self.threads = threads
        self.runtime = f"ONNX Runtime {module.__version__}"
        self.fast_fp16 = device == "cuda"
        self.native: tuple[str, ...] = ()
        # Neither on the CPU nor on CUDA.
        self.lacks: Mapping[str, str] = {"bf16": "ONNX Runtime has no bf16 convolutions"}
        self.resident = device == "cuda"
        self.texts_together = self.resident
        # Enough to fill the device, few enough that memory stays small.
        self.window_batch = 256 if device == "cuda" else 32
        self.image_batch = 32 if device == "cuda" else 8
        self.row_sizes: Mapping[str, tuple[int, ...]] = ROW_SIZES if device == "cuda" else {}
        self._module = module
        self._provider = provider

    def upload(self, array: Array) -> Any:
        """See `Backend.upload`. Raises DeviceError when the device's memory does not suffice."""
        if not self.resident:
            return array
        try:
            return self._module.OrtValue.ortvalue_from_numpy(contiguous(array), self.device, 0)
        except Exception as error:  # ONNX Runtime's exceptions share no public base
            raise DeviceError(
                f"device {self.device}: no room for an array of {array.nbytes / 1e6:.0f} MB "
                f"({first_line(error)}); use smaller images or --device cpu"
            ) from error

    def load(self, path: Path, precision: str) -> OnnxRuntimeSession:
        """See `Backend.load`."""
        with without_links(path) as file:
            return OnnxRuntimeSession(
                self._module, self._open(str(file), precision, path.name), path, self.resident
            )

    def probe(self) -> None:
        """Start the provider on a one-node model: a build that lists it may still lack its libraries."""
        self._open(probe_model(), "fp32", f"starting {self.device}")

    def _open(self, model: str | bytes, precision: str, what: str) -> Any:
        module = self._module
        options = module.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        # Spinning workers would take the cores from the threads that decode the next images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = _SEVERITY_FATAL  # its errors are raised, in one line without colours
        settings: dict[str, str] = {}
        if self._provider == "CUDAExecutionProvider":
            settings = cuda_settings(precision)
        try:
            session = module.InferenceSession(model, options, providers=[(self._provider, settings)])
        except Exception as error:  # ONNX Runtime's exceptions share no public base
            if any(words in str(error) for words in _NO_MEMORY):
                raise DeviceMemoryError(
                    f"{what}: no memory to open it; give more with --max-memory"
                ) from error
            raise DeviceError(f"{what}: ONNX Runtime refused it: {first_line(error)}") from error
        # ONNX Runtime only logs when a provider does not start, and goes on on the CPU.
        if session.get_providers()[0] != self._provider:
            raise DeviceError(
                f"{what}: ONNX Runtime could not start {self._provider}; "
                "check the NVIDIA driver, CUDA and cuDNN, or use --device cpu"
            )
        return session


def cuda_settings(precision: str) -> dict[str, str]:
    """Settings of ONNX Runtime's CUDA provider, the others being good as they are (measured on an H200).

    With a bounded workspace for cuDNN, CORE took 1.3 times as long; with NHWC a map 1.2 times, CORE 1.3 times, and
    a shape that is new twice as long.
    """
    return {
        # fp32 is the reference: TF32 would keep 10 bits of the mantissa.
        "use_tf32": "0" if precision == "fp32" else "1",
        # EXHAUSTIVE, the default, times every algorithm of every convolution for every shape, and mapped 2.7 times as
        # slowly with what it chose; DEFAULT falls back to kernels that are 12 times as slow.
        "cudnn_conv_algo_search": "HEURISTIC",
    }


def open_cpu(threads: int) -> OnnxRuntimeBackend:
    """ONNX Runtime on the CPU. Raises DeviceError when it is not installed."""
    return OnnxRuntimeBackend(_import("cpu"), "cpu", "CPUExecutionProvider", threads)


def open_cuda(threads: int) -> OnnxRuntimeBackend:
    """ONNX Runtime on an NVIDIA GPU. Raises DeviceError when the build or the machine has no CUDA."""
    module = _import("gpu")
    if "CUDAExecutionProvider" not in module.get_available_providers():
        problem = nvidia.gpu_problem(nvidia.inspect())
        if problem is not None:  # another package would change nothing
            raise DeviceError(f"device cuda: {problem}")
        raise DeviceError(
            f"device cuda: ONNX Runtime {module.__version__} is installed without CUDA; "
            f"pip uninstall -y onnxruntime && {install_command('gpu')}"
        )
    if hasattr(module, "preload_dlls"):  # CUDA and cuDNN from pip's nvidia-* packages
        with redirect_stdout(sys.stderr):  # it prints its warnings, and stdout is for results
            module.preload_dlls()
    backend = OnnxRuntimeBackend(module, "cuda", "CUDAExecutionProvider", threads)
    try:
        backend.probe()
    except DeviceError as error:
        problem = cuda_problem()
        if problem is None:
            raise
        raise DeviceError(
            f"device cuda: ONNX Runtime could not start CUDAExecutionProvider: {problem}"
        ) from error
    return backend


def cuda_problem() -> nvidia.Problem | None:
    """What on this machine keeps ONNX Runtime's CUDA provider from starting; None where nothing is known."""
    needs = provider_libraries("cuda")
    libraries = nvidia.Libraries({name: nvidia.find_library(name) for name in needs})
    return nvidia.gpu_problem(nvidia.inspect(), nvidia.cuda_major(needs)) or nvidia.library_problem(libraries)


def provider_libraries(provider: str) -> tuple[str, ...]:
    """NVIDIA libraries that a provider of the installed ONNX Runtime asks for ("cuda", "tensorrt").

    Read from its file, nothing is loaded; empty where the package is not installed or lacks the provider.
    """
    spec = importlib.util.find_spec("onnxruntime")
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        path = Path(folder, "capi", f"libonnxruntime_providers_{provider}.so")
        if path.is_file():
            return tuple(name for name in needed_libraries(path) if nvidia.is_nvidia_library(name))
    return ()


def _import(extra: str) -> ModuleType:
    telemetry.switch_off()
    try:
        import onnxruntime
    except ImportError as error:
        raise_interrupt(error)
        raise DeviceError(
            f"ONNX Runtime cannot be imported ({first_line(error)}); {install_command(extra)}"
        ) from error
    # What goes wrong is raised; its own lines, coloured, would say it a second time.
    onnxruntime.set_default_logger_severity(_SEVERITY_FATAL)
    if telemetry.is_off():  # some builds do not know the variable, and a host may have imported them before
        onnxruntime.disable_telemetry_events()
    return onnxruntime  # type: ignore[no-any-return]


def probe_model() -> bytes:
    """The smallest ONNX model, y = Identity(x) on float32 [1], written without the `onnx` package."""

    def message(field: int, body: bytes) -> bytes:
        return bytes([field << 3 | 2, len(body)]) + body

    one = bytes([0x08, 1])  # field 1 = 1: the element type float32, and the dimension
    tensor_type = message(2, message(1, one + message(2, message(1, one))))
    node = message(1, b"x") + message(2, b"y") + message(4, b"Identity")
    graph = message(1, node) + message(2, b"probe")
    graph += message(11, message(1, b"x") + tensor_type) + message(12, message(1, b"y") + tensor_type)
    opset = bytes([0x10, 17])
    return bytes([0x08, 8]) + message(7, graph) + message(8, opset)
