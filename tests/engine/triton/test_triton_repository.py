"""The Triton model repository: what is written, valid by Triton's schema."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundles import build_bundle, read_manifest, write_manifest
from google.protobuf import text_format
from triton_double import ModelConfig, parameters, read_config, type_of, warmup_inputs

from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.manifest import GraphSpec, TensorSpec
from realm_engine.errors import BundleError, OutputError, UsageError
from realm_engine.triton import TritonOptions, export_repository
from realm_engine.triton.config import is_batched, model_name
from realm_engine.triton.pbtxt import Word, render

PARTS = ("core_text", "core", "clip_text", "dream", "score", "map")


@pytest.mark.parametrize("part", PARTS)
def test_every_configuration_is_valid_and_names_files_that_exist(repository, part):
    model = repository / "models" / f"test_bundle_{part}"
    config = read_config(model)
    assert config.name == model.name and (model / "1" / config.default_model_filename).is_file()
    for output in config.output:
        assert not output.label_filename or (model / output.label_filename).read_text().count("\n") == 1
    (group,) = config.instance_group
    assert (group.count, group.Kind.Name(group.kind)) == (1, "KIND_CPU")


def test_only_graphs_with_a_batch_dimension_are_batched(server):
    batched = {name.removeprefix("test_bundle_"): c.max_batch_size for name, c in server.configs.items()}
    assert batched == {"core_text": 3, "clip_text": 3, "score": 3, "core": 0, "dream": 0, "map": 0}
    for config in server.configs.values():
        assert config.HasField("dynamic_batching") == bool(config.max_batch_size)
    # with max_batch_size the batch is left out of the dimensions, without it is one of them
    assert list(server.configs["test_bundle_core_text"].input[0].dims) == [-1]
    assert list(server.configs["test_bundle_core"].input[0].dims) == [-1, -1, -1, 3]
    assert type_of(server.configs["test_bundle_dream"].input[0]) == "TYPE_UINT8"


def test_a_graph_is_batched_when_all_its_tensors_are():
    def graph(*shapes: tuple) -> GraphSpec:
        tensors = tuple(TensorSpec(f"t{i}", "float32", shape) for i, shape in enumerate(shapes))
        return GraphSpec("g", {}, tensors[:-1], tensors[-1:])

    assert is_batched(graph(("batch", 3), ("batch",)))
    assert not is_batched(graph(("batch", 3), (7, "batch")))
    assert not is_batched(graph((1, 3), (1, 5)))
    assert not is_batched(graph(("batch", 3), ()))


@pytest.mark.parametrize("part", ["core_text", "core", "clip_text", "dream"])
def test_warm_up_requests_run_and_give_numbers(server, part):
    name = f"test_bundle_{part}"
    config = server.configs[name]
    assert config.model_warmup
    for sample in config.model_warmup:
        feeds = warmup_inputs(server.models / name, config, sample)
        answers = server.run_graph(name, feeds, [port.name for port in config.output])
        assert part == "clip_text" or all(np.isfinite(answer.as_numpy()).all() for answer in answers)
    if part == "core_text":  # one per length that texts are padded to
        assert {call[1]["input_ids"] for call in server.calls} == {(1, 8), (1, 16), (1, 32)}


def test_python_models_have_no_warm_up(server):
    """They would call graphs that the server may not have loaded yet."""
    assert not server.configs["test_bundle_score"].model_warmup
    assert not server.configs["test_bundle_map"].model_warmup


def test_on_a_gpu(bundle_path, tmp_path):
    options = TritonOptions(instances=2)
    export_repository(Bundle.open(bundle_path), tmp_path / "out", options)
    core = read_config(tmp_path / "out" / "models" / "test_bundle_core")
    (group,) = core.instance_group
    assert (group.count, group.Kind.Name(group.kind)) == (2, "KIND_GPU")
    (cuda,) = core.optimization.execution_accelerators.gpu_execution_accelerator
    assert cuda.name == "cuda" and dict(cuda.parameters) == {"use_tf32": "0"}
    score = read_config(tmp_path / "out" / "models" / "test_bundle_score")
    assert score.instance_group[0].Kind.Name(score.instance_group[0].kind) == "KIND_CPU"
    dream = read_config(tmp_path / "out" / "models" / "test_bundle_dream")
    assert list(dream.model_warmup[0].inputs["top"].dims) == [256]


def test_precision_chooses_the_files(bundle_path, tmp_path):
    bundle = Bundle.open(bundle_path)
    export_repository(bundle, tmp_path / "half", TritonOptions(precision="fp16"))
    for graph in ("core", "dream", "core_text"):
        written = tmp_path / "half" / "models" / f"test_bundle_{graph}" / "1" / "model.onnx"
        assert written.read_bytes() == bundle.path(graph, "fp16").read_bytes()
    config = read_config(tmp_path / "half" / "models" / "test_bundle_core")
    assert not config.HasField("optimization")  # TF32 is for the reference to leave
    assert parameters(read_config(tmp_path / "half" / "models" / "test_bundle_score"))["precision"] == "fp16"
    with pytest.raises(BundleError, match=r"no int8 variant; this bundle has fp32, fp16"):
        export_repository(bundle, tmp_path / "none", TritonOptions(precision="int8"))
    assert not (tmp_path / "none").exists()


def test_auto_takes_what_the_bundle_recommends(tmp_path):
    folder = build_bundle(tmp_path / "bundle", fp16=True)
    manifest = read_manifest(folder)
    manifest["recommended_precision"] = {"cuda": "fp16"}
    write_manifest(folder, manifest)
    for device, wanted in (("gpu", "fp16"), ("cpu", "fp32")):
        export_repository(Bundle.open(folder), tmp_path / device, TritonOptions(device=device))
        model = read_config(tmp_path / device / "models" / "test_bundle_map")
        assert parameters(model)["precision"] == wanted


@pytest.mark.parametrize(("kept", "lost"), [("core", "dream"), ("dream", "core")])
def test_a_bundle_of_one_part(tmp_path, kept, lost):
    folder = build_bundle(tmp_path / "bundle", **{lost: False})
    names = export_repository(Bundle.open(folder), tmp_path / "out", TritonOptions())
    python = {"core": "score", "dream": "map"}
    assert f"test_bundle_{python[kept]}" in names and f"test_bundle_{python[lost]}" not in names
    assert len(names) == 3 and sorted(names) == sorted(
        p.name for p in (tmp_path / "out" / "models").iterdir()
    )


def test_plans_take_the_place_of_the_graphs(bundle_path, tmp_path):
    bundle = Bundle.open(bundle_path)
    plans = tmp_path / "plans"
    plans.mkdir()
    for graph in ("core_text", "core", "clip_text"):
        (plans / f"{graph}.plan").write_bytes(graph.encode())
    options = TritonOptions(platform="tensorrt-plan", plans=plans)
    with pytest.raises(UsageError, match=r"dream\.plan not found; build"):
        export_repository(bundle, tmp_path / "out", options)
    (plans / "dream.plan").write_bytes(b"dream")
    export_repository(bundle, tmp_path / "out", options)
    model = tmp_path / "out" / "models" / "test_bundle_dream"
    config = read_config(model)
    assert (config.backend, config.platform) == ("tensorrt", "tensorrt_plan")
    assert (model / "1" / config.default_model_filename).read_bytes() == b"dream"
    assert not config.HasField("optimization")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"platform": "tensorrt-plan"}, "belong together"),
        ({"plans": Path("x")}, "belong together"),
        ({"platform": "tensorrt-plan", "plans": Path("x"), "device": "cpu"}, "runs on a GPU only"),
        ({"platform": "torch"}, "choose one of onnxruntime, tensorrt-plan"),
        ({"instances": 0}, "at least 1"),
        ({"window_batch": 0}, "at least 1"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(UsageError, match=message):
        TritonOptions(**options)


def test_nothing_is_overwritten(bundle_path, tmp_path):
    bundle = Bundle.open(bundle_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    with pytest.raises(OutputError, match="not empty; give a new folder"):
        export_repository(bundle, tmp_path / "full", TritonOptions())
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "mine"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        export_repository(bundle, tmp_path / "file" / "below", TritonOptions())


def test_an_empty_folder_is_taken(bundle_path, tmp_path):
    (tmp_path / "out").mkdir()
    export_repository(Bundle.open(bundle_path), tmp_path / "out", TritonOptions())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "Dockerfile",
        "README.md",
        "client.py",
        "models",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_names_are_safe_for_every_client():
    assert model_name("realm-tiny v2.1", "core") == "realm_tiny_v2_1_core"


def test_text_format_survives_any_string():
    config = ModelConfig()
    for name in ('quo"ted', "back\\slash", "tab\tnew\nline", "größe 図", ""):
        message = {
            "name": name,
            "max_batch_size": 0,
            "input": [{"name": name, "data_type": Word("TYPE_FP32"), "dims": [-1, 3], "optional": True}],
            "output": [],
            "dynamic_batching": None,
        }
        text_format.Parse(render(message), config := ModelConfig())
        assert config.name == name and config.input[0].name == name and list(config.input[0].dims) == [-1, 3]
        assert config.input[0].optional and not config.HasField("dynamic_batching")
