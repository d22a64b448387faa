"""`python -m export.tensorrt`: from a configuration to engines in one step, and what is refused before the export."""

from __future__ import annotations

import json
import subprocess

import pytest
from command_line import SMALL_CLIP, run_export


@pytest.fixture
def one_step(tmp_path):
    (tmp_path / "clip.json").write_text(json.dumps(SMALL_CLIP), encoding="utf-8")

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        clip = ["--clip", tmp_path / "clip.json", "--clip-weights", "random", "--output", tmp_path / "small"]
        cache = {"REALM_CACHE_DIR": str(tmp_path / "cache")}
        return run_export(*arguments, *clip, module="export.tensorrt", environment=cache)

    return run


def test_a_bundle_and_its_engines_in_one_step(one_step, tmp_path):
    pytest.importorskip("tensorrt_rtx")
    precisions = ["--precision", "fp32", "--precision", "int8"]
    result = one_step(
        "--device", "tensorrt-rtx", "--gpu-arch", "sm_89", "--engines", tmp_path / "engines", *precisions
    )
    assert result.returncode == 0, result.stderr
    manifest = json.loads((tmp_path / "small" / "bundle.json").read_text())
    assert manifest["fidelity"]["int8"]["graphs"]["dream"]["for"] == "tensorrt"  # without being asked
    assert len(list((tmp_path / "engines").glob("*.plan"))) == 3  # the text tower in fp32 serves int8 too
    assert not list((tmp_path / "small").glob("*.plan"))  # a bundle holds no engine
    assert "dream.int8.onnx int8 sm_89: " in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "tensorrt-rtx", "--gpu-arch", "sm_12"], "sm_12"),
        (["--device", "tensorrt-rtx", "--gpu-arch", "sm_89", "--precision", "fp7"], "fp7"),
    ],
)
def test_what_cannot_be_built_is_refused_before_the_export(one_step, tmp_path, arguments, words):
    pytest.importorskip("tensorrt_rtx")
    result = one_step(*arguments)
    assert result.returncode == 2 and words in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "small").exists()
