from __future__ import annotations

import io
import itertools
import json
import logging
import threading
from pathlib import Path

import numpy as np
import pytest
from bundles import PHRASES, build_bundle, read_manifest, write_manifest
from PIL import Image

from realm_engine import DreamConfig, Engine, Score
from realm_engine.errors import BundleError, DeviceError, ImageError, TextError, UsageError, WindowError
from realm_engine.pipeline import Job, Pipeline
from realm_engine.text import Descriptions

# Three sizes in no order: batches of equal size must be put back in the order of the input.
SIZES = [(40, 56), (24, 32), (40, 56), (33, 20), (24, 32), (40, 56), (33, 20), (40, 56), (24, 32)]


@pytest.fixture
def images(photo):
    return [photo(*size, seed=seed) for seed, size in enumerate(SIZES)]


@pytest.fixture
def texts():
    return [None if index % 3 == 0 else f"the face number {index % 4}" for index in range(len(SIZES))]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 16])
def test_results_depend_on_neither_batch_size_nor_neighbours(engine, reference, images, texts, batch_size):
    scores = engine.score(images, texts, batch_size=batch_size)
    alone = [engine.score(image, text)[0] for image, text in zip(images, texts, strict=True)]
    np.testing.assert_allclose([s.mos for s in scores], [s.mos for s in alone], atol=1e-5)
    expected = [reference.mos(image, text) for image, text in zip(images, texts, strict=True)]
    np.testing.assert_allclose([s.mos for s in scores], expected, atol=2e-3)
    assert [s.description for s in scores] == texts
    assert [s.name for s in scores] == [f"image-{index + 1}" for index in range(len(images))]


def test_threads_do_not_change_results(bundle_path, engine, images, texts):
    with Engine.open(bundle_path, device="cpu", threads=4) as other:
        np.testing.assert_allclose(
            [s.mos for s in other.score(images, texts, batch_size=3)],
            [s.mos for s in engine.score(images, texts)],
            atol=1e-5,
        )


def test_paths_bytes_streams_and_arrays_are_the_same_picture(engine, photo, tmp_path):
    image = photo()
    path = tmp_path / "a.png"
    Image.fromarray(image).save(path)
    sources = [path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), image]
    scores = engine.score(sources)
    assert len({score.mos for score in scores}) == 1
    assert scores[0].name == path.as_posix()
    for source in (path, path.read_bytes(), io.BytesIO(path.read_bytes()), image):
        assert [s.mos for s in engine.score(source)] == [scores[0].mos]


def test_a_directory_stands_for_its_images(engine, photo, tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "a.jpg", "sub/c.bmp"):
        Image.fromarray(photo()).save(tmp_path / name)
    table = Descriptions("d.csv", {"a.png": "yes", "sub/c.bmp": "no"})
    scores = engine.score(tmp_path, table)
    assert [(s.name, s.description) for s in scores] == [
        ("a.jpg", "yes"),
        ("b.png", None),
        ("sub/c.bmp", "no"),
    ]


def test_bad_images_get_an_error_and_stop_nothing(engine, photo, tmp_path):
    good = photo()
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    sources = [good, tmp_path / "broken.png", tmp_path / "none.png", good, b"", np.zeros((4, 4)), good]
    scores = engine.score(sources, batch_size=2)
    assert [score.error is None for score in scores] == [True, False, False, True, False, False, True]
    for score in scores:
        assert (score.mos is None) == (score.realness is None) == (score.error is not None)
        assert "\n" not in (score.error or "")
    assert "broken.png" in scores[1].error
    assert scores[0].mos == pytest.approx(scores[6].mos, abs=1e-5)


def test_the_first_and_the_only_image_may_be_bad(engine):
    assert engine.score([b"x"])[0].error
    assert engine.score([]) == []


def test_an_ambiguous_description_is_the_error_of_its_image(engine, photo):
    table = Descriptions("d.csv", {"a.png": "1", "a.bmp": "2", "b.png": "no"})
    first, second = engine.score([photo(), photo()], table, names=["a.webp", "b.webp"])
    assert "matches several rows" in first.error
    assert second.description == "no"
    assert second.error is None


