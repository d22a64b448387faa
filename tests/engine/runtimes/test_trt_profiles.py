"""Shape profiles are arithmetic on the manifest: checked without any runtime."""

from __future__ import annotations

import json

import pytest

from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.manifest import TensorSpec
from realm_engine.errors import DeviceError
from realm_engine.runtimes.tensorrt.profiles import (
    COPIES_OF_INPUT,
    Limits,
    Range,
    ShapeProfile,
    canonical,
    choose,
    dims_of,
    profiles,
)


def of(bundle, graph, limits=None, **changes):
    config = json.loads(json.dumps({part: bundle.manifest[part] for part in ("core", "dream")}))
    for part, change in changes.items():
        config[part] |= change
    return profiles(bundle.graphs[graph].inputs, config, limits)


@pytest.fixture(scope="module")
def tiny():
    return Bundle.open("realm-tiny", verify=False)


def test_windows_are_tuned_for_whole_calls_of_the_recommended_preset(tiny):
    (profile,) = of(tiny, "dream")
    assert profile.dims["windows"] == Range(1, 256, 256)
    assert profile.dims["window"] == Range(1, 64, 512)
    shapes = {tensor.name: profile.shapes(tensor) for tensor in tiny.graphs["dream"].inputs}
    assert shapes["resample"] == ((64, 1), (64, 64), (64, 512))
    assert shapes["image"][2] == (16384, 8192, 3)
    assert shapes["top"] == shapes["left"] == ((1,), (256,), (256,))
    assert shapes["text"] == ((1, 128), (1, 128), (1024, 128))


def test_a_preset_larger_than_the_limit_still_fits(tiny):
    presets = {"huge": {"windows_px": [900, 32], "stride_px": 8, "aggregate": "max"}}
    (profile,) = of(tiny, "dream", dream={"presets": presets, "recommended_preset": "huge"})
    assert profile.dims["window"] == Range(1, 900, 900)


def test_photographs_have_a_profile_for_batches_and_one_for_large_ones(tiny):
    batch, one = of(tiny, "core")
    assert (batch.name, batch.dims["batch"], batch.dims["height"].max) == ("batch", Range(1, 32, 32), 1024)
    assert (one.name, one.dims["batch"], one.dims["height"].max) == ("one", Range(1, 1, 1), 8192)


