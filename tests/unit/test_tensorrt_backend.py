"""TensorRT and TensorRT-RTX up to the first kernel: what is missing is said with its cure, engines are really built."""

# ruff: noqa: N802  (CUDA's own names)

from __future__ import annotations

import hashlib
import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import trt_emulator as emulator
from bundles import build_bundle
from onnx import TensorProto, helper, numpy_helper

from realm_engine.backends import AUTO_ORDER, DEVICES, available, open_backend
from realm_engine.backends.nvidia import Nvidia
from realm_engine.backends.tensorrt import TensorRTBackend
from realm_engine.backends.tensorrt import gpu as gpu_module
from realm_engine.backends.tensorrt.builder import (
    BuildJob,
    BuildProgress,
    build_plan,
    require_memory,
    timing_bytes,
    use_timing,
)
from realm_engine.backends.tensorrt.cuda import Cuda
from realm_engine.backends.tensorrt.engines import Engines, Target, default_limits, reporter
from realm_engine.backends.tensorrt.gpu import Gpu, driver_version, find_gpu
from realm_engine.backends.tensorrt.profiles import Limits, ShapeProfile
from realm_engine.backends.tensorrt.runtime import open_runtime, parse_architectures
from realm_engine.backends.tensorrt.session import EngineRejectedError, open_engine
from realm_engine.building import build_all, plan_builds
from realm_engine.bundle import Bundle
from realm_engine.engine_cache import EngineCache
from realm_engine.errors import BundleError, DeviceError
from realm_engine.manifest import TensorSpec

ARCHITECTURES = ("sm_89", "sm_120")
TINY = Bundle.open("realm-tiny", verify=False)


@pytest.fixture(scope="module")
def rtx():
    pytest.importorskip("tensorrt_rtx")
    return open_runtime("tensorrt-rtx")


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


# ------------------------------------------------------------------ missing


@pytest.mark.parametrize(("device", "module"), [("tensorrt", "tensorrt"), ("tensorrt-rtx", "tensorrt_rtx")])
def test_a_missing_library_names_the_extra(monkeypatch, device, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DeviceError, match=rf"cannot be imported.*; pip install 'realm-engine\[{device}\]'"):
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


