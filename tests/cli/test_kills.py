"""Runs that are killed at random moments end as those in one go; `python tests/support/kills.py` is the long run."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from repository import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="what is killed are forks"),
]


@pytest.mark.parametrize("verb", ["score", "map", "train", "build", "tune"])
def test_what_was_killed_ends_as_in_one_go(verb, tmp_path):
    if verb == "build":
        pytest.importorskip("tensorrt_rtx")
    command = [sys.executable, str(ROOT / "tests/support/kills.py"), "--count", "4", "--verb", verb]
    folders = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": folders}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=570, check=False, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stderr
    kills = re.search(rf"{verb}: (\d+) kills in \d+ outputs", done.stdout)
    assert kills is not None and int(kills[1]) >= 4, done.stdout
    # Torch makes a folder of its own for compiled code, sometimes.
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("torchinductor")] == []
