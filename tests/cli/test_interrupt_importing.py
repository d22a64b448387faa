"""A Ctrl-C that strikes while a native module is imported, whose initialiser makes an ImportError of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT, SAMPLES

STRUCK = """\
try:
    raise KeyboardInterrupt
except KeyboardInterrupt as error:
    raise ImportError("initialization failed") from error
"""
PROGRAMS = {
    "onnxruntime": ("realm_engine.cli.main", "score", SAMPLES, "--device", "cpu"),
    "timm": ("realm_train.cli.main", "clip", "--data", SAMPLES, "--output", "run"),
    "onnx": ("export.__main__", "--clip", "ViT-B-32", "--output", "bundle"),
    "torch": ("benchmarks.__main__", "--quick", "--output", "results"),
}


@pytest.mark.parametrize("module", PROGRAMS)
def test_every_program_ends_as_interrupted(module: str, tmp_path: Path) -> None:
    (tmp_path / "struck").mkdir()
    (tmp_path / "struck" / f"{module}.py").write_text(STRUCK)
    program, *arguments = map(str, PROGRAMS[module])
    done = subprocess.run(
        [sys.executable, "-c", f"from {program} import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "struck"), str(ROOT)])},
    )
    assert done.returncode == 130 and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.splitlines()[-1].startswith("interrupted")
