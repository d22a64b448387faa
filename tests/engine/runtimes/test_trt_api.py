"""What is called of TensorRT exists in 10, 11 and RTX, and the emulated GPU has nothing that they lack."""

from __future__ import annotations

import json

import pytest
import tensorrt_api
import trt_emulator as emulator
from trt_setup import Setup, feeds, graph_launches

VERSIONS = sorted(tensorrt_api.DATA.glob("tensorrt-*.json"))


def surface(path):
    return json.loads(path.read_text(encoding="utf-8"))["members"]


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_names_exist_in_tensorrt_10_and_11(path):
    found = surface(path)
    missing = [
        f"{name}.{member}"
        for name, members in tensorrt_api.USED.items()
        for member in members
        if not member.endswith("?") and member not in found.get(name, ())
    ]
    assert not missing


def test_both_majors_are_covered():
    assert {path.stem.split("-")[1].split(".")[0] for path in VERSIONS} == {"10", "11"}


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_the_emulator_has_only_what_this_version_has(path):
    found = surface(path)
    context = emulator.Context if "set_device_memory" in found["IExecutionContext"] else emulator.OldContext
    setup = Setup(context=context)
    for name, instance in (("IExecutionContext", context(setup.device, 1)), ("ICudaEngine", setup.engine)):
        own = {member for member in dir(instance) if not member.startswith("_")} - {"contexts", "configs"}
        assert own <= set(found[name])
    assert graph_launches(setup, [feeds(seed=seed) for seed in range(4)]) == 3


def test_names_exist_in_the_installed_bindings_of_tensorrt():
    """The wheel of the bindings is there without TensorRT; its classes are read in a process of their own."""
    import importlib.metadata
    import shutil
    import subprocess
    import sys

    try:
        installed = importlib.metadata.distribution("tensorrt-cu13-bindings")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("tensorrt-cu13-bindings is not installed")
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("no C compiler to make the libraries that the bindings ask for")
    folder = str(installed.locate_file(""))
    done = subprocess.run(
        [sys.executable, tensorrt_api.__file__, folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["members"]
    assert not [
        f"{name}.{member}"
        for name, members in tensorrt_api.USED.items()
        for member in members
        if not member.endswith("?") and member not in found.get(name, ())
    ]


def test_names_exist_in_tensorrt_rtx():
    module = pytest.importorskip("tensorrt_rtx")
    found = tensorrt_api.members(module)
    for used in (tensorrt_api.USED, tensorrt_api.USED_RTX):
        assert not [
            f"{name}.{member}"
            for name, members in used.items()
            for member in members
            if not member.endswith("?") and member not in found.get(name, ())
        ]
