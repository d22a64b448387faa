"""What tests of several commands share: running the export as a user does, and a real Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
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
    """Start a command, send Ctrl-C as soon as it is under way, and return what it said on stderr.

    Fails where the run was over before: give it much more to do than it takes to see that it has begun.
    """
    # A shell that runs the tests in the background has them ignore Ctrl-C, which their children would inherit.
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, ours)
    try:
        deadline = time.monotonic() + 60
        while process.poll() is None and not under_way():
            assert time.monotonic() < deadline, "the run did not get under way"
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, f"not ended by the interrupt: {stderr}"
    assert "Traceback" not in stderr and stderr.splitlines()[-1] == "interrupted"
    return stderr


def many_pictures(folder: Path, picture: np.ndarray, count: int = 1000) -> list[str]:
    """Work that is far from done when a test interrupts it: one picture (uint8 RGB) under many names, in order.

    They are hard links, so that it takes no time to make them; 1023 is the most that NTFS gives a file.
    """
    names = [f"x{number:03}.png" for number in range(count)]
    Image.fromarray(picture).save(folder / names[0], compress_level=0)
    for name in names[1:]:
        (folder / name).hardlink_to(folder / names[0])
    return names
