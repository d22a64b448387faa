"""The Python models of a Triton repository answer as the engine does."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from one_pass_bundle import build_one_pass_bundle
from photographs_bundle import add_photographs
from PIL import Image
from triton_double import Server, read_config, strings

from realm_engine import DreamConfig, Engine
from realm_engine.triton import TritonOptions, export_repository


def png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


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


@pytest.mark.parametrize(("preset", "encoder"), [("tiny", "one-pass"), ("paper", "each-window")])
def test_a_bundle_that_maps_in_one_pass(tmp_path, monkeypatch, photo, preset, encoder):
    """Both encoders answer with outputs of one name: the server must be asked for the graph that was meant."""
    bundle = build_one_pass_bundle(tmp_path / "bundle", name="one-pass", recommended_preset=preset)
    with Engine.open(bundle, device="cpu", precision="fp32") as engine:
        export_repository(engine.bundle, tmp_path / "out", TritonOptions(precision="fp32", device="cpu"))
        server = Server(tmp_path / "out" / "models")
        for name in ("one_pass_trunk", "one_pass_windows"):
            assert read_config(tmp_path / "out" / "models" / name).max_batch_size == 0
        image = photo(150, 180)
        mapper = server.start(monkeypatch, "one_pass_map")
        (answer,) = server.ask(mapper, "one_pass_map", {"pixels": image, "text": strings("a doubled hand")})
        np.testing.assert_allclose(answer["map"], engine.map(image, "a doubled hand").values, atol=1e-6)
        assert json.loads(answer["record"][0])["encoder"] == encoder


def test_a_bundle_that_knows_photographs(tmp_path, monkeypatch, photo):
    bundle = add_photographs(
        build_one_pass_bundle(tmp_path / "bundle", name="scaled", recommended_preset="tiny"),
        (16, 24),
        "one-pass",
        {"tiny": {"text": 1e6}},
    )
    with Engine.open(bundle, device="cpu", precision="fp32") as engine:
        export_repository(engine.bundle, tmp_path / "out", TritonOptions(precision="fp32", device="cpu"))
        server = Server(tmp_path / "out" / "models")
        image = photo(90, 120)
        expected = engine.map(image, "a doubled hand")
        mapper = server.start(monkeypatch, "scaled_map")
        (answer,) = server.ask(mapper, "scaled_map", {"pixels": image, "text": strings("a doubled hand")})
    record = json.loads(answer["record"][0])
    assert record["photographs"]["z_max"] == pytest.approx(expected.z_max, abs=1e-4)
    assert record["photographs"]["stands_out"] is False and record["regions"] == []
    assert record["colour_limits"] == pytest.approx(expected.own_limits)
