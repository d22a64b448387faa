"""The Triton model repository: valid by Triton's schema, and its Python models answer as the engine does."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from bundles import build_bundle, read_manifest, write_manifest
from google.protobuf import text_format
from one_pass_bundle import build_one_pass_bundle
from PIL import Image
from triton_double import ModelConfig, Server, parameters, read_config, strings, type_of, warmup_inputs

from realm_engine import DreamConfig, Engine
from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.manifest import GraphSpec, TensorSpec
from realm_engine.errors import BundleError, OutputError, UsageError
from realm_engine.triton import TritonOptions, export_repository
from realm_engine.triton.config import is_batched, model_name
from realm_engine.triton.pbtxt import Word, render

PARTS = ("core_text", "core", "clip_text", "dream", "score", "map")


def png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def repository(bundle_path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("triton") / "served"
    export_repository(Bundle.open(bundle_path), folder, TritonOptions(device="cpu", max_batch=3))
    return folder


@pytest.fixture
def server(repository) -> Server:
    return Server(repository / "models")


# ------------------------------------------------------------------------------------------ what is written


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


# -------------------------------------------------------------------------------- what the models answer


@pytest.fixture
def scores(server, monkeypatch):
    model = server.start(monkeypatch, "test_bundle_score")
    yield lambda *requests: server.ask(model, "test_bundle_score", *requests)
    model.finalize()


@pytest.fixture
def maps(server, monkeypatch):
    model = server.start(monkeypatch, "test_bundle_map")
    yield lambda *requests: server.ask(model, "test_bundle_map", *requests)
    model.finalize()


def test_score_equals_the_engine(scores, engine, photo):
    image, text = photo(70, 90, 3), "the face is melted"
    (expected,) = engine.score([image], [text])
    (encoded,) = scores({"image": strings(png(image), batched=True), "text": strings(text, batched=True)})
    (pixels,) = scores({"pixels": image[None], "text": strings(text, batched=True)})
    for answer in (encoded, pixels):
        assert answer["mos"].tolist() == [[np.float32(expected.mos)]]
        assert answer["realness"][0, 0] == pytest.approx(expected.realness, rel=1e-6)


def test_a_score_without_text(scores, engine, photo):
    (expected,) = engine.score([photo()], [None])
    for text in ({}, {"text": strings("", batched=True)}):
        (answer,) = scores({"pixels": photo()[None], **text})
        assert answer["mos"][0, 0] == np.float32(expected.mos)


def test_requests_are_scored_together_and_fail_alone(scores, engine, photo):
    good = [photo(seed=seed) for seed in range(4)]
    texts = [f"a doubled hand {seed}" for seed in range(4)]
    answers = scores(
        {"pixels": np.stack(good[:2]), "text": strings(*texts[:2], batched=True)},
        {"image": strings(b"no picture", batched=True)},
        {"image": strings(png(good[2]), batched=True), "text": strings(texts[2], batched=True)},
        {"image": strings(png(good[3]), batched=True), "text": strings(b"\xff", batched=True)},
        {"text": strings("nothing to look at", batched=True)},
    )
    expected = [score.mos for score in engine.score(good[:3], texts[:3])]
    np.testing.assert_array_equal(answers[0]["mos"][:, 0], np.float32(expected[:2]))
    assert answers[2]["mos"][0, 0] == np.float32(expected[2])
    assert "not an image" in answers[1] and "not UTF-8" in answers[3] and "give either" in answers[4]
    assert "\n" not in answers[1] + answers[3] + answers[4]


def test_images_of_one_size_share_a_call(server, scores, engine, photo):
    good = [photo(seed=seed) for seed in range(3)]
    texts = [f"a doubled hand {seed}" for seed in range(3)]
    server.calls.clear()
    answers = scores(
        {"pixels": np.stack(good[:2]), "text": strings(*texts[:2], batched=True)},
        {"image": strings(png(good[2]), batched=True), "text": strings(texts[2], batched=True)},
    )
    found = np.concatenate([answer["mos"][:, 0] for answer in answers])
    np.testing.assert_array_equal(found, np.float32([score.mos for score in engine.score(good, texts)]))
    rows = [(name, next(iter(shapes.values()))[0]) for name, shapes in server.calls]
    assert rows == [("test_bundle_core_text", 3), ("test_bundle_core", 3)]


def test_more_texts_than_a_call_holds(server, maps, engine, photo):
    texts = [f"a seam runs through the wall {n}" for n in range(8)]
    config = DreamConfig((16,), 16)
    server.calls.clear()
    (answer,) = maps(
        {
            "pixels": photo(),
            "text": strings(*texts),
            "windows_px": np.array([16], np.int32),
            "stride_px": np.array([16], np.int32),
        }
    )
    np.testing.assert_array_equal(answer["map"], engine.map(photo(), texts, config).values)
    rows = [shapes["input_ids"][0] for name, shapes in server.calls if name == "test_bundle_clip_text"]
    assert rows == [3, 3, 2]


def assert_same_map(found, expected):
    """Equal up to the last bit: a call may hold another number of windows than the engine's."""
    assert found.dtype == expected.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_map_equals_the_engine(maps, engine, photo):
    image, text = photo(100, 130, 5), "garbled letters on the sign"
    (answer,) = maps({"image": strings(png(image)), "text": strings(text)})
    expected = engine.map(image, text)
    assert_same_map(answer["map"], expected.values)
    record = json.loads(answer["record"][0])
    assert (record["preset"], record["texts"], record["bundle"]) == ("released", [text], "test-bundle")
    assert record["window_count"] == expected.windows and record["quantity"] == "realness"


