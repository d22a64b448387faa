"""`python -m benchmarks` as its users run it, on the embedded default."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from repository import ROOT

from benchmarks.gpu import answers


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=300)


def test_maps_of_the_embedded_default(tmp_path):
    output = tmp_path / "results"
    options = ["--models", "tiny", "--windows", "15", "--repeats", "2", "--device", "cpu", "--threads", "1"]
    options += ["--quick"]
    done = benchmarks("dream", *options, "--output", str(output))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    data = json.loads((output / "results.json").read_text(encoding="utf-8"))
    (case,) = data["cases"]
    rows = {row["key"]: row for row in case["rows"]}
    for key in ("published fp32", "eager fp32", "engine cpu fp32, each window"):
        assert len(rows[key]["seconds"]) >= 2
        assert (
            rows[key]["accuracy"]["max_abs_diff"] <= 1e-4
        )  # the engine is exact, on the artefact that was timed
    one_pass = [rows[key]["accuracy"] for key in ("eager fp32, one pass", "engine cpu fp32")]
    assert one_pass[0]["pearson"] == pytest.approx(one_pass[1]["pearson"], abs=1e-4) != 1
    assert len(rows["engine cpu fp32"]["seconds"]) >= 2
    assert [key for key in rows if key.startswith("engine")] == [
        "engine cpu fp32, each window",
        "engine cpu fp32",
    ]
    assert 0.05 < case["gflop_per_unit"] < 0.2
    assert data["machine"]["peaks"]["fp32"] > 0
    report = (output / "results.md").read_text(encoding="utf-8")
    assert "| contender | realm-tiny, 15 windows | realm-tiny: Pearson, largest difference |" in report
    assert "`python -m benchmarks dream --models tiny --windows 15" in report
    assert str(ROOT) not in report + json.dumps(data)
    assert str(tmp_path) not in report + json.dumps(data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nothing"),
        (["--models", "huge"], "'huge' is unknown; choose from tiny, vitb32"),
        (["--windows", "7"], "'7' is unknown"),
        (["--repeats", "0"], "repeats"),
        (["--device", "cuda"], "--device cuda: not available"),
    ],
)
def test_bad_usage_is_one_line(arguments, message, tmp_path):
    done = benchmarks(*arguments, "--output", str(tmp_path / "results"))
    if arguments == ["--device", "cuda"] and done.returncode == 0:
        pytest.skip("there is a GPU")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert message in done.stderr
    assert not (tmp_path / "results").exists()


def test_help():
    done = benchmarks("-h")
    assert done.returncode == 0
    for word in ("dream", "core", "fast", "startup", "sizes", "--quick", "--models", "results.md"):
        assert word in done.stdout


def test_questions_to_a_gpu_go_on_where_one_fails():
    """The CPU against itself, and a device that nobody has."""
    *refused, measured, one, other = answers(["same", "settings"], ["abacus", "cpu"], small=True)
    assert [each["precision"] for each in refused] == ["fp32", "fp16"]
    for each in refused:
        assert (each["question"], each["device"]) == ("same", "abacus")
        assert "device 'abacus'" in each["error"]
    assert [each["note"] for each in (one, other)] == ["these are settings of cuda"] * 2
    assert (measured["question"], measured["device"]) == ("same", "cpu")
    assert measured["mos_largest_difference"] == measured["map_largest_difference"] == 0


def test_the_suite_for_gpus_in_miniature(tmp_path):
    """Where there is no GPU the CPU answers everything, PyTorch beside it."""
    done = benchmarks("gpu", "--quick", "--device", "cpu", "--threads", "2", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "results.md").read_text(encoding="utf-8")
    (table,) = [part for part in report.split("## ") if part.startswith("What does a GPU make of it?")]
    for row in (
        "map of 2337 windows, fp32",
        "8 files of five sizes",
        "eager bf16",
        "published fp32",
        "4 pictures",
    ):
        assert f"| {row}" in table, row
    data = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    (said,) = [each for each in data["tables"] if each["name"] == "gpu answers"]
    shares = [row[0]["share_of_peak"] for row in said["rows"] if "share_of_peak" in row[0]]
    assert len(shares) >= 4 and all(0 < share < 1.2 for share in shares)
