from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from repository import ROOT

from realm_engine import DreamConfig, Engine
from realm_engine.errors import DeviceError
from realm_engine.runtimes.devices import DEVICES, available, open_backend
from realm_engine.runtimes.onnxruntime import OnnxRuntimeBackend, probe_model
from realm_engine.runtimes.openvino import OpenVinoBackend


@pytest.fixture(params=["cpu", "openvino"])
def backend(request):
    pytest.importorskip("onnxruntime" if request.param == "cpu" else "openvino")
    return open_backend(request.param, threads=1)


def test_runs_a_graph_by_names(backend, bundle_path, reference):
    session = backend.load(bundle_path / "core_text.onnx", "fp32")
    ids = np.array([[2, 50, 60, 3, 0, 0, 0, 0]])
    mask = (ids > 0).astype(np.int64)
    (features,) = session.run({"input_ids": ids, "attention_mask": mask}, ["text_features"])
    np.testing.assert_allclose(
        features[0], reference.weights["core_table"][ids[0, :4]].mean(axis=0), atol=1e-6
    )
    # the runtime must not hand out memory that its next run overwrites
    kept = features.copy()
    session.run({"input_ids": ids[:, ::-1], "attention_mask": mask[:, ::-1]}, ["text_features"])
    np.testing.assert_array_equal(features, kept)


def test_a_runtime_failure_is_one_line(backend, bundle_path):
    session = backend.load(bundle_path / "core_text.onnx", "fp32")
    with pytest.raises(DeviceError, match=r"^core_text\.onnx: ") as caught:
        session.run({"input_ids": np.zeros((1, 8), np.int64)}, ["no_such_output"])
    assert "\n" not in str(caught.value)


def test_a_file_the_runtime_refuses(backend, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"\x08\x08")
    with pytest.raises(DeviceError, match=r"bad\.onnx: .* refused it"):
        backend.load(tmp_path / "bad.onnx", "fp32")


def test_a_closed_session_says_so(backend, bundle_path):
    session = backend.load(bundle_path / "core_text.onnx", "fp32")
    session.close()
    with pytest.raises(DeviceError, match="closed"):
        session.run({}, ["text_features"])


def test_names_what_it_is(backend):
    assert backend.device in DEVICES
    assert backend.runtime.split()[-1][0].isdigit()
    assert backend.threads == 1


def test_openvino_gives_the_answers_of_onnx_runtime(bundle_path, engine, photo):
    pytest.importorskip("openvino")
    images = [photo(60, 84, seed=seed) for seed in range(3)] + [photo(30, 40)]
    texts = ["yes the face", None, "no", "yes"]
    config = DreamConfig((24, 16), 8)
    with Engine.open(bundle_path, device="openvino", threads=1) as other:
        assert other.describe()["device"] == "openvino"
        np.testing.assert_allclose(
            [score.mos for score in other.score(images, texts)],
            [score.mos for score in engine.score(images, texts)],
            atol=2e-3,  # a pixel on a rounding edge may fall to the other side
        )
        np.testing.assert_allclose(
            other.map(images[0], "yes", config).values, engine.map(images[0], "yes", config).values, atol=2e-3
        )


@pytest.mark.parametrize("texts", [["melted edges"], ["melted edges", "a seam", "an extra finger"], None])
def test_openvino_maps_with_the_embedded_default_as_onnx_runtime_does(photo, texts):
    """The bundle that ships, every graph of it: with a text, with several, and with those it finds itself."""
    pytest.importorskip("openvino")
    picture = photo(120, 150)
    found, scores = [], []
    for device in ("cpu", "openvino"):
        with Engine.open(device=device, precision="fp32", threads=1) as engine:
            (mapped,) = engine.iter_maps([picture], None if texts is None else [texts])
            assert mapped.error is None
            found.append(mapped.map)
            scores.append(engine.score([picture], ["melted edges"])[0].mos)
    here, there = found
    assert here.texts == there.texts
    np.testing.assert_allclose(there.values, here.values, atol=2e-3)
    assert there.z_high == pytest.approx(here.z_high, abs=0.02)
    assert scores[0] == pytest.approx(scores[1], abs=5e-3)


def test_openvino_computes_fp32_files_in_fp32(bundle_path):
    pytest.importorskip("openvino")
    session = open_backend("openvino", threads=1).load(bundle_path / "core.onnx", "fp32")
    compiled = session._request.get_compiled_model()
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"


