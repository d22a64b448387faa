"""What a caller may give as a picture, tensors made pictures, and what is none of it: a mistake of the program."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import IO, Any, Literal, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from realm_engine.arrays import Array, UInt8
from realm_engine.errors import ImageTypeError, ImageValueError, UsageError

ImageSource: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | NDArray[Any] | Image.Image
)
Layout: TypeAlias = Literal["HWC", "CHW", "NHWC", "NCHW"]
"""The axes of an array or tensor: pictures, height, width, channels (RGB)."""

_ON_HOST = (1, 3)  # DLPack's kDLCPU and kDLCUDAHost: memory that the processor reads


def check_source(source: object) -> None:
    """Raise where a source can be no picture whatever it holds: ImageTypeError, ImageValueError.

    What only reading it can tell (a file that is missing, bytes of something else) is none of these.
    """
    if isinstance(source, np.ndarray):
        _check_array(source)
    elif isinstance(source, io.TextIOBase):
        raise ImageTypeError("image stream: gives text, not bytes; open the file in binary mode ('rb')")
    elif not isinstance(source, str | os.PathLike | bytes | bytearray | memoryview | Image.Image):
        if hasattr(source, "read"):
            return
        kind = type(source).__name__
        if is_tensor(source):
            raise ImageTypeError(
                f'an image is a {kind}: say which axis is which, layout="NCHW" for pictures x 3 x height x width'
            )
        raise ImageTypeError(
            f"an image must be a path, bytes, a binary stream or a uint8 RGB array, not {kind}"
        )


def _check_array(array: Array) -> None:
    if array.ndim != 3 or array.shape[2] != 3:
        raise ImageValueError(f"image array: shape {array.shape}, expected H x W x 3 (RGB)")
    if array.dtype != np.uint8:
        raise ImageValueError(f"image array: dtype {array.dtype}, expected uint8 with values 0..255")
    if array.size == 0:
        raise ImageValueError(f"image array: empty, shape {array.shape}")


def check_decoded(images: Sequence[object]) -> None:
    """Raise ImageTypeError and ImageValueError where images are not uint8 H x W x 3 arrays of one size."""
    shape: tuple[int, ...] | None = None
    for index, image in enumerate(images):
        if not isinstance(image, np.ndarray):
            raise ImageTypeError(
                f"image {index + 1}: expected a decoded image, a uint8 array, not {type(image).__name__}"
            )
        _check_array(image)
        shape = shape or image.shape
        if image.shape != shape:
            raise ImageValueError(
                f"image {index + 1}: shape {image.shape}, the first has another; look takes one size"
            )


def is_empty_path(source: object) -> bool:
    """Whether a source is a path of nothing: "", or `Path("")`, which is `Path(".")` to Python."""
    return source == "" if isinstance(source, str) else isinstance(source, PurePath) and not source.parts


def is_tensor(given: object) -> bool:
    """Whether something is an array of numbers, of NumPy or of whatever library speaks DLPack or `__array__`."""
    if isinstance(given, type | Image.Image | memoryview):
        return False
    return isinstance(given, np.ndarray) or hasattr(given, "__dlpack__") or hasattr(given, "__array__")


def is_one_picture(given: object, layout: Layout) -> bool:
    """Whether a layout makes one picture of what was given. Raises UsageError for a layout that does not exist."""
    if layout not in get_args(Layout):
        raise UsageError(f"layout is {layout!r}; choose one of {', '.join(get_args(Layout))}")
    return is_tensor(given) and not layout.startswith("N")


def pictures_of(given: object, layout: Layout) -> Iterator[UInt8]:
    """Yield uint8 RGB H x W x 3 arrays of a tensor, or of an iterable of tensors as a loader of data gives them.

    Args:
        given: uint8, RGB, with values 0..255, anything that speaks DLPack or `__array__` (NumPy, PyTorch, JAX, CuPy),
            on the processor, where pictures are views, or on a device, from which it is copied.
        layout: The axes of each tensor: "NCHW" and "NHWC" hold pictures of one size, "CHW" and "HWC" one picture.

    Raises:
        ImageTypeError: not a tensor, nor an iterable of them.
        ImageValueError: another dtype, or a shape that the layout does not fit.
        UsageError: a layout that does not exist.
    """
    is_one_picture(given, layout)
    if is_tensor(given):
        yield from _split(given, layout)
        return
    if isinstance(given, str | bytes | os.PathLike) or not isinstance(given, Iterable):
        raise ImageTypeError(
            f"layout is for arrays and tensors, not for {type(given).__name__}; leave it out"
        )
    for each in given:
        if not is_tensor(each):
            raise ImageTypeError(
                f"layout is for arrays and tensors, not for {type(each).__name__}; leave it out"
            )
        yield from _split(each, layout)


def _split(tensor: Any, layout: Layout) -> Iterator[UInt8]:
    # Before anything is copied from a device.
    dtype = str(tensor.dtype).rpartition(".")[2]
    if dtype != "uint8":
        raise ImageValueError(
            f"tensor: dtype {dtype}, expected uint8 with values 0..255; of floats in 0..1 that is "
            "(x * 255).round() as uint8"
        )
    shape = tuple(int(length) for length in tensor.shape)
    if len(shape) != len(layout) or shape[layout.index("C")] != 3 or 0 in shape[layout.startswith("N") :]:
        raise ImageValueError(
            f"tensor: shape {shape} does not fit layout {layout}, in which C is 3 (RGB) and no side is 0"
        )
    array = on_host(tensor)
    batch = array if layout.startswith("N") else array[None]
    pictures = batch if layout.endswith("HWC") else batch.transpose(0, 2, 3, 1)
    yield from cast("Iterator[UInt8]", iter(pictures))


def on_host(tensor: Any) -> Array:
    """A tensor as a NumPy array: the same memory where the processor can read it, else a copy from its device."""
    if isinstance(tensor, np.ndarray):
        return tensor
    device = getattr(tensor, "__dlpack_device__", None)
    if device is None:
        return np.asarray(tensor)
    if int(device()[0]) not in _ON_HOST:
        copy = getattr(tensor, "cpu", None) or getattr(tensor, "get", None)  # PyTorch's, CuPy's
        if copy is None:
            return np.asarray(tensor)  # JAX copies here
        tensor = copy()
    return tensor if isinstance(tensor, np.ndarray) else np.from_dlpack(tensor)
