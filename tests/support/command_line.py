"""What tests of several commands share: running the export as a user does, and a real Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import pytest
from repository import ROOT

# A CLIP of two layers with CLIP's own text transformer: seconds to export.
SMALL_CLIP = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def run_export(
    *arguments: object, module: str = "export", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`python -m export` in a process of its own, from the root of the repository and offline."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **(environment or {})},
    )


def interrupted(command: Sequence[str], under_way: Callable[[], bool]) -> str:
    """Start a command, send Ctrl-C when it is under way, and return what it said on stderr.

    Skips the test where the run was over before.
    """
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None and not under_way():
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("the run was over before the interrupt")
    assert process.returncode == 130
    assert "Traceback" not in stderr and stderr.splitlines()[-1] == "interrupted"
    return stderr