def test_missing_cuda_bindings_name_the_extra(rtx, monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(DeviceError, match=r"cuda-bindings cannot be imported .*realm-engine\[tensorrt-rtx\]"):
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


class Driver(emulator.Runtime):
    """A CUDA runtime with a driver of some version, 0 for none."""

    def __init__(self, driver, count=1):
        super().__init__()
        self.driver, self.count = driver, count

    def cudaGetDeviceCount(self):
        code = (
            emulator.Code.cudaSuccess if self.driver >= 13000 else emulator.Code.cudaErrorInsufficientDriver
        )
        return code, self.count

    def cudaDriverGetVersion(self):
        return emulator.Code.cudaSuccess, self.driver

    def cudaRuntimeGetVersion(self):
        return emulator.Code.cudaSuccess, 13050

    def cudaGetDeviceProperties(self, index):
        found = SimpleNamespace(name=b"NVIDIA GeForce RTX 4090", major=8, minor=9, totalGlobalMem=24 << 30)
        return emulator.Code.cudaSuccess, found


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


# -------------------------------------------------------------------- builds


def recipes(bundle, engines, precision, arch):
    files = {spec.variants.get(precision, spec.variants["fp32"]) for spec in bundle.graphs.values()}
    return [engines.recipe(bundle.root / file, precision, Target(arch, here=False)) for file in sorted(files)]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_graph_of_the_embedded_default_builds(rtx, tmp_path, arch):
    engines = Engines(rtx, EngineCache(tmp_path))
    for recipe in recipes(TINY, engines, "fp32", arch):
        fractions = []
        plan = engines.plan(recipe, fractions.append, here=False)
        assert plan.built and len(plan.data) > 100_000 and plan.path is not None
        assert fractions == sorted(fractions) and 0.5 < fractions[-1] <= 1
        assert engines.plan(recipe, None, here=False).data == plan.data  # the second time from the cache
    assert {entry.key.arch for entry in engines.cache.entries()} == {arch}


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_graphs_of_a_bundle_build_in_both_precisions(rtx, bundle_path, tmp_path, arch, precision):
    engines = Engines(rtx, EngineCache(tmp_path), Limits(memory_bytes=256 << 20))
    built = recipes(Bundle.open(bundle_path), engines, precision, arch)
    assert len(built) == 4
    for recipe in built:
        assert engines.plan(recipe, lambda fraction: None, here=False).built


def test_other_contents_or_limits_are_other_engines(rtx, tmp_path):
    target = Target("sm_89", here=False)
    one, two = (build_bundle(tmp_path / str(seed), seed=seed) for seed in (0, 1))
    engines = Engines(rtx, EngineCache(tmp_path / "cache"))
    key = engines.recipe(one / "dream.onnx", "fp32", target).key
    assert key.onnx_sha256 == hashlib.sha256((one / "dream.onnx").read_bytes()).hexdigest()
    assert key.changes(engines.recipe(two / "dream.onnx", "fp32", target).key) == ["model"]
    small = Engines(rtx, engines.cache, Limits(memory_bytes=1 << 30))
    assert key.changes(small.recipe(one / "dream.onnx", "fp32", target).key) == ["shape profiles"]
    other = Target("sm_120", here=False)
    changed = key.changes(engines.recipe(one / "dream.onnx", "fp32", other).key)
    assert changed == ["GPU architecture (sm_89, now sm_120)"]


def test_memory_of_engines_can_be_limited(monkeypatch):
    monkeypatch.setenv("REALM_TENSORRT_MEMORY", "1G")
    assert default_limits().memory_bytes == 1 << 30
    monkeypatch.delenv("REALM_TENSORRT_MEMORY")
    assert default_limits() == Limits()


def job(path, *inputs):
    return BuildJob(path, "fp32", tuple(inputs), (ShapeProfile("static", {}),), "sm_89")


def one_node(path, node, inputs, output, weights=(), opset=20):
    graph = helper.make_graph(list(node), "g", inputs, [output], list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.save(model, str(path))
    return path


def test_a_file_that_cannot_be_read_is_one_line(rtx, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"\x08\x08nonsense")
    with pytest.raises(DeviceError, match=r"^bad\.onnx: TensorRT-RTX .* cannot read it: ") as caught:
        build_plan(rtx, job(tmp_path / "bad.onnx"))
    assert "\n" not in str(caught.value)
    with pytest.raises(DeviceError, match="not a readable ONNX file"):
        Engines(rtx).recipe(tmp_path / "bad.onnx", "fp32", Target("sm_89"))


def test_a_graph_that_cannot_be_built_says_why(rtx, tmp_path):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])
    path = one_node(tmp_path / "odd.onnx", [helper.make_node("NoSuchOperator", ["x"], ["y"])], [x], y)
    with pytest.raises(DeviceError, match=r"^odd\.onnx: TensorRT-RTX .* cannot read it: .*NoSuchOperator"):
        build_plan(rtx, job(path, TensorSpec("x", "float32", (2, 3))))


def test_gathered_int8_tables_build_although_tensorrt_calls_them_quantised(rtx, tmp_path):
    table = numpy_helper.from_array(np.arange(-6, 6, dtype=np.int8).reshape(4, 3), "table")
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, [2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("Cast", ["rows"], ["y"], to=TensorProto.FLOAT),
    ]
    path = one_node(tmp_path / "table.onnx", nodes, [ids], y, [table])
    plan, _ = build_plan(rtx, job(path, TensorSpec("ids", "int64", (2,))))
    assert len(plan) > 1000


