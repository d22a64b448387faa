"""An execution context made ready for one set of shapes: its buffers, its scratch memory, its recorded run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from realm_engine.arrays import Array
from realm_engine.errors import DeviceError
from realm_engine.runtimes.base import first_line
from realm_engine.runtimes.tensorrt.buffers import Buffers
from realm_engine.runtimes.tensorrt.cuda import Cuda, DeviceArray, DevicePool
from realm_engine.runtimes.tensorrt.interface import Interface
from realm_engine.runtimes.tensorrt.recording import Recording


class Lane:
    """One execution context, told its shapes and addresses; whatever changes them drops the recording."""

    def __init__(
        self, cuda: Cuda, pool: DevicePool, context: Any, interface: Interface, record: bool
    ) -> None:
        self._context = context
        self._interface = interface
        self._buffers = Buffers(cuda, pool)
        self._recording = Recording(cuda, interface.where, record)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._scratch_bytes = 0
        self._scratch: tuple[int, int] | None = None

    def select_profile(self, profile: int, stream: Any) -> None:
        """Run within this shape profile of the plan."""
        if not self._context.set_optimization_profile_async(profile, int(stream)):
            raise DeviceError(f"{self._interface.where}: shape profile {profile} is not in the engine")

    def set_shapes(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Tell the context its input shapes; makes buffers for the outputs."""
        if shapes == self._shapes:
            return
        self._recording.forget()
        self._shapes = {}
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, shape):
                raise DeviceError(
                    f"{self._interface.where}: the engine refuses {name} of shape {shape}; "
                    "realm-engine cache prune --max-size 0, then try again"
                )
        self._release()
        for tensor in self._interface.outputs:
            shape = tuple(int(size) for size in self._context.get_tensor_shape(tensor.name))
            if min(shape, default=1) < 0:
                raise DeviceError(
                    f"{self._interface.where}: the shape of {tensor.name} is not known: {shape}"
                )
            self._address(tensor.name, self._buffers.make(tensor.name, shape, tensor.dtype))
        self._scratch_bytes = int(self._context.update_device_memory_size_for_shapes())
        self._scratch = None  # where it lies has to be said again
        self._shapes = shapes

    def load(self, feeds: Mapping[str, Array | DeviceArray], stream: Any) -> None:
        """Copy what is on the host; what is on the device already is used there."""
        for tensor in self._interface.inputs:
            value = feeds[tensor.name]
            if isinstance(value, DeviceArray):
                address = value.address
            else:
                address = self._buffers.upload(tensor.name, value, stream)
            self._address(tensor.name, address)

    def scratch_bytes(self) -> int:
        """Scratch memory that the present shapes need."""
        return self._scratch_bytes

    def use_scratch(self, scratch: DeviceArray) -> None:
        """Use this scratch memory."""
        if self._scratch == (scratch.address, scratch.nbytes):
            return
        self._recording.forget()
        if hasattr(self._context, "set_device_memory"):
            self._context.set_device_memory(scratch.address, scratch.nbytes)
        else:  # TensorRT 10.0
            self._context.device_memory = scratch.address
        self._scratch = (scratch.address, scratch.nbytes)

    def execute(self, stream: Any, reason: Callable[[], str]) -> None:
        """Run. Raises DeviceError with the runtime's `reason` when the engine fails, and CudaError."""
        if not self._recording.run(lambda: bool(self._context.execute_async_v3(int(stream))), stream):
            text = first_line(Exception(reason() or "it does not say why"))
            raise DeviceError(f"{self._interface.where}: the engine failed: {text}")

    def fetch(self, name: str, stream: Any) -> Array:
        """Start copying an output to the host; valid once the stream is synchronised, until the next run."""
        return self._buffers.fetch(name, stream)

    def _address(self, name: str, address: int) -> None:
        if self._addresses.get(name) == address:
            return
        self._recording.forget()
        if not self._context.set_tensor_address(name, address):
            raise DeviceError(f"{self._interface.where}: the engine has no tensor {name!r}")
        self._addresses[name] = address

    def _release(self) -> None:
        self._buffers.close()
        self._addresses.clear()

    def close(self) -> None:
        """Free the context and its buffers."""
        self._recording.forget()
        self._context = None
        self._release()