def test_missing_text_can_be_an_error(engine, photo):
    scores = engine.score([photo(), photo(), photo()], ["yes", None, " "], missing_text="error")
    assert [score.error is None for score in scores] == [True, False, False]
    assert "no description" in scores[1].error


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"batch_size": 0}, "batch size is 0"),
        ({"missing_text": "guess"}, "choose one of image-only, error"),
        ({"descriptions": ["a"]}, "2 images but 1 descriptions"),
        ({"descriptions": "a"}, "one description was given for many"),
        ({"names": ["a"]}, "2 images but 1 names"),
    ],
)
def test_a_call_that_contradicts_itself_fails_before_any_work(engine, photo, arguments, match):
    with pytest.raises(UsageError, match=match):
        engine.iter_scores([photo(), photo()], **arguments)


def test_a_rank_4_array_is_a_batch(engine, images):
    batch = np.stack([images[0], images[2]])
    assert [s.mos for s in engine.score(batch)] == [s.mos for s in engine.score([images[0], images[2]])]


def test_an_endless_stream_is_scored_as_it_comes(engine, photo):
    image, taken = photo(), itertools.count()

    def camera():
        while True:
            next(taken)
            yield image

    scores = engine.iter_scores(camera(), itertools.repeat("yes"), batch_size=2)
    got = list(itertools.islice(scores, 5))
    scores.close()
    assert all(isinstance(score, Score) and score.error is None for score in got)
    assert next(taken) < 30  # the look-ahead is bounded
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_more_images_than_descriptions_in_a_stream(engine, photo):
    with pytest.raises(UsageError, match="more images than descriptions"):
        list(engine.iter_scores((photo() for _ in range(3)), iter(["a"])))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"texts": ["a"]}, "2 images but 1 texts; give one per image"),
        ({"texts": ["a", "b", "c"]}, "2 images but 3 texts"),
        ({"names": ["a"]}, "2 images but 1 names"),
    ],
)
def test_maps_want_one_text_per_image(engine, photo, arguments, match):
    with pytest.raises(UsageError, match=match):
        engine.iter_maps([photo(), photo()], config=DreamConfig((16,), 8), **arguments)


@pytest.mark.parametrize("what", ["texts", "names"])
def test_more_images_in_a_stream_than_texts_or_names(engine, photo, what):
    maps = engine.iter_maps((photo() for _ in range(3)), config=DreamConfig((16,), 8), **{what: ["a", "b"]})
    with pytest.raises(UsageError, match=rf"more images than {what} \(2\)"):
        list(maps)


def test_one_text_or_none_serves_all_images_of_a_stream(engine, photo):
    for texts in ("the face", None):
        maps = list(engine.iter_maps((photo() for _ in range(3)), texts, DreamConfig((16,), 8)))
        assert [found.error for found in maps] == [None] * 3


def test_maps_for_no_text_at_all(engine, photo):
    with pytest.raises(UsageError, match="a map needs at least one text"):
        engine.map_texts(photo(), [])


# ------------------------------------------------------------------ pipeline


def jobs(count: int):
    return (Job(index, str(index), index, None) for index in range(count))


def test_decoded_images_stay_within_the_budget():
    live, most, lock = 0, 0, threading.Lock()

    def load(index):
        nonlocal live, most
        with lock:
            live += 1
            most = max(most, live)
        return np.zeros((10, 10 + index % 3, 3), dtype=np.uint8)

    def run(images, batch):
        nonlocal live
        with lock:
            live -= len(batch)
        return [job.index for job in batch]

    pipeline = Pipeline(
        load, run, lambda job, message: message, batch_size=8, threads=2, budget_bytes=3 * 300
    )
    assert list(pipeline.stream(jobs(60))) == list(range(60))
    # three images of 300 bytes fill the budget; two decoders may each be at one more, and one is waited for
    assert most <= 3 + 2 + 1


def test_large_images_are_scored_in_smaller_batches():
    sizes = []

    def run(images, batch):
        sizes.append(len(images))
        return [job.index for job in batch]

    pipeline = Pipeline(
        lambda index: np.zeros((10, 10, 3), np.uint8),
        run,
        lambda job, message: message,
        batch_size=8,
        threads=2,
        per_call=lambda image: 250 // image[:, :, 0].size,
    )
    assert list(pipeline.stream(jobs(20))) == list(range(20))
    assert max(sizes) == 2


