"""Maps through the engine: presets, phrases, texts per image, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from bundles import PHRASES, build_bundle, read_manifest, write_manifest
from PIL import Image

from realm_engine import DreamConfig, Engine
from realm_engine.errors import BundleError, ImageError, TextError, UsageError, WindowError


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
        with pytest.raises(BundleError, match="no measure and cannot score"):
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
        pytest.raises(BundleError, match=r"phrases\.json: (a phrase bank|phrase 1: 'mean'|not valid JSON)"),
    ):
        engine.map(photo())


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


def test_pictures_with_too_many_windows_are_refused(engine, photo):
    from realm_engine.pictures.inputs import entries

    pictures = [photo(72, 96), photo(72, 104)]  # 8 x 11 and 8 x 12 windows
    few, many = engine.map_entries(entries(pictures, ["x", "x"]), DreamConfig((16,), 8), most_windows=88)
    assert few.error is None and few.map.windows == 88
    assert many.map is None
    assert many.error.startswith("a picture of 104 x 72 has 96 windows, and at most 88 are taken here")


def test_a_map_holds_what_draws_it(engine, photo, tmp_path):
    """Also where the picture is a file, and of many; the values that it shows are untouched."""
    image = photo(72, 96)
    path = tmp_path / "seam é.png"
    Image.fromarray(image).save(path)
    of_array = engine.map(image, "a seam")
    assert of_array.image is image and of_array.name == ""
    before = of_array.values.copy()
    of_file = engine.map(path, "a seam")
    (of_many,) = (each.map for each in engine.iter_maps([path], "a seam", names=[path.name]))
    for found in (of_file, of_many, *engine.map_texts(path, ["a seam", "melted"])):
        np.testing.assert_array_equal(found.image, image)
        assert found.name == path.name and repr(found).startswith(
            "<RealnessMap 'seam é.png', 96 x 72 px, realness "
        )
    assert of_array.overlay(path.name).tobytes() == of_file.overlay().tobytes() == of_many.overlay().tobytes()
    np.testing.assert_array_equal(of_array.values, before)
    copied = pickle.loads(pickle.dumps(of_file))
    assert copied.panel().tobytes() == of_file.panel().tobytes()
