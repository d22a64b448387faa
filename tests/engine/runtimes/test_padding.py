"""Few sizes for a device: what is padded gives the same answers, and the device sees what it shall see."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.manifest import GraphSpec, TensorSpec
from realm_engine.errors import DeviceError, DeviceMemoryError
from realm_engine.runtimes.base import Backend
from realm_engine.runtimes.onnxruntime import OnnxRuntimeBackend, OnnxRuntimeSession, cuda_settings
from realm_engine.runtimes.padding import PaddedSession, SessionPerShape, convolves_pictures

SUMS = GraphSpec(
    "sums",
    {},
    (
        TensorSpec("rows", "float32", ("batch", 2)),
        TensorSpec("shared", "float32", ("free",)),
    ),
    (TensorSpec("sum", "float32", ("batch",)), TensorSpec("total", "float32", (1,))),
)


class Sums:
    """A graph: the sum of every row times the shared numbers' sum, and that sum; remembers the rows of its calls."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.closed = False

    def run(self, inputs, outputs):
        self.calls.append(len(inputs["rows"]))
        total = inputs["shared"].sum(keepdims=True)
        answers = {"sum": inputs["rows"].sum(axis=1) * total, "total": total}
        return [answers[name] for name in outputs]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def opened() -> list[Sums]:
    return []


@pytest.fixture
def sums(opened) -> PaddedSession:
    def load() -> Sums:
        opened.append(Sums())
        return opened[-1]

    return PaddedSession(load, SUMS, {"batch": (1, 4), "windows": (3,)})


def ask(session: PaddedSession, count: int) -> None:
    rows = np.random.default_rng(count).standard_normal((count, 2)).astype(np.float32)
    shared = np.arange(5, dtype=np.float32)
    total, found = session.run({"rows": rows, "shared": shared}, ["total", "sum"])
    np.testing.assert_array_equal(found, rows.sum(axis=1) * 10)
    assert total.tolist() == [10]


def test_a_session_for_each_number_of_rows_and_one_for_all_that_are_too_many(sums, opened):
    for count in (3, 1, 4, 2, 7, 1, 5):
        ask(sums, count)
    assert [each.calls for each in opened] == [[4, 4, 4], [1, 1], [7, 5]]


def test_a_graph_that_cannot_be_opened_fails_at_once():
    def load() -> Sums:
        raise DeviceError("no such graph")

    with pytest.raises(DeviceError, match="no such graph"):
        PaddedSession(load, SUMS, {"batch": (4,)})


@pytest.mark.parametrize("used", [(), (2,), (1, 9)])
def test_closing_closes_all_and_nothing_opens_again(sums, opened, used):
    for count in used:
        ask(sums, count)
    sums.close()
    assert all(each.closed for each in opened) and len(opened) == max(1, len(used))
    for count in (2, 9):
        with pytest.raises(DeviceError, match="closed; open it again"):
            ask(sums, count)
    assert len(opened) == max(1, len(used))


def test_a_graph_without_such_rows_runs_as_it_is(opened):
    graph = GraphSpec(
        "texts", {}, (TensorSpec("rows", "float32", ("tokens", 2)), SUMS.inputs[1]), SUMS.outputs
    )
    session = PaddedSession(lambda: opened.append(Sums()) or opened[-1], graph, {"batch": (4,)})
    ask(session, 3)
    assert [each.calls for each in opened] == [[3]]


