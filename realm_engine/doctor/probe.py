"""`python -m realm_engine.doctor.probe device NAME | nvidia | libraries NAME...`: one question, answered in JSON.

What the doctor asks in processes of their own; see `realm_engine.doctor.isolated`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from realm_engine.errors import DeviceError


def probe_device(device: str) -> dict[str, Any]:
    """Open a device and run a tiny graph on it: what it is, or the words an explicit choice fails with."""
    import numpy as np

    from realm_engine.runtimes.devices import open_backend
    from realm_engine.runtimes.onnxruntime import probe_model

    start = time.perf_counter()
    try:
        backend = open_backend(device)
        with tempfile.TemporaryDirectory(prefix="realm-probe-") as folder:
            path = Path(folder, "probe.onnx")
            path.write_bytes(probe_model())
            session = backend.load(path, "fp32")
            sent = np.array([1.25], dtype=np.float32)
            (received,) = session.run({"x": sent}, ["y"])
            session.close()
        if not np.array_equal(sent, received):
            raise DeviceError(f"device {device}: computes wrong results; reinstall its runtime")
    except DeviceError as error:
        return {"works": False, "message": str(error)}
    return {
        "works": True,
        "runtime": backend.runtime,
        "threads": backend.threads,
        "native_precisions": list(backend.native),
        "seconds": round(time.perf_counter() - start, 3),
    }


def probe_nvidia() -> dict[str, Any]:
    """Driver and GPUs."""
    from realm_engine.runtimes import nvidia

    return asdict(nvidia.inspect())


def probe_libraries(names: Sequence[str]) -> dict[str, Any]:
    """Where libraries are, and what those found say of their versions."""
    from realm_engine.runtimes import nvidia

    libraries = nvidia.Libraries({name: nvidia.find_library(name) for name in names})
    return {"found": dict(libraries.found), "versions": nvidia.runtime_versions(libraries)}


def main(arguments: Sequence[str]) -> None:
    """Answer on the last line of stdout."""
    kind, *rest = arguments
    if kind == "device":
        answer = probe_device(*rest)
    elif kind == "nvidia":
        answer = probe_nvidia()
    else:
        answer = probe_libraries(rest)
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
