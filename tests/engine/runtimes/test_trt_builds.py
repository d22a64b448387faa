"""Engines are really built, with TensorRT-RTX for GPUs that are not here: what goes in, what fails and how."""

from __future__ import annotations

import hashlib
import logging

import numpy as np
import onnx
import pytest
from bundles import build_bundle
from onnx import TensorProto, helper, numpy_helper

from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.manifest import TensorSpec
from realm_engine.errors import DeviceError
from realm_engine.runtimes.tensorrt.builder import (
    BuildJob,
    BuildProgress,
    build_plan,
    require_memory,
    timing_bytes,
    use_timing,
)
from realm_engine.runtimes.tensorrt.engines import Engines, Target, default_limits, reporter
from realm_engine.runtimes.tensorrt.opening import EngineRejectedError, open_engine
from realm_engine.runtimes.tensorrt.plan_cache import EngineCache
from realm_engine.runtimes.tensorrt.profiles import Limits, ShapeProfile

pytestmark = pytest.mark.slow

ARCHITECTURES = ("sm_89", "sm_120")
TINY = Bundle.open("realm-tiny", verify=False)


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
    monkeypatch.setattr("realm_engine.runtimes.tensorrt.builder.available_bytes", lambda: 421 << 20)
    with pytest.raises(
        DeviceError, match=r"takes about 437M of memory, 421M are free; models up to 7M would fit"
    ):
        require_memory(work)
    monkeypatch.setattr("realm_engine.runtimes.tensorrt.builder.available_bytes", lambda: 1 << 20)
    with pytest.raises(DeviceError, match="no model would fit"):
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
