"""Scores through the engine: batches, threads, kinds of input, and what fails."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from decoders import wait_until_no_thread_decodes
from PIL import Image

from realm_engine import Engine, Measured
from realm_engine.errors import UsageError
from realm_engine.pictures.descriptions import Descriptions

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
    sources = [
        good,
        tmp_path / "broken.png",
        tmp_path / "none.png",
        good,
        b"",
        np.zeros((1, 100_001, 3), np.uint8),
        good,
    ]
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
        ({"missing_text": "guess"}, "choose one of allow, error"),
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
    assert all(isinstance(score, Measured) and score.error is None for score in got)
    assert next(taken) < 30  # the look-ahead is bounded
    wait_until_no_thread_decodes()


def test_more_images_than_descriptions_in_a_stream(engine, photo):
    with pytest.raises(UsageError, match="more images than descriptions"):
        list(engine.iter_scores((photo() for _ in range(3)), iter(["a"])))