def test_a_batch_that_fails_is_tried_one_by_one():
    def run(images, batch):
        if any(job.index == 5 for job in batch):
            raise DeviceError("out of memory")
        return [str(job.index) for job in batch]

    pipeline = Pipeline(lambda index: np.zeros((4, 4, 3), np.uint8), run, lambda job, message: message, 8, 2)
    expected = [str(index) if index != 5 else "out of memory" for index in range(12)]
    assert list(pipeline.stream(jobs(12))) == expected


def test_a_bug_in_a_decoder_is_not_hidden():
    def load(index):
        raise ZeroDivisionError

    pipeline = Pipeline(load, lambda *_: [], lambda job, message: message, 4, 2)
    with pytest.raises(ZeroDivisionError):
        list(pipeline.stream(jobs(3)))


# ----------------------------------------------------------------------- map


def test_without_a_configuration_the_recommended_preset_counts(engine, photo):
    result = engine.map(photo(), "the face")
    assert (result.preset, result.config) == ("released", DreamConfig())
    assert list(engine.presets()) == ["released", "paper", "tiny", "fast"]
    assert result.phrases == ()


def test_without_a_text_phrases_of_the_bank_are_used(engine, photo):
    config = DreamConfig((16,), 8)
    result = engine.map(photo(), config=config)
    assert 1 <= len(result.phrases) <= 3
    assert result.texts == tuple(phrase.text for phrase in result.phrases)
    assert set(result.texts) <= {phrase["text"] for phrase in PHRASES}
    again = engine.map(photo(), list(result.texts), config)
    np.testing.assert_array_equal(result.values, again.values)


def test_map_errors(engine, photo, tmp_path):
    with pytest.raises(TextError, match="is empty"):
        engine.map(photo(), " ")
    with pytest.raises(TextError, match="is empty"):
        engine.map(photo(), [])
    with pytest.raises(ImageError):
        engine.map(tmp_path / "none.png", "x")
    with pytest.raises(WindowError, match="fits is 30 px"):
        engine.map(photo(30, 50))


def test_a_bundle_without_a_phrase_bank_asks_for_a_text(tmp_path, photo):
    path = build_bundle(tmp_path / "b", core=False, phrases=False)
    with Engine.open(path, device="cpu", threads=1) as engine:
        with pytest.raises(TextError, match="no phrase bank; give a text"):
            engine.map(photo())
        assert engine.map(photo(), "x").values.shape == (72, 96)
        with pytest.raises(BundleError, match="no CORE and cannot score"):
            engine.score([photo()])


def test_a_bundle_without_dream_cannot_map(tmp_path, photo):
    with (
        Engine.open(build_bundle(tmp_path / "b", dream=False), device="cpu", threads=1) as engine,
        pytest.raises(BundleError, match="no DREAM and cannot map"),
    ):
        engine.map(photo(), "x")


@pytest.mark.parametrize("content", ["[]", "{", '{"phrases": []}', '{"phrases": [{"text": "a"}]}'])
def test_a_phrase_bank_that_is_none(tmp_path, photo, content):
    path = build_bundle(tmp_path / "b", core=False)
    (path / "phrases.json").write_text(content, encoding="utf-8")
    write_manifest(path, read_manifest(path))
    with (
        Engine.open(path, device="cpu", threads=1) as engine,
        pytest.raises(BundleError, match="phrase bank"),
    ):
        engine.map(photo())


# ---------------------------------------------------------------------- open


def test_describe_and_the_log_line_name_what_answers(bundle_path, caplog):
    with (
        caplog.at_level(logging.INFO, "realm_engine"),
        Engine.open(bundle_path, device="cpu", threads=1) as engine,
    ):
        described = engine.describe()
    assert described["device"] == "cpu"
    assert described["runtime"].startswith("ONNX Runtime 1.")
    assert described["precision"] == "fp32"
    assert described["bundle"] == "test-bundle"
    assert described["weights"] == "random (seed 0)"
    json.dumps(described)
    (line,) = [record.getMessage() for record in caplog.records]
    for word in ("cpu", "ONNX Runtime", "fp32", "test-bundle"):
        assert word in line


def test_an_explicit_precision_runs_its_own_file(bundle_path, engine, photo):
    with Engine.open(bundle_path, device="cpu", precision="fp16", threads=1) as half:
        assert half.describe()["precision"] == "fp16"
        # the fp16 files of the test bundle hold the same weights
        assert half.score([photo()])[0].mos == pytest.approx(engine.score([photo()])[0].mos, abs=1e-5)
        assert {path.name for path, *_ in half._sessions} == {"core.fp16.onnx"}


