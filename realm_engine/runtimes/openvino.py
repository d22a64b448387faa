"""OpenVINO on the CPU: bf16 and int8 matrix units of recent processors."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from realm_engine.arrays import Array
from realm_engine.errors import ClosedError, DeviceError, raise_interrupt
from realm_engine.machine import telemetry
from realm_engine.machine.packages import install_command
from realm_engine.runtimes.base import contiguous, first_line
from realm_engine.runtimes.links import without_links

# OpenVINO computes in bf16 by itself where the processor can, so the arithmetic is always named.
_HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}
_CAPABILITIES = {"f16": "FP16", "bf16": "BF16"}


class OpenVinoSession:
    """One graph compiled by OpenVINO. Threads take turns: a request holds one call's inputs and answers."""

    def __init__(self, compiled: Any, module: ModuleType, path: Path) -> None:
        self._request = compiled.create_infer_request()
        self._module = module
        self._path = path
        self._turn = threading.Lock()

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Array]:
        """See `Session.run`."""
        with self._turn:
            if self._request is None:
                raise ClosedError(f"{self._path.name}: the engine is closed; open it again")
            try:
                self._request.infer({name: contiguous(array) for name, array in inputs.items()})
                # Copied: the request writes the next result into the same memory.
                return [self._request.get_tensor(name).data.copy() for name in outputs]
            except Exception as error:  # OpenVINO raises RuntimeError and its own types
                raise DeviceError(f"{self._path.name}: OpenVINO failed: {first_line(error)}") from error

    def close(self) -> None:
        """See `Session.close`."""
        with self._turn:
            self._request = None


class OpenVinoBackend:
    """OpenVINO's CPU plugin."""

    name = "openvino"
    device = "openvino"
    resident = False
    texts_together = False
    window_batch = 32
    image_batch = 8
    row_sizes: Mapping[str, tuple[int, ...]] = MappingProxyType({})

    def __init__(self, module: ModuleType, core: Any, threads: int) -> None:
        self.threads = threads
        self.runtime = f"OpenVINO {module.__version__.split('-')[0]}"
        self._module = module
        self._core = core
        self._capabilities = tuple(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
        self.fast_fp16 = "FP16" in self._capabilities
        can = {half: _CAPABILITIES[_HINTS[half]] in self._capabilities for half in ("bf16", "fp16")}
        self.native = tuple(half for half in can if can[half])
        self.lacks: Mapping[str, str] = {
            half: f"OpenVINO cannot compute in {half} on this processor" for half in can if not can[half]
        }

    def upload(self, array: Array) -> Any:
        """See `Backend.upload`."""
        return array

    def load(self, path: Path, precision: str) -> OpenVinoSession:
        """See `Backend.load`. Raises DeviceError for a precision this processor cannot compute in."""
        if precision in self.lacks:
            raise DeviceError(f"{path.name}: {self.lacks[precision]}; use --precision fp32")
        hint = self._beside_int8() if precision == "int8" else _HINTS.get(precision, "f32")
        config = {
            "INFERENCE_PRECISION_HINT": hint,
            "EXECUTION_MODE_HINT": "ACCURACY",
            "INFERENCE_NUM_THREADS": str(self.threads),
            "NUM_STREAMS": "1",
        }
        try:
            with without_links(path) as file:
                return OpenVinoSession(self._core.compile_model(str(file), "CPU", config), self._module, path)
        except Exception as error:  # OpenVINO raises RuntimeError and its own types
            raise DeviceError(f"{path.name}: OpenVINO refused it: {first_line(error)}") from error

    def _beside_int8(self) -> str:
        """What an int8 file's other operators compute in: bf16 where it is there, 10 % faster than float32."""
        return "bf16" if "BF16" in self._capabilities else "f32"


def open_openvino(threads: int) -> OpenVinoBackend:
    """OpenVINO on the CPU. Raises DeviceError when it is not installed or has no CPU plugin."""
    telemetry.switch_off()
    try:
        import openvino

        return OpenVinoBackend(openvino, openvino.Core(), threads)
    except ImportError as error:
        raise_interrupt(error)
        raise DeviceError(
            f"OpenVINO cannot be imported ({first_line(error)}); {install_command('openvino')}"
        ) from error
    except RuntimeError as error:
        raise DeviceError(
            f"OpenVINO cannot use this processor ({first_line(error)}); use --device cpu"
        ) from error