def test_a_map_of_chosen_windows(maps, engine, photo):
    config = DreamConfig((24, 16), 8, "max", "similarity")
    (answer,) = maps(
        {
            "pixels": photo(),
            "text": strings("a doubled hand"),
            "preset": strings("tiny"),
            "aggregate": strings("max"),
            "quantity": strings("similarity"),
        }
    )
    assert_same_map(answer["map"], engine.map(photo(), "a doubled hand", config).values)
    assert json.loads(answer["record"][0])["aggregate"] == "max"


def test_a_map_without_text_takes_the_phrases(maps, engine, photo):
    (answer,) = maps({"pixels": photo(), "preset": strings("tiny")})
    expected = engine.map(photo(), None, engine.presets()["tiny"])
    assert_same_map(answer["map"], expected.values)
    assert json.loads(answer["record"][0])["texts"] == list(expected.texts)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"preset": strings("nope")}, "this bundle has"),
        ({"windows_px": np.array([500], np.int32)}, "the largest that fits is 72 px"),
        ({"stride_px": np.array([0], np.int32)}, "whole numbers from 1"),
        ({"quantity": strings("beauty")}, "choose one of realness, similarity"),
        ({"text": strings(" ")}, "text of a map is empty"),
        ({"image": strings(b"x")}, "give either"),
    ],
)
def test_what_a_map_refuses(maps, photo, inputs, message):
    (answer,) = maps({"pixels": photo(), "text": strings("a doubled hand"), **inputs})
    assert isinstance(answer, str) and message in answer and "\n" not in answer
    assert not answer.startswith("internal")


def test_a_graph_that_fails_is_an_error_of_the_request(server, scores, photo):
    del server.sessions["test_bundle_core"]
    (answer,) = scores({"pixels": photo()[None]})
    assert answer == "internal: core: test_bundle_core: unknown model test_bundle_core"


def test_realm_tiny_served_equals_realm_tiny(tmp_path, monkeypatch, photo):
    with Engine.open("realm-tiny", device="cpu", precision="fp32") as engine:
        options = TritonOptions(precision="fp32", device="cpu")
        export_repository(engine.bundle, tmp_path / "out", options)
        server = Server(tmp_path / "out" / "models")
        image, text = photo(120, 160, 1), "a doubled hand"
        score = server.start(monkeypatch, "realm_tiny_score")
        (answer,) = server.ask(
            score,
            "realm_tiny_score",
            {"image": strings(png(image), batched=True), "text": strings(text, batched=True)},
        )
        assert answer["mos"][0, 0] == pytest.approx(engine.score([image], [text])[0].mos, abs=1e-5)
        mapper = server.start(monkeypatch, "realm_tiny_map")
        stride = np.array([32], np.int32)
        (answer,) = server.ask(
            mapper,
            "realm_tiny_map",
            {"image": strings(png(image)), "text": strings(text), "stride_px": stride},
        )
        expected = engine.map(image, text, DreamConfig((64,), 32))
        np.testing.assert_allclose(answer["map"], expected.values, atol=1e-5)


def test_a_bundle_that_maps_in_one_pass(tmp_path, monkeypatch, photo):
    bundle = build_one_pass_bundle(tmp_path / "bundle", name="one-pass")
    with Engine.open(bundle, device="cpu", precision="fp32") as engine:
        export_repository(engine.bundle, tmp_path / "out", TritonOptions(precision="fp32", device="cpu"))
        server = Server(tmp_path / "out" / "models")
        for name in ("one_pass_trunk", "one_pass_windows"):
            assert read_config(tmp_path / "out" / "models" / name).max_batch_size == 0
        image = photo(90, 120)
        mapper = server.start(monkeypatch, "one_pass_map")
        (answer,) = server.ask(mapper, "one_pass_map", {"pixels": image, "text": strings("a doubled hand")})
        np.testing.assert_allclose(answer["map"], engine.map(image, "a doubled hand").values, atol=1e-6)
        assert json.loads(answer["record"][0])["encoder"] == "one-pass"
