"""Engines of whole bundles, and the backend that opens them, on an emulated GPU."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bundles import build_bundle
from trt_emulator import Driver

from realm_engine.errors import BundleError, DeviceError
from realm_engine.runtimes.devices import available
from realm_engine.runtimes.tensorrt import TensorRTBackend
from realm_engine.runtimes.tensorrt.builder import build_plan
from realm_engine.runtimes.tensorrt.cuda import Cuda
from realm_engine.runtimes.tensorrt.engines import Engines
from realm_engine.runtimes.tensorrt.gpu import find_gpu
from realm_engine.runtimes.tensorrt.plan_cache import EngineCache
from realm_engine.runtimes.tensorrt.runtime import parse_architectures
from realm_engine.verbs.build import build_all, plan_builds


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


# -------------------------------------------------------------- whole bundles


def test_architectures_are_read_in_any_spelling(rtx):
    assert parse_architectures("sm_89, 12.0,SM86,sm_89", rtx) == ["sm_89", "sm_120", "sm_86"]
    with pytest.raises(DeviceError, match="does not build for 'sm_90'; choose from sm_75, sm_80"):
        parse_architectures("sm_90", rtx)


def test_tensorrt_builds_only_where_it_runs(monkeypatch):
    class Base:
        Severity = SimpleNamespace(ERROR=1, INTERNAL_ERROR=0, VERBOSE=4)

    monkeypatch.setitem(
        sys.modules, "tensorrt", SimpleNamespace(__version__="11.4.0", __name__="tensorrt", ILogger=Base)
    )
    with pytest.raises(DeviceError, match="builds only on the GPU that will run the engine"):
        plan_builds("realm-tiny", "tensorrt", architectures="sm_89")


def test_a_bundle_in_a_precision_is_its_files_each_once(rtx, bundle_path, cache_folder):
    work = plan_builds(str(bundle_path), "tensorrt-rtx", "fp16", "sm_89,sm_120")
    assert len(work.recipes) == 8 and {recipe.key.precision for recipe in work.recipes} == {"fp16"}
    tiny = plan_builds("realm-tiny", "tensorrt-rtx", "auto", "sm_89")
    files = [
        "text.onnx",
        "core.onnx",
        "nss_blocks.onnx",
        "nss_whole.onnx",
        "dream.onnx",
        "trunk.onnx",
        "windows.onnx",
    ]
    assert [recipe.job.path.name for recipe in tiny.recipes] == files
    with pytest.raises(BundleError, match="no int8 variant; this bundle has fp32, fp16"):
        plan_builds(str(bundle_path), "tensorrt-rtx", "int8", "sm_89")


def test_auto_takes_what_the_manifest_recommends(rtx, tmp_path, cache_folder):
    folder = build_bundle(tmp_path / "bundle", fp16=True)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["recommended_precision"] = {"tensorrt-rtx": "fp16"}
    (folder / "bundle.json").write_text(json.dumps(manifest))
    work = plan_builds(str(folder), "tensorrt-rtx", "auto", "sm_89")
    assert {recipe.key.precision for recipe in work.recipes} == {"fp16"}


def test_one_engine_that_fails_does_not_cost_the_others(rtx, bundle_path, cache_folder, monkeypatch):
    work = plan_builds(str(bundle_path), "tensorrt-rtx", "fp32", "sm_89")
    broken = work.recipes[1].job.path.name
    built_really = build_plan

    def build(runtime, job, *rest):
        if job.path.name == broken:
            raise DeviceError(f"{broken}: no")
        return built_really(runtime, job, *rest)

    monkeypatch.setattr("realm_engine.runtimes.tensorrt.engines.build_plan", build)
    results = list(build_all(work))
    assert [result.error for result in results] == [None, f"{broken}: no", None, None]


# ------------------------------------------------- the backend, GPU emulated


@pytest.fixture
def backend(rtx, tmp_path):
    cuda = Cuda(Driver(13020))
    return TensorRTBackend(rtx, cuda, find_gpu(cuda, "tensorrt-rtx"), Engines(rtx, EngineCache(tmp_path)), 2)


def test_the_backend_uploads_to_the_device(backend):
    array = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    device = backend.upload(array)
    assert (device.shape, device.dtype, device.nbytes) == ((2, 4, 3), np.uint8, 24)
    back = np.empty_like(array)
    backend._cuda.to_host(back, device.address, 0)
    np.testing.assert_array_equal(back, array)
    backend._cuda.module.capacity = 0
    backend._pool.trim()
    with pytest.raises(DeviceError, match=r"no room for an array of 1M, .*--device cpu"):
        backend.upload(np.zeros(1 << 20, np.uint8))


def test_a_refused_engine_of_the_cache_is_removed_and_built_once_more(backend, bundle_path, caplog):
    """Here every engine is refused, for want of a GPU: the cached one is dropped, the fresh one is an error."""
    pytest.importorskip("cuda.bindings.runtime")
    if not available()["tensorrt-rtx"].startswith("not available"):
        pytest.skip("there is a GPU, which takes the engine")
    path = Path(bundle_path) / "dream.onnx"
    with pytest.raises(DeviceError, match=r"cannot open its own engine: .*check the driver"):
        backend.load(path, "fp32")
    assert caplog.text.count("building it") == 1
    caplog.clear()
    with pytest.raises(DeviceError, match="cannot open its own engine"):
        backend.load(path, "fp32")
    assert "refuses it" in caplog.text and "removed, to be built again" in caplog.text
