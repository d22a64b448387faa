"""What may be given as pictures: tensors of any library, and what raises instead of becoming a row."""

from __future__ import annotations

import io

import numpy as np
import polars
import pytest
import torch

from realm_engine import DreamConfig, Engine, EngineOptions, pictures_of
from realm_engine.errors import ImageTypeError, ImageValueError, UsageError


@pytest.fixture
def batch(photo) -> np.ndarray:
    """uint8 [3, 40, 56, 3]."""
    return np.stack([photo(40, 56, seed) for seed in range(3)])


@pytest.mark.parametrize("given", [5, 2.5, None, object(), ["a.png", 7], [None], io.StringIO("x")])
def test_what_can_be_no_picture_raises_a_type_error(engine, given):
    with pytest.raises(TypeError) as raised:
        engine.score(given)
    assert isinstance(raised.value, ImageTypeError)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda array: array.astype(np.float32) / 255,
        lambda array: array.astype(np.int64),
        lambda array: array[:, :, 0],
        lambda array: array.transpose(2, 0, 1),
        lambda array: array[:0],
    ],
    ids=["floats", "int64", "grey", "CHW", "empty"],
)
def test_an_array_that_is_no_picture_raises_a_value_error(engine, photo, change):
    with pytest.raises(ValueError) as raised:
        engine.score([photo(), change(photo())])
    assert isinstance(raised.value, ImageValueError) and str(raised.value).startswith("image 2: ")
    with pytest.raises(ImageValueError):
        engine.map(change(photo()))


def test_an_iterator_raises_where_it_comes_to_the_mistake(engine, photo):
    results = engine.iter_scores(iter([photo(), 7]))
    with pytest.raises(ImageTypeError, match=r"image 2: .*not int"):
        list(results)


def test_what_only_reading_can_tell_is_a_row(engine, photo, tmp_path):
    (tmp_path / "no.png").write_bytes(b"no picture")
    rows = engine.score([photo(), tmp_path / "none.png", b"junk", tmp_path / "no.png", io.BytesIO(b"")])
    assert [row.error is None for row in rows] == [True, False, False, False, False]


def test_columns_of_a_data_frame_are_many_pictures(engine, photo, tmp_path):
    from PIL import Image

    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for seed, path in enumerate(paths):
        Image.fromarray(photo(seed=seed)).save(path)
    names = [str(path) for path in paths]
    expected = [row.mos for row in engine.score(names)]
    for column in (np.array(names), np.array(paths, dtype=object), polars.Series(names)):
        assert [row.mos for row in engine.score(column)] == expected


LAYOUTS = {
    "NHWC": lambda batch: batch,
    "NCHW": lambda batch: np.ascontiguousarray(batch.transpose(0, 3, 1, 2)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_a_batch_gives_the_numbers_of_its_pictures(engine, batch, layout, library):
    tensor = library(LAYOUTS[layout](batch))
    assert all(
        np.array_equal(one, other) for one, other in zip(pictures_of(tensor, layout), batch, strict=True)
    )
    expected = [row.mos for row in engine.score(list(batch), ["a", None, "b"])]
    assert [row.mos for row in engine.score(tensor, ["a", None, "b"], layout=layout)] == expected


def test_one_picture_takes_one_description(engine, batch):
    tensor = torch.from_numpy(batch[0]).permute(2, 0, 1)  # not contiguous
    (row,) = engine.score(tensor, "melted", layout="CHW")
    assert row.mos == engine.score(batch[0], "melted")[0].mos and row.description == "melted"
    assert engine.score(batch[0], layout="HWC")[0].mos == engine.score(batch[0])[0].mos


def test_a_loader_of_batches_streams(engine, batch):
    tensor = torch.from_numpy(batch).permute(0, 3, 1, 2)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(tensor), batch_size=2)
    rows = engine.score((images for (images,) in loader), layout="NCHW")
    assert [row.mos for row in rows] == [row.mos for row in engine.score(list(batch))]
    config = DreamConfig((16,), 8)
    maps = [mapped.map for mapped in engine.iter_maps(pictures_of(tensor, "NCHW"), "melted", config)]
    assert all(
        np.array_equal(one.values, engine.map(image, "melted", config).values)
        for one, image in zip(maps, batch, strict=True)
    )


class OnDevice:
    """A tensor that the processor cannot read, as one of CUDA: `cpu` copies it. Ours, because no GPU is needed here."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor, self.copies = tensor, 0
        self.dtype, self.shape = tensor.dtype, tensor.shape

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    def __dlpack__(self, **_: object) -> object:
        raise AssertionError("memory of a device was read")

    def cpu(self) -> torch.Tensor:
        self.copies += 1
        return self.tensor.cpu()


def test_a_tensor_on_a_device_is_copied_once_and_only_if_it_fits(batch):
    tensor = OnDevice(torch.from_numpy(batch))
    assert len(list(pictures_of(tensor, "NHWC"))) == 3 and tensor.copies == 1
    wrong = OnDevice(torch.from_numpy(batch).float())
    with pytest.raises(ImageValueError, match="dtype float32, expected uint8"):
        list(pictures_of(wrong, "NHWC"))
    assert wrong.copies == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_tensor_of_cuda(batch):
    found = list(pictures_of(torch.from_numpy(batch).cuda(), "NHWC"))
    assert all(np.array_equal(one, other) for one, other in zip(found, batch, strict=True))


@pytest.mark.parametrize(
    ("shape", "layout", "said"),
    [
        ((3, 40, 56), "NCHW", r"shape \(3, 40, 56\) does not fit layout NCHW"),
        ((2, 40, 56, 3), "NCHW", "does not fit layout NCHW"),
        ((2, 4, 40, 56), "NCHW", "does not fit"),
        ((2, 3, 0, 56), "NCHW", "no side is 0"),
    ],
)
def test_a_shape_that_the_layout_does_not_fit(engine, shape, layout, said):
    with pytest.raises(ImageValueError, match=said):
        engine.score(torch.zeros(shape, dtype=torch.uint8), layout=layout)


def test_look_takes_decoded_pictures_of_one_size(engine, photo):
    assert engine.look([photo(), photo()])[1].error is None
    for bad in (["a.png", photo()], [5], [None]):
        with pytest.raises(ImageTypeError, match="image 1: expected a decoded image"):
            engine.look(bad)
    for bad in ([photo().astype(np.float32)], [photo(), photo(8, 8)], photo()):
        with pytest.raises(ImageValueError):
            engine.look(bad)


def test_a_layout_must_be_said_exist_and_be_of_tensors(engine, batch):
    with pytest.raises(ImageTypeError, match='say which axis is which, layout="NCHW"'):
        engine.score(torch.from_numpy(batch))
    with pytest.raises(UsageError, match="choose one of HWC, CHW, NHWC, NCHW"):
        engine.score(batch, layout="WHC")
    for given in ("a.png", ["a.png"], 5):
        with pytest.raises(ImageTypeError, match="layout is for arrays and tensors"):
            engine.score(given, layout="NCHW")


def test_no_pictures_are_no_results(engine):
    assert engine.score(torch.zeros((0, 3, 8, 8), dtype=torch.uint8), layout="NCHW") == []
    assert engine.score([]) == []


def test_an_engine_says_what_it_is(bundle_path):
    with EngineOptions(bundle_path, device="cpu", threads=1).open() as engine:
        assert repr(engine).startswith(f"<Engine {engine.bundle.name} on cpu (ONNX Runtime ")
        assert repr(engine).endswith("fp32, threads 1, open>")
    assert repr(engine).endswith("closed>")
    assert isinstance(engine, Engine)