class Small(Sums):
    """The same on a device whose memory holds `most` rows."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def run(self, inputs, outputs):
        if len(inputs["rows"]) > self.most:
            raise DeviceMemoryError("sums: no memory")
        return super().run(inputs, outputs)


@pytest.mark.parametrize("rows", [3, 4, 9])
def test_a_size_without_memory_is_given_up_and_said_once(caplog, rows):
    opened: list[Small] = []

    def load() -> Small:
        opened.append(Small(most=2))
        return opened[-1]

    session = PaddedSession(load, SUMS, {"batch": (2, 4)})
    values = np.arange(2.0 * rows, dtype=np.float32).reshape(rows, 2)
    for _ in range(2):
        found = session.run({"rows": values, "shared": np.array([1.0, 2.0])}, ["sum", "total"])
        np.testing.assert_array_equal(found[0], values.sum(axis=1) * 3)
        np.testing.assert_array_equal(found[1], [3.0])
    assert {rows for each in opened for rows in each.calls} == {2}
    said = [record.message for record in caplog.records]
    assert len(said) == (2 if rows == 9 else 1)  # once for each size that was given up
    assert "no memory for" in said[-1] and "calls of 2 from now on" in said[-1]
    assert sum(not each.closed for each in opened) == 1


def test_a_device_without_memory_for_the_least_says_so():
    session = PaddedSession(lambda: Small(most=0), SUMS, {"batch": (1, 4)})
    with pytest.raises(DeviceMemoryError, match="no memory"):
        session.run({"rows": np.ones((3, 2), np.float32), "shared": np.ones(1)}, ["sum"])


@pytest.mark.parametrize(
    "words",
    [
        "BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer",
        "CUDA error 2: out of memory",
    ],
)
def test_onnx_runtime_without_memory_is_told_from_other_failures(words):
    def fail(*_):
        raise RuntimeError(words)

    broken = OnnxRuntimeSession(SimpleNamespace(), SimpleNamespace(run=fail), Path("core.onnx"), False)
    with pytest.raises(
        DeviceMemoryError, match=r"core\.onnx: ONNX Runtime failed: .*; use smaller images, or --device cpu"
    ):
        broken.run({}, ["mos"])
    words = "Invalid rank for input"
    with pytest.raises(DeviceError, match="Invalid rank") as raised:
        broken.run({}, ["mos"])
    assert not isinstance(raised.value, DeviceMemoryError)


def test_a_long_first_call_is_told_of(caplog, monkeypatch):
    monkeypatch.setattr("realm_engine.runtimes.padding.LONG_S", -1.0)
    caplog.set_level("INFO", "realm_engine")
    session = PaddedSession(Sums, SUMS, {"batch": (1, 4)})
    for rows in (3, 2, 1):
        session.run({"rows": np.ones((rows, 2), np.float32), "shared": np.ones(1)}, ["sum"])
    told = [record.message for record in caplog.records]
    assert [line.split(":")[0] for line in told] == ["sums, 4 batch", "sums, 1 batch"]


# ------------------------------------------------------------------ pictures in their own size


class Trunk:
    """A graph that takes a picture whole; remembers its pictures' sizes."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []
        self.closed = False

    def run(self, inputs, outputs):
        assert not self.closed
        self.sizes.append(inputs["image"].shape)
        return [np.float32(inputs["image"].sum())]

    def close(self) -> None:
        self.closed = True


def test_a_size_keeps_its_runtime_until_others_took_the_room():
    opened: list[Trunk] = []

    def load() -> Trunk:
        opened.append(Trunk())
        return opened[-1]

    session = SessionPerShape(load, "trunk", most=2)
    assert len(opened) == 1  # a file that cannot be opened fails at once
    small, wide, tall = (np.ones(size, dtype=np.uint8) for size in ((2, 2, 3), (2, 5, 3), (7, 2, 3)))
    for image in (small, wide, small, wide, small, tall, small, wide):
        assert session.run({"image": image}, ["stage_1"]) == [image.size]
    # `wide` was used before `small` when `tall` came, and `tall` when `wide` came again.
    assert [each.sizes for each in opened] == [
        [small.shape] * 4,
        [wide.shape] * 2,
        [tall.shape],
        [wide.shape],
    ]
    assert [each.closed for each in opened] == [False, True, True, False]
    session.close()
    assert all(each.closed for each in opened)
    with pytest.raises(DeviceError, match="closed"):
        session.run({"image": small}, ["stage_1"])


def test_only_a_trunk_convolves_pictures_in_their_own_size():
    graphs = Bundle.open("realm-tiny").graphs
    assert [name for name in graphs if convolves_pictures(graphs[name])] == ["trunk"]


# ------------------------------------------------------------------ ONNX Runtime on CUDA


def provider() -> SimpleNamespace:
    """ONNX Runtime as far as opening goes; keeps the `settings` of the provider, and opens on the CPU."""
    import onnxruntime

    module = SimpleNamespace(__version__="1", SessionOptions=onnxruntime.SessionOptions, settings={})

    def opened(model, options, providers):
        ((name, module.settings),) = providers
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        session.get_providers = lambda: [name]
        return session

    module.InferenceSession = opened
    return module


@pytest.mark.parametrize(
    ("device", "name", "precision", "expected"),
    [
        ("cuda", "CUDAExecutionProvider", "fp32", {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}),
        ("cuda", "CUDAExecutionProvider", "fp16", {"use_tf32": "1", "cudnn_conv_algo_search": "HEURISTIC"}),
        ("cpu", "CPUExecutionProvider", "fp32", {}),
    ],
)
def test_settings_of_the_provider(bundle_path, device, name, precision, expected):
    module = provider()
    backend: Backend = OnnxRuntimeBackend(module, device, name, 1)
    backend.load(bundle_path / "core.onnx", precision)
    assert module.settings == expected == (cuda_settings(precision) if device == "cuda" else {})


def test_a_gpu_has_few_sizes_of_calls_and_a_processor_any():
    module = provider()
    gpu = OnnxRuntimeBackend(module, "cuda", "CUDAExecutionProvider", 1)
    assert gpu.row_sizes["batch"][-1] == gpu.image_batch and gpu.window_batch in gpu.row_sizes["windows"]
    assert OnnxRuntimeBackend(module, "cpu", "CPUExecutionProvider", 1).row_sizes == {}