def test_a_precision_the_bundle_lacks_names_those_it_has(bundle_path):
    with pytest.raises(BundleError, match="test-bundle: no int8 variant; this bundle has fp32, fp16"):
        Engine.open(bundle_path, device="cpu", precision="int8")


def test_prefer_fp16_says_what_was_chosen(bundle_path, caplog):
    with Engine.open(bundle_path, device="cpu", precision="prefer-fp16", threads=1) as engine:
        assert engine.describe()["precision"] == "fp32"
    assert "device cpu has no fast fp16 path: running core in fp32, dream in fp32" in caplog.text


def test_the_manifest_may_recommend_a_precision_for_a_device(tmp_path):
    path = build_bundle(tmp_path / "b", fp16=True)
    write_manifest(path, read_manifest(path) | {"recommended_precision": {"cpu": "fp16"}})
    with Engine.open(path, device="cpu", threads=1) as engine:
        assert engine.describe()["precision"] == "fp16"


def test_a_part_without_the_precision_asked_for_says_so_when_used(tmp_path, photo):
    path = build_bundle(tmp_path / "b", fp16=True)
    manifest = read_manifest(path)
    del manifest["graphs"]["dream"]["variants"]["fp16"]
    del manifest["graphs"]["core_text"]["variants"]["fp16"]  # a text tower may stay in fp32
    write_manifest(path, manifest)
    with Engine.open(path, device="cpu", precision="fp16", threads=1) as engine:
        assert engine.score([photo()], ["yes"])[0].error is None
        with pytest.raises(BundleError, match="dream is not there in fp16, only in fp32"):
            engine.map(photo(), "x")


def test_graphs_that_name_one_file_share_a_session(tmp_path, photo):
    path = build_bundle(tmp_path / "b")
    import onnx
    from onnx import compose

    towers = [onnx.load(path / f"{name}.onnx") for name in ("core_text", "clip_text")]
    for tower in towers:
        del tower.metadata_props[:]
    both = compose.merge_models(
        compose.add_prefix(towers[0], "core/"), compose.add_prefix(towers[1], "clip/"), io_map=[]
    )
    rename = {
        "core/input_ids": "input_ids",
        "clip/input_ids": "input_ids",
        "core/attention_mask": "attention_mask",
    }
    rename |= {"core/text_features": "text_features", "clip/text_embedding": "text_embedding"}
    for node in both.graph.node:
        node.input[:] = [rename.get(name, name) for name in node.input]
        node.output[:] = [rename.get(name, name) for name in node.output]
    values = [*both.graph.input, *both.graph.output]
    for value in values:
        value.name = rename.get(value.name, value.name)
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = dim.dim_param.split("/")[-1]
    del both.graph.input[2:]
    onnx.save(both, path / "text.onnx")
    for name in ("core_text", "clip_text"):
        (path / f"{name}.onnx").unlink()
    manifest = read_manifest(path)
    for name in ("core_text", "clip_text"):
        manifest["graphs"][name]["variants"] = {"fp32": "text.onnx"}
        manifest["graphs"][name]["inputs"] = manifest["graphs"]["core_text"]["inputs"]
    write_manifest(path, manifest)
    apart = build_bundle(tmp_path / "apart")
    with (
        Engine.open(path, device="cpu", threads=1) as shared,
        Engine.open(apart, device="cpu", threads=1) as separate,
    ):
        assert shared.score([photo()], ["yes"]) == separate.score([photo()], ["yes"])
        config = DreamConfig((16,), 8)
        np.testing.assert_array_equal(
            shared.map(photo(), "a", config).values, separate.map(photo(), "a", config).values
        )
        assert sorted(path.name for path, *_ in shared._sessions) == ["core.onnx", "dream.onnx", "text.onnx"]


def test_a_closed_engine_says_so(bundle_path, photo):
    engine = Engine.open(bundle_path, device="cpu", threads=1)
    engine.map(photo(), "x", DreamConfig((16,), 8))
    engine.close()
    with pytest.raises(DeviceError, match="the engine is closed"):
        engine.map(photo(), "x", DreamConfig((16,), 8))
    with pytest.raises(DeviceError, match="the engine is closed"):
        engine.score([photo()])


def test_an_unknown_bundle(tmp_path: Path):
    with pytest.raises(BundleError, match="not found"):
        Engine.open("no-such-bundle")
