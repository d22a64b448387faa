"""`realm-engine build` and `realm-engine cache`: real engines of a small bundle, for GPUs that are not here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from realm_engine.runtimes.devices import available


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


@pytest.fixture
def build(cli, bundle_path):
    pytest.importorskip("tensorrt_rtx")

    def run(*arguments, device="tensorrt-rtx"):
        return cli("build", bundle_path, "--device", device, *arguments)

    return run


def test_build_then_list_then_prune(build, cli, own_cache, tmp_path) -> None:
    first = build("--gpu-arch", "sm_89", "--precision", "fp16", "--output", tmp_path / "copy")
    assert first.exit_code == 0
    copies = [Path(line) for line in first.stdout.splitlines()]
    assert len(copies) == 4 and all(path.parent == tmp_path / "copy" for path in copies)
    assert "4 engines for sm_89: 4 to build, about" in first.stderr and "built in" in first.stderr

    again = build("--gpu-arch", "89", "--precision", "fp16")
    assert again.exit_code == 0 and "all in the cache" in again.stderr
    kept = [Path(line) for line in again.stdout.splitlines()]
    assert [path.read_bytes() for path in kept] == [path.read_bytes() for path in copies]

    (own_cache / "stray.plan").write_bytes(b"?")
    listed = cli("cache", "list")
    assert len(listed.stdout.splitlines()) == 4 and "test-bundle/dream.fp16.onnx  fp16" in listed.stdout
    assert "stray.plan: not an engine of ours" in listed.stderr
    facts = json.loads(cli("cache", "list", "--json").stdout)
    assert len(facts["engines"]) == 4 and facts["foreign"] == [str(own_cache / "stray.plan")]
    assert {entry["arch"] for entry in facts["engines"]} == {"sm_89"}

    pruned = cli("cache", "prune")
    assert pruned.stdout.splitlines() == [str(own_cache / "stray.plan")]
    assert "1 removed" in pruned.stderr
    assert len(cli("cache", "prune", "--max-size", "0").stdout.splitlines()) == 4
    assert cli("cache", "list").stdout == ""


def test_a_damaged_engine_is_named_and_built_anew(build, own_cache) -> None:
    build("--gpu-arch", "sm_89")
    path = next(own_cache.glob("dream-*.plan"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    again = build("--gpu-arch", "sm_89")
    assert again.exit_code == 0 and again.stderr.count("built in") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gpu-arch", "sm_90"], "does not build for 'sm_90'; choose from sm_75"),
        (["--gpu-arch", "sm_89", "--precision", "int8"], "no int8 variant; this bundle has fp32, fp16"),
    ],
)
def test_what_cannot_be_built_is_one_line(build, arguments, words) -> None:
    result = build(*arguments)
    assert result.exit_code == 2 and result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ") and words in line


def test_without_a_gpu_build_names_the_architectures(build) -> None:
    pytest.importorskip("cuda.bindings.runtime")
    if not available()["tensorrt-rtx"].startswith("not available"):
        pytest.skip("there is a GPU")
    result = build()
    assert result.exit_code == 2 and "for a GPU elsewhere give --gpu-arch, from sm_75" in result.stderr


def test_two_processes_build_every_engine_once(build, bundle_path, own_cache) -> None:
    code = "from realm_engine.cli.main import main; main()"
    arguments = ["build", str(bundle_path), "--device", "tensorrt-rtx", "--gpu-arch", "sm_86"]
    command = [sys.executable, "-c", code, *arguments]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum(text.count("built in") for text in said) == 4
    assert sum(text.count("in the cache") for text in said) >= 4
    assert len(list(own_cache.glob("*.plan"))) == 4 and not list(own_cache.glob("*.partial"))


def test_some_engines_that_fail_are_exit_code_1(build, monkeypatch) -> None:
    from realm_engine.errors import DeviceError
    from realm_engine.runtimes.tensorrt import engines

    real = engines.build_plan

    def sometimes(runtime, job, *rest):
        if "dream" in job.path.name:
            raise DeviceError(f"{job.path.name}: not this one")
        return real(runtime, job, *rest)

    monkeypatch.setattr(engines, "build_plan", sometimes)
    result = build("--gpu-arch", "sm_89")
    assert result.exit_code == 1 and len(result.stdout.splitlines()) == 3
    assert "failed: test-bundle/dream.onnx fp32 sm_89: dream.onnx: not this one" in result.stderr


def test_sizes_that_are_none(cli) -> None:
    result = cli("cache", "prune", "--max-size", "much")
    assert result.exit_code == 2 and "no amount of memory" in result.stderr
