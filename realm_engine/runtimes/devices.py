"""The only place that knows a runtime.

Devices: `cpu` and `cuda` (ONNX Runtime), `openvino`, `tensorrt` and `tensorrt-rtx`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from realm_engine.errors import DeviceError
from realm_engine.machine.packages import install_command
from realm_engine.machine.processor import default_threads
from realm_engine.runtimes.base import Backend
from realm_engine.runtimes.words import Device

__all__ = ["AUTO_ORDER", "DEVICES", "available", "default_threads", "open_backend"]

log = logging.getLogger("realm_engine")


def _cuda(threads: int) -> Backend:
    from realm_engine.runtimes.onnxruntime import open_cuda

    return open_cuda(threads)


def _cpu(threads: int) -> Backend:
    from realm_engine.runtimes.onnxruntime import open_cpu

    return open_cpu(threads)


def _openvino(threads: int) -> Backend:
    from realm_engine.runtimes.openvino import open_openvino

    return open_openvino(threads)


def _tensorrt(threads: int) -> Backend:
    from realm_engine.runtimes.tensorrt import open_tensorrt

    return open_tensorrt(threads)


def _tensorrt_rtx(threads: int) -> Backend:
    from realm_engine.runtimes.tensorrt import open_tensorrt_rtx

    return open_tensorrt_rtx(threads)


_OPENERS: dict[str, Callable[[int], Backend]] = {
    Device.CUDA.value: _cuda,
    Device.CPU.value: _cpu,
    Device.OPENVINO.value: _openvino,
    Device.TENSORRT.value: _tensorrt,
    Device.TENSORRT_RTX.value: _tensorrt_rtx,
}
# What `auto` tries, in this order. The TensorRTs are not among it: nobody who did not ask for them should wait
# for an engine to be built.
MOST_THREADS = 1024
AUTO_ORDER = (Device.CUDA.value, Device.CPU.value, Device.OPENVINO.value)
DEVICES = tuple(device.value for device in Device)


def open_backend(device: str = "auto", threads: int | None = None) -> Backend:
    """Open a device: the named one or an error, or with "auto" the first that works of cuda, cpu, openvino.

    `threads` is the number of CPU threads of the runtime, by default what the process may use.
    Raises DeviceError with the cure when the device cannot be had.
    """
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise DeviceError(f"threads is {threads}; give a number from 1 to {MOST_THREADS}")
    count = threads or default_threads()
    if device in _OPENERS:
        return _OPENERS[device](count)
    if device != "auto":
        raise DeviceError(f"unknown device {device!r}; choose one of {', '.join(DEVICES)}")
    for name in AUTO_ORDER:
        try:
            return _OPENERS[name](count)
        except DeviceError as error:
            log.debug("auto: %s", error)
    raise DeviceError(
        f"no runtime is installed; {install_command('cpu')} (or onnxruntime-gpu for NVIDIA, openvino for Intel)"
    )


def available() -> dict[str, str]:
    """Every device with its runtime and version, or with the reason it cannot be had."""
    states = {}
    for device, opener in _OPENERS.items():
        try:
            states[device] = opener(default_threads()).runtime
        except DeviceError as error:
            states[device] = f"not available: {error}"
    return states