def test_a_picture_and_its_stages_have_the_same_limits():
    picture = TensorSpec("image", "uint8", ("height", "width", 3))
    (whole,) = profiles([picture], {}, Limits(memory_bytes=1 << 30))
    height, width = whole.dims["height"], whole.dims["width"]
    taken = height.max * width.max * 12 * COPIES_OF_INPUT
    assert taken <= 1 << 30 < 4 * taken
    inputs = [
        TensorSpec("stage_1", "float32", (6, "rows_4", "columns_4")),
        TensorSpec("down_16", "float32", ("rows", "rows_16")),
        TensorSpec("across_4", "float32", ("columns", "columns_4")),
        TensorSpec("text", "float32", ("texts", 8)),
    ]
    (pooled,) = profiles(inputs, {}, Limits(memory_bytes=1 << 30))
    assert (pooled.dims["rows_4"].max, pooled.dims["rows_16"].max) == (height.max // 4, height.max // 16)
    assert pooled.dims["columns_4"] == Range(1, width.opt // 4, width.max // 4)
    assert pooled.dims["rows"].max == height.max // 4 and pooled.dims["texts"].max == Limits().texts
    assert all(len(shape) == 2 for shape in pooled.shapes(inputs[1]))


def test_texts_follow_the_tokenizers_buckets(tiny):
    (profile,) = of(tiny, "core_text")
    assert profile.dims == {"batch": Range(1, 8, 32), "tokens": Range(1, 32, 128)}


def test_texts_of_fixed_length_have_no_other(tiny):
    fixed = {
        "text": {**tiny.manifest["dream"]["text"], "max_tokens": 77, "buckets": [77], "fixed_length": True}
    }
    inputs = tiny.graphs["clip_text"].inputs
    (profile,) = profiles(inputs, {**tiny.manifest["dream"], **fixed})
    assert profile.dims["tokens"] == Range(77, 77, 77)
    (profile,) = profiles([TensorSpec("input_ids", "int64", ("batch", 77))], {**fixed})
    assert profile.shapes(TensorSpec("input_ids", "int64", ("batch", 77)))[1] == (8, 77)


def test_texts_that_are_embedded_already_have_a_profile():
    """The graph `photographs` takes nothing else."""
    text = TensorSpec("text", "float32", ("texts", 128))
    (profile,) = profiles([text], {})
    assert profile.shapes(text) == ((1, 128), (1, 128), (Limits().texts, 128))


def test_a_graph_without_free_dimensions_has_one_empty_profile():
    assert profiles([TensorSpec("x", "float32", (1, 3))], {}) == (ShapeProfile("static", {}),)


@pytest.mark.parametrize("mega", [64, 256, 1024, 4096])
def test_the_largest_call_stays_within_the_memory(tiny, mega):
    limits = Limits(memory_bytes=mega << 20)
    (windows,) = of(tiny, "dream", limits)
    image = 12 * windows.dims["height"].max * windows.dims["width"].max
    crops = 24 * windows.dims["windows"].max * windows.dims["window"].max ** 2
    assert image + crops <= (mega << 20) + 24 * 512**2  # a single window is always possible
    for profile in of(tiny, "core", limits):
        sides = profile.dims["height"].max * profile.dims["width"].max
        assert profile.dims["batch"].max * 24 * sides <= mega << 20


def test_less_memory_is_another_engine(tiny):
    assert canonical(of(tiny, "dream")) == canonical(of(tiny, "dream"))
    assert canonical(of(tiny, "dream")) != canonical(of(tiny, "dream", Limits(memory_bytes=1 << 30)))


def test_nonsense_is_refused(tiny):
    with pytest.raises(DeviceError, match="REALM_TENSORRT_MEMORY must be 64M or more"):
        Limits(memory_bytes=1 << 20)
    with pytest.raises(ValueError, match="no range"):
        Range(2, 1, 3)
    (profile,) = of(tiny, "dream")
    with pytest.raises(DeviceError, match="'depth' that no shape profile knows"):
        profile.shapes(TensorSpec("volume", "float32", ("depth", 3)))


# ----------------------------------------------------------------------- calls

PHOTOS = (
    ShapeProfile("batch", {"batch": Range(1, 4, 4), "height": Range(1, 9, 10), "width": Range(1, 9, 10)}),
    ShapeProfile("one", {"batch": Range(1, 1, 1), "height": Range(1, 9, 99), "width": Range(1, 9, 99)}),
)


@pytest.mark.parametrize(
    ("dims", "index", "part"),
    [
        ({"batch": 3, "height": 8, "width": 10}, 0, 4),
        ({"batch": 9, "height": 8, "width": 10}, 0, 4),
        ({"batch": 3, "height": 11, "width": 10}, 1, 1),
        ({"batch": 1, "height": 99, "width": 1}, 1, 1),
        ({"batch": 1, "height": 5, "width": 5}, 0, 4),
    ],
)
def test_the_profile_with_the_fewest_parts_is_chosen(dims, index, part):
    assert choose(PHOTOS, dims, "core.onnx") == (index, "batch", part)


def test_what_fits_nowhere_is_named_with_its_limit():
    with pytest.raises(DeviceError, match=r"^core\.onnx: width is 100, this engine takes 1 to 99; "):
        choose(PHOTOS, {"batch": 1, "height": 50, "width": 100}, "core.onnx")


def test_sizes_of_a_call():
    inputs = (TensorSpec("a", "float32", ("batch", 3)), TensorSpec("b", "float32", ("batch", "width")))
    assert dims_of(inputs, {"a": (2, 3), "b": (2, 7)}, "x") == {"batch": 2, "width": 7}
    for shapes in (
        {"a": (2, 4), "b": (2, 7)},
        {"a": (2, 3), "b": (3, 7)},
        {"a": (2, 3)},
        {"a": (2,), "b": (2, 7)},
    ):
        with pytest.raises(DeviceError, match=r"^x: input"):
            dims_of(inputs, shapes, "x")
