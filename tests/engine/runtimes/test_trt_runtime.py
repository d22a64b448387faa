"""Finding TensorRT, CUDA and a GPU: what is missing or does not suit is said with its cure."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from trt_emulator import Driver

from realm_engine.errors import DeviceError
from realm_engine.runtimes.devices import AUTO_ORDER, DEVICES, available, open_backend
from realm_engine.runtimes.nvidia import Nvidia
from realm_engine.runtimes.tensorrt import gpu as gpu_module
from realm_engine.runtimes.tensorrt.cuda import Cuda
from realm_engine.runtimes.tensorrt.engines import Engines
from realm_engine.runtimes.tensorrt.gpu import Gpu, driver_version, find_gpu
from realm_engine.runtimes.tensorrt.runtime import open_runtime


@pytest.mark.parametrize(
    ("device", "module", "package"),
    [("tensorrt", "tensorrt", "tensorrt>=10"), ("tensorrt-rtx", "tensorrt_rtx", "tensorrt-rtx-cu13>=1.4")],
)
def test_a_missing_library_names_the_packages(monkeypatch, device, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        DeviceError, match=rf"cannot be imported.*; pip install '{package}.*' 'cuda-bindings>=12.6'"
    ):
        open_backend(device)
    assert available()[device].startswith("not available")


@pytest.mark.parametrize(
    ("version", "refused"), [("8.6.1", True), ("10.0.1", False), ("11.4.0", False), ("12.0", True)]
)
def test_versions_of_tensorrt(monkeypatch, version, refused):
    class Base:
        Severity = SimpleNamespace(ERROR=1, INTERNAL_ERROR=0, VERBOSE=4)

    monkeypatch.setitem(
        sys.modules, "tensorrt", SimpleNamespace(__version__=version, __name__="tensorrt", ILogger=Base)
    )
    if refused:
        with pytest.raises(DeviceError, match=rf"TensorRT {version} is not version 10 or 11; pip install"):
            open_runtime("tensorrt")
    else:
        assert open_runtime("tensorrt").name == f"TensorRT {version}"


def test_missing_cuda_bindings_name_the_packages(rtx, monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(
        DeviceError,
        match=r"cuda-bindings cannot be imported .*; pip install 'tensorrt-rtx-cu13>=1\.4,<2' 'cuda-bindings",
    ):
        open_backend("tensorrt-rtx")


def test_auto_never_starts_a_build():
    assert not {"tensorrt", "tensorrt-rtx"} & set(AUTO_ORDER)
    assert {"tensorrt", "tensorrt-rtx"} < set(DEVICES)


def test_without_a_gpu_the_device_says_so(rtx):
    pytest.importorskip("cuda.bindings.runtime")
    state = available()["tensorrt-rtx"]
    if not state.startswith("not available"):
        pytest.skip("there is a GPU")
    assert "no NVIDIA GPU" in state or "CUDA shows no GPU" in state
    assert "--device cpu" in state and "\n" not in state
    assert state.rpartition(": ")[2] == available()["cuda"].rpartition(": ")[2]  # one cause, one wording


@pytest.mark.parametrize(
    ("driver", "count", "words"),
    [
        (0, 1, "this machine has no NVIDIA GPU; use --device cpu"),
        (
            12040,
            1,
            r"the NVIDIA driver is for CUDA 12.4, these packages need CUDA 13.5; update the driver, or pip install "
            "'cuda-bindings<13' tensorrt-cu12, or",
        ),
        (13000, 0, "CUDA shows no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES"),
    ],
)
def test_drivers_that_do_not_suit(driver, count, words, monkeypatch):
    monkeypatch.setattr(gpu_module, "inspect", lambda: Nvidia(hardware=0))
    with pytest.raises(DeviceError, match=words) as caught:
        find_gpu(Cuda(Driver(driver, count)), "tensorrt")
    assert str(caught.value).startswith("device tensorrt: ") and "--device cpu" in str(caught.value)


def test_a_gpu_and_its_driver(tmp_path):
    gpu = find_gpu(Cuda(Driver(13020)), "tensorrt")
    assert (gpu.name, gpu.arch, gpu.memory_bytes) == ("NVIDIA GeForce RTX 4090", "sm_89", 24 << 30)
    for line, version in (
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.133.20  Sun Mar 30\nGCC version: 12\n",
            "570.133.20",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n", "580.65.06"),
        ("something else\n", None),
    ):
        (tmp_path / "version").write_text(line)
        assert driver_version(tmp_path / "version") == version
    assert driver_version(tmp_path / "none") is None


def test_a_gpu_that_rtx_does_not_run_on_is_refused_by_name(rtx):
    hopper = Gpu("NVIDIA H200", "sm_90", 141 << 30, "580.65.06")
    with pytest.raises(
        DeviceError, match=r"does not run on NVIDIA H200 \(sm_90\), only on .*use --device tensorrt"
    ):
        Engines(rtx).target(hopper)