def test_quantised_weights_stay_int8(rtx, tmp_path):
    """Q/DQ files: int8 constants that a DequantizeLinear reads are what TensorRT wants."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.integers(-127, 128, (64, 64), dtype=np.int8), "w"),
        numpy_helper.from_array(np.float32(0.02), "x_scale"),
        numpy_helper.from_array(np.int8(0), "zero"),
        numpy_helper.from_array(np.full(64, 0.01, np.float32), "w_scale"),
        numpy_helper.from_array(np.zeros(64, np.int8), "w_zero"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "x_scale", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "x_scale", "zero"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["wd"], axis=1),
        helper.make_node("MatMul", ["xd", "wd"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [8, 64])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [8, 64])
    path = one_node(tmp_path / "int8.onnx", nodes, [x], y, weights)
    plan, _ = build_plan(rtx, job(path, TensorSpec("x", "float32", (8, 64))))
    assert len(plan) > 1000


@pytest.mark.filterwarnings("ignore:.*Timing cache:DeprecationWarning")
def test_a_timing_cache_goes_from_build_to_build(rtx):
    """The calls that TensorRT's builds make; TensorRT-RTX still has them, though it times nothing."""
    builder = rtx.module.Builder(rtx.logger)
    kept = timing_bytes(use_timing(builder.create_builder_config(), b""))
    for known in (kept, b"no timing cache at all"):
        assert use_timing(builder.create_builder_config(), known) is not None
    assert timing_bytes(None) == b""


def test_a_plan_that_the_runtime_refuses_is_an_exception_with_its_reason(rtx):
    with pytest.raises(EngineRejectedError, match=r"\w"):
        open_engine(rtx, b"no engine at all" * 100)


def test_an_interrupt_ends_the_build(rtx, tmp_path):
    engines = Engines(rtx, EngineCache(tmp_path))

    def stop(fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engines.plan(recipes(TINY, engines, "fp32", "sm_89")[1], stop, here=False)
    assert engines.cache.entries() == []


def test_first_use_says_that_it_builds(rtx, bundle_path, tmp_path, caplog):
    engines = Engines(rtx, EngineCache(tmp_path))
    recipe = recipes(Bundle.open(bundle_path), engines, "fp32", "sm_89")[0]
    with caplog.at_level(logging.WARNING):
        engines.plan(recipe)
    assert "no TensorRT-RTX engine for sm_89 yet: building it, about" in caplog.text


def test_too_little_memory_says_what_would_fit(rtx, monkeypatch):
    work = job(TINY.path("core", "fp32"))
    monkeypatch.setattr("realm_engine.backends.tensorrt.builder.available_bytes", lambda: 421 << 20)
    with pytest.raises(
        DeviceError, match=r"takes about 437M of memory, 421M are free; models up to 7M would fit"
    ):
        require_memory(work)
    monkeypatch.setattr("realm_engine.backends.tensorrt.builder.available_bytes", lambda: 1 << 20)
    with pytest.raises(DeviceError, match="no model would fit"):
        require_memory(work)
    monkeypatch.setattr("realm_engine.backends.tensorrt.builder.available_bytes", lambda: None)
    require_memory(work)


def test_progress_follows_nested_phases_and_never_goes_back():
    shown = []
    progress = BuildProgress(shown.append)
    progress.start("Building", None, 4)
    progress.step("Building", 0)
    progress.start("Tactics", "Building", 2)
    progress.step("Tactics", 0)
    progress.finish("Tactics")
    progress.start("Other", None, 100)
    progress.step("Other", 0)  # a new root cannot throw the bar back
    progress.finish("Other")
    progress.step("unknown", 3)
    progress.step("Building", 1)
    progress.step("Building", 3)
    assert shown == [0.25, 0.375, 0.5, 1.0]


def test_a_build_that_nobody_watches_speaks_now_and_then(caplog):
    now = [0.0]
    show = reporter("bundle/dream.onnx", lambda: now[0])
    with caplog.at_level(logging.WARNING):
        for second in range(1, 91):
            now[0] = second
            show(second / 100)
    assert [record.getMessage() for record in caplog.records] == [
        "bundle/dream.onnx: building, 30 % done, about 70 s left",
        "bundle/dream.onnx: building, 60 % done, about 40 s left",
        "bundle/dream.onnx: building, 90 % done, about 10 s left",
    ]


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
    assert [recipe.job.path.name for recipe in tiny.recipes] == ["text.onnx", "core.onnx", "dream.onnx"]
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

    monkeypatch.setattr("realm_engine.backends.tensorrt.engines.build_plan", build)
    results = list(build_all(work))
    assert [result.error for result in results] == [None, f"{broken}: no", None, None]


# ------------------------------------------------- the backend, GPU emulated


class EmulatedGpu(Driver):
    """Enough of CUDA to open the backend."""


@pytest.fixture
def backend(rtx, tmp_path):
    cuda = Cuda(EmulatedGpu(13020))
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
