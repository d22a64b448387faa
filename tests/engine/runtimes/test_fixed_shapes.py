"""A whole engine with few shapes, on the CPU: what is filled up gives the same answers."""

from __future__ import annotations

import numpy as np
import pytest

from realm_engine import Engine
from realm_engine.errors import UsageError
from realm_engine.maps.encoders import split_calls
from realm_engine.maps.realness_map import DreamConfig
from realm_engine.runtimes.onnxruntime import OnnxRuntimeBackend

Shapes = dict[str, list[dict[str, tuple[int, ...]]]]


@pytest.fixture
def watched(monkeypatch) -> Shapes:
    """The shapes that each graph is run with, by its file."""
    found: Shapes = {}
    load = OnnxRuntimeBackend.load

    def watching(self, path, precision):
        session = load(self, path, precision)
        run = session.run
        shapes = found.setdefault(path.name, [])

        def noted(inputs, outputs):
            shapes.append({name: np.shape(value) for name, value in inputs.items()})
            return run(inputs, outputs)

        session.run = noted
        return session

    monkeypatch.setattr(OnnxRuntimeBackend, "load", watching)
    return found


@pytest.fixture
def seen(monkeypatch, watched) -> Shapes:
    """The CPU as a device that wants few sizes; the shapes that each opened graph was run with."""
    sizes = {"batch": (1, 4), "windows": (8, 16)}
    made = OnnxRuntimeBackend.__init__

    def init(self, *arguments):
        made(self, *arguments)
        self.row_sizes, self.resident, self.texts_together = sizes, True, True

    monkeypatch.setattr(OnnxRuntimeBackend, "__init__", init)
    return watched


def test_pictures_of_five_sizes_are_scored_in_two_sizes_of_calls(bundle_path, engine, photo, seen):
    sizes = ((60, 84), (84, 60), (30, 41), (50, 50), (99, 70))
    order = np.random.default_rng(5).permutation([index % 5 for index in range(23)])
    images = [photo(*sizes[kind], seed=index) for index, kind in enumerate(order)]
    texts = [("yes the face", None, "no")[index % 3] for index in range(23)]
    expected = [row.mos for row in engine.score(images, texts)]
    seen.clear()
    with Engine.open(bundle_path, device="cpu", threads=1) as padded:
        found = [row.mos for row in padded.score(images, texts, batch_size=4)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert {shapes["pixels"] for shapes in seen["core.onnx"]} == {(4, 256, 256, 3)}
    assert len(seen["core.onnx"]) == 6  # 23 pictures, all sizes in one call


def test_fixed_shapes_are_few_whatever_comes(bundle_path, engine, photo, watched):
    """64 pictures of five sizes in an order that varies, on the CPU: few shapes per graph, and the same answers."""
    sizes = ((60, 84), (384, 512), (512, 300), (300, 451), (700, 500))
    order = np.random.default_rng(6).permutation([index % 5 for index in range(64)])
    images = [photo(*sizes[kind], seed=index) for index, kind in enumerate(order)]
    texts = [("yes the face", None, "no", "yes no " * (index % 9))[index % 4] for index in range(64)]
    expected = engine.score(images, texts)
    watched.clear()
    with Engine.open(bundle_path, device="cpu", threads=1, fixed_shapes=True) as fixed:
        found = fixed.score(images, texts)
        mapped = fixed.map(images[0], "yes", DreamConfig((24,), 8))
    np.testing.assert_allclose([row.mos for row in found], [row.mos for row in expected], atol=1e-6)
    np.testing.assert_allclose(
        mapped.values, engine.map(images[0], "yes", DreamConfig((24,), 8)).values, atol=1e-6
    )
    assert set(watched) == {"core.onnx", "core_text.onnx", "dream.onnx", "clip_text.onnx"}
    for name, calls in watched.items():
        assert 1 <= len({tuple(sorted(shapes.items())) for shapes in calls}) <= 8, name
    assert {shapes["pixels"][0] for shapes in watched["core.onnx"]} <= {1, 32}


def test_without_fixed_shapes_a_call_holds_pictures_of_one_size(bundle_path, photo, watched):
    images = [photo(60, 84), photo(50, 70), photo(60, 84)]
    with Engine.open(bundle_path, device="cpu", threads=1, fixed_shapes=False) as engine:
        assert all(row.error is None for row in engine.score(images))
    assert {shapes["pixels"][1:] for shapes in watched["core.onnx"]} == {(60, 84, 3), (50, 70, 3)}
    assert {shapes["resample_rows"][0] for shapes in watched["core.onnx"]} == {1}


def test_a_wrong_word_for_shapes_is_a_mistake(bundle_path):
    with pytest.raises(UsageError, match="fixed_shapes is 'yes'; choose one of 'auto', True, False"):
        Engine.open(bundle_path, device="cpu", fixed_shapes="yes")


def test_maps_of_several_sizes_run_in_two_sizes_of_calls(bundle_path, engine, photo, seen):
    images = [photo(60, 84), photo(40, 31), photo(25, 99)]
    configs = [DreamConfig((24, 16), 8), DreamConfig((24,), 8, fraction=0.5), DreamConfig((24,), 24)]
    expected = iter([engine.map(image, "yes", config) for image in images for config in configs])
    seen.clear()
    with Engine.open(bundle_path, device="cpu", threads=1) as padded:
        padded.maps.dream.encoder = padded.maps.dream.encoder.with_per_call(16)
        for image in images:
            for config in configs:
                found, wanted = padded.map(image, "yes", config), next(expected)
                np.testing.assert_allclose(found.values, wanted.values, atol=1e-6)
                assert found.windows == wanted.windows
    counts = [shapes["top"][0] for shapes in seen["dream.onnx"]]
    assert set(counts) == {8, 16}
    assert all(shapes["top"] == shapes["left"] for shapes in seen["dream.onnx"])


# ------------------------------------------------------------------ calls of one size


@pytest.mark.parametrize("one_size", [False, True])
@pytest.mark.parametrize(
    ("count", "most"), [(0, 4), (1, 4), (4, 4), (5, 4), (2337, 512), (2337, 256), (7, 100)]
)
def test_calls_leave_no_window_out(count, most, one_size):
    calls = list(split_calls(count, most, one_size))
    covered = [index for chunk, _ in calls for index in range(chunk.start, chunk.stop)]
    assert set(covered) == set(range(count)) and sum(new for _, new in calls) == count
    assert len(calls) == -(-count // most)
    sizes = {chunk.stop - chunk.start for chunk, _ in calls}
    if one_size:
        assert sizes == ({min(count, most)} if count else set())
    else:
        assert len(covered) == count and max(sizes, default=0) <= most


def test_what_is_done_adds_up_although_windows_are_encoded_twice(bundle_path, photo, monkeypatch):
    with Engine.open(bundle_path, device="cpu", threads=1) as engine:
        monkeypatch.setattr(engine._main.sessions.plan("dream").backend, "resident", True)
        engine.maps.dream.encoder = engine.maps.dream.encoder.with_per_call(5)
        told: list[tuple[int, int]] = []
        found = engine.map(
            photo(60, 84), "yes", DreamConfig((24,), 8), lambda done, total: told.append((done, total))
        )
    assert told[-1] == (found.windows, found.windows)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
