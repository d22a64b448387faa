"""The Python API of a TensorRT, as far as REALM uses it: which members its classes have.

TensorRT's bindings install without its libraries, but cannot be imported without them. All they need for that
are nine C functions, which a compiler makes in a moment: nothing is computed, only the classes are defined.

    pip install --target FOLDER --no-deps tensorrt-cu13-bindings==11.4.0.106
    python tests/support/tensorrt_api.py FOLDER > tests/support/data/tensorrt-11.4.0.106.json
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

DATA = Path(__file__).parent / "data"

# Every class and member that realm_engine.runtimes.tensorrt uses. "?": only where it exists.
USED: dict[str, tuple[str, ...]] = {
    "Builder": (
        "create_network",
        "create_builder_config",
        "create_optimization_profile",
        "build_serialized_network",
    ),
    "BuilderFlag": ("TF32",),
    "ExecutionContextAllocationStrategy": ("USER_MANAGED",),
    "IBuilderConfig": (
        "add_optimization_profile",
        "clear_flag",
        "create_timing_cache",
        "progress_monitor",
        "set_timing_cache",
    ),
    "IConstantLayer": ("weights",),
    "ICudaEngine": ("create_execution_context",),
    "IExecutionContext": (
        "device_memory",
        "execute_async_v3",
        "get_tensor_shape",
        "set_device_memory?",
        "set_input_shape",
        "set_optimization_profile_async",
        "set_tensor_address",
        "update_device_memory_size_for_shapes",
    ),
    "ILayer": ("get_input", "get_output", "type"),
    "ILogger": ("Severity", "log"),
    "INetworkDefinition": ("get_layer", "num_layers"),
    "IOptimizationProfile": ("set_shape",),
    "IProgressMonitor": ("phase_finish", "phase_start", "step_complete"),
    "ITensor": ("dtype", "name"),
    "ITimingCache": ("serialize",),
    "LayerType": ("CONSTANT", "DEQUANTIZE"),
    "NetworkDefinitionCreationFlag": ("STRONGLY_TYPED",),
    "OnnxParser": ("get_error", "num_errors", "parse_from_file"),
    "ParserError": ("desc", "node", "node_name", "node_operator"),
    "Runtime": ("deserialize_cuda_engine",),
    "Weights": ("numpy",),
}
# What only TensorRT-RTX is asked for.
USED_RTX: dict[str, tuple[str, ...]] = {
    "ComputeCapability": ("SM89", "SM120"),
    "CudaGraphStrategy": ("DISABLED", "WHOLE_GRAPH_CAPTURE"),
    "EngineInvalidityDiagnostics": ("VERSION_MISMATCH",),
    "EngineValidity": ("VALID",),
    "IBuilderConfig": ("num_compute_capabilities", "set_compute_capability"),
    "ICudaEngine": ("create_runtime_config",),
    "IRuntimeCache": ("deserialize", "serialize"),
    "IRuntimeConfig": (
        "create_runtime_cache",
        "cuda_graph_strategy",
        "set_execution_context_allocation_strategy",
        "set_runtime_cache",
    ),
    "Runtime": ("get_engine_validity",),
}

_FUNCTIONS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)
_LIBRARIES = ("nvinfer", "nvonnxparser", "nvinfer_plugin")


def members(module: ModuleType) -> dict[str, list[str]]:
    """Public members of the classes that REALM uses."""
    return {
        name: sorted(member for member in dir(getattr(module, name)) if not member.startswith("_"))
        for name in sorted({*USED, *USED_RTX})
        if hasattr(module, name)
    }


def import_bindings(folder: Path, major: int) -> ModuleType:
    """Import `tensorrt_bindings` without TensorRT. Raises RuntimeError where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("no C compiler")
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "empty.c"
        source.write_text("\n".join(f"int {name}(void) {{ return 0; }}" for name in _FUNCTIONS))
        for library in _LIBRARIES:
            name = f"lib{library}.so.{major}"
            path = str(Path(place) / name)
            subprocess.run(
                [compiler, "-shared", "-fPIC", str(source), "-o", path, f"-Wl,-soname,{name}"], check=True
            )
            ctypes.CDLL(path, mode=os.RTLD_GLOBAL | os.RTLD_NOW)
        sys.path.insert(0, str(folder))
        return importlib.import_module("tensorrt_bindings")


def main() -> None:
    folder = Path(sys.argv[1])
    (found,) = folder.glob("tensorrt_cu*_bindings-*.dist-info")
    version = found.name.split("-")[1].removesuffix(".dist")
    module = import_bindings(folder, int(version.split(".")[0]))
    print(json.dumps({"version": module.__version__, "members": members(module)}, indent=1))


if __name__ == "__main__":
    main()
