"""Runtimes that report to their makers are told not to, before they are imported.

OpenVINO posts to Google Analytics when it is imported, by its package `openvino_telemetry`; ONNX Runtime's official
builds write a device id below the home folder and upload events. Whoever scores a picture asked for neither.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

ORT_VARIABLE = "ORT_DISABLE_TELEMETRY"  # read once, while ONNX Runtime is imported
_OPENVINO_PACKAGE = "openvino_telemetry"


def switch_off() -> None:
    """Switch the telemetry of ONNX Runtime and OpenVINO off for this process and those that it starts.

    Comes before `import onnxruntime` and `import openvino`, and is too late for what a host has imported earlier.
    What the user decided stays: any value of ORT_DISABLE_TELEMETRY, and OpenVINO's file of consent that says yes.

    OpenVINO has no variable for it, and its own `opt_in_out --opt_out` goes online and writes into the home folder.
    But it does without the package where that cannot be imported, which None in `sys.modules` means.
    """
    os.environ.setdefault(ORT_VARIABLE, "1")
    if not _agreed_to_openvino():
        sys.modules.setdefault(_OPENVINO_PACKAGE, None)  # type: ignore[arg-type]


def is_off() -> bool:
    """Whether ONNX Runtime is to report nothing: by `switch_off`, or by the user."""
    return os.environ.get(ORT_VARIABLE) == "1"


def _agreed_to_openvino() -> bool:
    """Whether the user ran `opt_in_out --opt_in`; where the answer lies is said by `openvino_telemetry`."""
    with suppress(OSError, RuntimeError, UnicodeDecodeError):  # no file, no home folder, no text: no consent
        if sys.platform == "win32":
            folder = Path(os.path.expandvars("$LOCALAPPDATA"), "Intel Corporation")
        else:
            folder = Path.home() / "intel"
        return (folder / _OPENVINO_PACKAGE).read_text(encoding="utf-8").split("\n", 1)[0].strip() == "1"
    return False
