"""The two TensorRTs as Python modules: `tensorrt` 10 and 11, and `tensorrt_rtx`, which speaks the same API.

What differs is kept here: names, versions, which GPUs an engine can be built for and where.
"""

from __future__ import annotations

import importlib
import logging
from collections import deque
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from realm_engine.errors import DeviceError, raise_interrupt
from realm_engine.machine.packages import install_command
from realm_engine.runtimes.base import first_line

log = logging.getLogger("realm_engine")


@dataclass(frozen=True)
class Flavour:
    """One of the two TensorRTs.

    `ahead_of_time`: builds on the CPU alone, for GPUs that are not here; `majors`: versions that this code
    was written for, () for any.
    """

    device: str
    module: str
    title: str
    ahead_of_time: bool
    majors: tuple[int, ...]


TENSORRT = Flavour("tensorrt", "tensorrt", "TensorRT", ahead_of_time=False, majors=(10, 11))
TENSORRT_RTX = Flavour("tensorrt-rtx", "tensorrt_rtx", "TensorRT-RTX", ahead_of_time=True, majors=(1,))
FLAVOURS = {flavour.device: flavour for flavour in (TENSORRT, TENSORRT_RTX)}


class TrtRuntime:
    """An imported TensorRT, its logger, and what it can build for."""

    def __init__(self, flavour: Flavour, module: ModuleType) -> None:
        self.flavour = flavour
        self.module = module
        self.name = f"{flavour.title} {module.__version__}"
        self.messages = Messages()
        self.logger = make_logger(module, self.messages)
        self._opener: Any = None

    @property
    def opener(self) -> Any:
        """TensorRT's own `Runtime`, which opens engines and must outlive them: one for the process."""
        if self._opener is None:
            self._opener = self.module.Runtime(self.logger)
        return self._opener

    @property
    def architectures(self) -> dict[str, Any]:
        """Compute capabilities that it builds for without such a GPU, "sm_89" -> the module's own value."""
        if not self.flavour.ahead_of_time:
            return {}
        values = {
            f"sm_{name[2:]}": value
            for name, value in self.module.ComputeCapability.__members__.items()
            if name.startswith("SM")
        }
        return dict(sorted(values.items(), key=lambda item: int(item[0][3:])))


class Messages:
    """The last errors a runtime logged: its calls return None and say why only there."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=16)

    def add(self, line: str) -> None:
        """Keep a line."""
        self._lines.append(" ".join(line.split()))

    def take(self) -> str:
        """What was logged since the last call, the cause first; "" for nothing."""
        lines = list(dict.fromkeys(self._lines))
        self._lines.clear()
        return "; ".join(lines)


def make_logger(module: ModuleType, messages: Messages) -> Any:
    """A TensorRT logger: errors are kept for the exception that follows, the rest is for debugging."""
    base = module.ILogger
    severe = (base.Severity.ERROR, base.Severity.INTERNAL_ERROR)

    class _Logger(base):  # type: ignore[misc,valid-type]  # the class exists only once the module is there
        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in severe:
                messages.add(message)
            if severity != base.Severity.VERBOSE:
                log.debug("%s: %s", module.__name__, message)

    return _Logger()


def open_runtime(device: str) -> TrtRuntime:
    """Import a TensorRT. Raises DeviceError when it is not installed or not one this code knows."""
    flavour = FLAVOURS[device]
    cure = install_command(flavour.device)
    try:
        module = importlib.import_module(flavour.module)
    except (ImportError, OSError, RuntimeError) as error:  # OSError: a library beside it is missing
        raise_interrupt(error)
        raise DeviceError(
            f"device {device}: {flavour.title} cannot be imported ({first_line(error)}); {cure}"
        ) from error
    version = str(getattr(module, "__version__", "0"))
    major = int(version.split(".")[0]) if version.split(".")[0].isdecimal() else 0
    if flavour.majors and major not in flavour.majors:
        known = " or ".join(map(str, flavour.majors))
        raise DeviceError(f"device {device}: {flavour.title} {version} is not version {known}; {cure}")
    return TrtRuntime(flavour, module)


def parse_architectures(text: str, runtime: TrtRuntime) -> list[str]:
    """Architectures of "sm_89,sm_120" (also "89", "8.9"), in that order.

    Raises DeviceError for one that the runtime cannot build for, or when it can build for no other GPU.
    """
    known = runtime.architectures
    if not known:
        raise DeviceError(
            f"{runtime.name} builds only on the GPU that will run the engine; build there without --gpu-arch, "
            "or use --device tensorrt-rtx"
        )
    found = []
    for word in text.replace(" ", "").split(","):
        name = "sm_" + word.lower().removeprefix("sm").removeprefix("_").replace(".", "")
        if name not in known:
            raise DeviceError(f"{runtime.name} does not build for {word!r}; choose from {', '.join(known)}")
        found.append(name)
    return list(dict.fromkeys(found))