def test_openvino_refuses_a_precision_without_hardware(bundle_path):
    pytest.importorskip("openvino")
    backend = open_backend("openvino", threads=1)
    backend._capabilities = ("FP32",)
    with pytest.raises(DeviceError, match="cannot compute in fp16 on this processor; use --precision fp32"):
        backend.load(bundle_path / "core.fp16.onnx", "fp16")


def test_cuda_is_never_replaced_by_the_cpu(bundle_path):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        backend = OnnxRuntimeBackend(onnxruntime, "cuda", "CUDAExecutionProvider", 1)
        try:
            backend.probe()
        except DeviceError as error:
            assert "could not start CUDAExecutionProvider" in str(error)
    else:
        wanted = (
            r"no NVIDIA GPU; use --device cpu|without CUDA; .*pip install 'onnxruntime-gpu>=1\.20'|driver"
        )
        with pytest.raises(DeviceError, match=wanted):
            Engine.open(bundle_path, device="cuda")


def test_a_provider_that_does_not_start_is_an_error():
    """ONNX Runtime itself falls back to the CPU without a word a program could read."""
    import onnxruntime

    backend = OnnxRuntimeBackend(onnxruntime, "cuda", "CUDAExecutionProvider", 1)
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this build has CUDA")
    with pytest.warns(UserWarning), pytest.raises(DeviceError, match="starting cuda"):
        backend.probe()


def test_the_probe_is_a_valid_model():
    model = onnx.load_from_string(probe_model())
    onnx.checker.check_model(model, full_check=True)
    import onnxruntime

    session = onnxruntime.InferenceSession(probe_model(), providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.array([3.0], np.float32)})[0].tolist() == [3.0]


@pytest.mark.parametrize(
    ("device", "module", "package"),
    [
        ("cpu", "onnxruntime", "onnxruntime>=1.20"),
        ("cuda", "onnxruntime", "onnxruntime-gpu>=1.20"),
        ("openvino", "openvino", "openvino>=2024.4"),
    ],
)
def test_a_missing_runtime_names_the_package(monkeypatch, device, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DeviceError, match=f"; pip install '{package}'$"):
        open_backend(device)


def test_without_any_runtime_auto_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DeviceError, match=r"no runtime is installed; pip install 'onnxruntime>=1\.20' \("):
        open_backend("auto")
    assert all(state.startswith("not available") for state in available().values())


def test_auto_takes_openvino_where_it_is_all_there_is(monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert open_backend("auto", threads=1).device == "openvino"


@pytest.mark.parametrize(("device", "threads"), [("tpu", None), ("cpu", 0)])
def test_nonsense_is_refused(device, threads):
    with pytest.raises(DeviceError):
        open_backend(device, threads)


class Capable:
    """OpenVINO's core on a processor that has what it is said to have."""

    def __init__(self, core, capabilities):
        self._core = core
        self._capabilities = capabilities

    def get_property(self, device, name):
        if name == "OPTIMIZATION_CAPABILITIES":
            return self._capabilities
        return self._core.get_property(device, name)


def test_openvino_declares_what_it_lacks_from_the_processor(bundle_path):
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    plain = OpenVinoBackend(openvino, Capable(core, ["FP32", "INT8"]), 1)
    assert plain.native == () and set(plain.lacks) == {"bf16", "fp16"} and not plain.fast_fp16
    with pytest.raises(
        DeviceError, match=r"core\.onnx: OpenVINO cannot compute in bf16 on this processor; use"
    ):
        plain.load(bundle_path / "core.onnx", "bf16")
    newer = OpenVinoBackend(openvino, Capable(core, ["FP32", "INT8", "BF16", "FP16"]), 1)
    assert newer.native == ("bf16", "fp16") and not newer.lacks and newer.fast_fp16


def test_an_interrupt_while_a_runtime_is_imported_is_no_missing_package(tmp_path):
    """Its native part makes an ImportError of what Ctrl-C raises; a process sends it to itself there."""
    package = tmp_path / "onnxruntime.py"
    package.write_text(
        "try:\n    raise KeyboardInterrupt\n"
        "except KeyboardInterrupt as error:\n    raise ImportError('initialization failed') from error\n"
    )
    code = "from realm_engine.runtimes.onnxruntime import open_cpu\ntry:\n    open_cpu(1)\n"
    code += "except KeyboardInterrupt:\n    print('interrupted')\n"
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
    )
    assert found.stdout == "interrupted\n", found.stderr
