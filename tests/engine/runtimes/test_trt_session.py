"""How engines are run, on an emulated GPU that refuses what a real one would leave undefined."""

from __future__ import annotations

import numpy as np
import pytest
import trt_emulator as emulator
from trt_setup import Setup, expected, feeds, graph_launches

from realm_engine.errors import DeviceError
from realm_engine.runtimes.tensorrt.jit_cache import JitCache


@pytest.mark.parametrize("rtx", [False, True])
@pytest.mark.parametrize("graphs", [False, True])
def test_answers_for_changing_shapes(rtx, graphs):
    setup = Setup(rtx=rtx, graphs=graphs)
    sizes = [(5, 2, 8), (5, 2, 8), (5, 2, 8), (16, 3, 20), (1, 1, 1), (5, 2, 8), (16, 3, 20), (16, 3, 20)]
    calls = [feeds(w, t, h, seed=index) for index, (w, t, h) in enumerate(sizes)]
    launches = graph_launches(setup, calls)
    assert (launches > 0) == (graphs and not rtx)


def test_the_third_call_of_a_shape_is_replayed_and_later_ones_too():
    setup = Setup()
    assert graph_launches(setup, [feeds(seed=0)]) == 0  # settles the shapes
    assert graph_launches(setup, [feeds(seed=1)]) == 1  # recorded, then launched
    assert graph_launches(setup, [feeds(seed=2), feeds(seed=3)]) == 3
    # the last, smaller call of an image has its own lane: neither disturbs the other
    assert graph_launches(setup, [feeds(3, seed=4), feeds(seed=5), feeds(3, seed=6), feeds(3, seed=7)]) == 6


def test_lanes_are_bounded_and_their_memory_returns():
    setup = Setup()
    for size in range(1, 12):
        for seed in range(3):
            call = feeds(size, seed=seed)
            np.testing.assert_allclose(setup.run(call), expected(call), rtol=1e-6)
    assert len(setup.session._lanes) <= 4
    assert len(setup.device.pinned) <= 4 * 4
    setup.session.close()
    setup.pool.trim()
    assert not setup.device.blocks and not setup.device.pinned
    with pytest.raises(DeviceError, match="closed"):
        setup.run(feeds())


def test_a_resident_image_is_used_where_it_lies():
    setup = Setup()
    for seed in range(4):  # as images of one size, one after the other
        call = feeds(seed=seed)
        image = setup.upload(call["image"])
        for _ in range(3):
            np.testing.assert_allclose(setup.run({**call, "image": image}), expected(call), rtol=1e-6)
        del image
    # the second image took the place of the first, so that its graph still holds
    assert setup.device.launches == 4 * 3 - 1
    assert len(setup.engine.contexts) == 1


@pytest.mark.parametrize("rtx", [False, True])
def test_two_resident_images_in_turn(rtx):
    setup = Setup(rtx=rtx)
    calls = [feeds(seed=0), feeds(seed=1)]
    images = [setup.upload(call["image"]) for call in calls]
    for index in (0, 0, 0, 1, 1, 0, 1, 1, 1):
        given = {**calls[index], "image": images[index]}
        np.testing.assert_allclose(setup.run(given), expected(calls[index]), rtol=1e-6)
    np.testing.assert_allclose(setup.run(calls[0]), expected(calls[0]), rtol=1e-6)  # and from the host


def test_scratch_memory_follows_the_shapes_in_use():
    setup = Setup(scratch=4096)
    setup.run(feeds(2))
    small = setup.device.used
    setup.run(feeds(16))
    assert setup.session._scratch.nbytes == 16 * 4096
    assert small < 4 * 4096 + 4096
    call = feeds(2, seed=9)  # an older lane learns of the new memory
    for _ in range(3):
        np.testing.assert_allclose(setup.run(call), expected(call), rtol=1e-6)


def test_a_call_beyond_the_profile_runs_in_parts():
    setup = Setup()
    call = feeds(40)
    np.testing.assert_allclose(setup.run(call), expected(call), rtol=1e-6)
    shapes = {dict(key[1])["top"] for key in setup.session._lanes}
    assert shapes == {(16,), (8,)}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (feeds(height=65), "height is 65, this engine takes 1 to 64"),
        (feeds(texts=33), "texts is 33, this engine takes 1 to 32"),
        ({**feeds(), "top": np.zeros((2, 2), np.int64)}, "'top' has shape"),
        ({**feeds(), "top": np.zeros(2, np.int32)}, "'top' is int32, expected int64"),
        ({**feeds(), "left": np.zeros(2, np.int64)}, "no input 'left'"),
        ({"image": feeds()["image"]}, "'top' has shape None"),
    ],
)
def test_calls_that_cannot_run_say_why(call, words):
    with pytest.raises(DeviceError, match=rf"^dream\.onnx: .*{words}"):
        Setup().run(call)


def test_an_unknown_output_is_named():
    with pytest.raises(DeviceError, match="no output 'mos', only"):
        Setup().session.run(feeds(), ["mos"])


def test_a_full_gpu_makes_calls_smaller_with_a_warning(caplog):
    setup = Setup(capacity=40_000, scratch=4096)
    call = feeds(16)
    np.testing.assert_allclose(setup.run(call), expected(call), rtol=1e-6)
    assert "the GPU has no room for 16 windows a call; going on with 8" in caplog.text


def test_a_gpu_without_room_for_a_single_window_is_an_error():
    with pytest.raises(
        DeviceError, match=r"no room: 1M are needed, 1M are free; close other programs"
    ) as caught:
        Setup(capacity=8_000, scratch=100_000).run(feeds(2))
    assert "\n" not in str(caught.value)


def test_a_graph_that_cannot_be_recorded_runs_without(monkeypatch):
    setup = Setup()
    codes = (emulator.Code.cudaErrorInvalidValue, None)

    def refuse(stream):
        setup.device.recording = None
        return codes

    monkeypatch.setattr(setup.device, "cudaStreamEndCapture", refuse)
    assert graph_launches(setup, [feeds(seed=seed) for seed in range(4)]) == 0


def test_rtx_records_graphs_itself_and_keeps_what_it_compiled():
    kept = []
    setup = Setup(rtx=True, jit=JitCache(b"", kept.append))
    setup.run(feeds())
    (config,) = setup.engine.configs
    assert config.cuda_graph_strategy == "whole" and config.allocation == "user-managed"
    setup.session.close()
    assert kept == [b"compiled"]
    again = Setup(rtx=True, graphs=False, jit=JitCache(kept[0], kept.append))
    again.run(feeds())
    assert again.engine.configs[0].cuda_graph_strategy == "disabled"
    again.session.close()
    assert kept == [b"compiled"]  # nothing new
