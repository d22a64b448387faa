"""Decode and validate images: whatever the file holds, the engine gets uint8 RGB, H x W x 3.

Decoding is Pillow's, because a truncated file is an error there and not a grey block. The format is read from
the content, never from the name. Everything here may be called from several threads at once.
"""

import io
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from realm_engine.arrays import UInt8
from realm_engine.errors import ImageError
from realm_engine.pictures.png import without_texts

ImageSource: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | NDArray[Any] | Image.Image
)

MAX_PIXELS = 200_000_000
"""Largest image that is decoded; a larger one is more likely an attack or a mistake than a photograph."""

MAX_PIPED_BYTES = 1 << 30
"""Most that is read of a source that is no file, which may have no end."""
STRIP_PX = 1 << 20
DECODING_BYTES_PER_PX = 7.5
"""What decoding holds at its peak: Pillow's four bytes a pixel, our three, and strips."""

# A closed list keeps Pillow's rarer readers, some of which start other programs, away from files that merely
# claim to be pictures. Importing a plugin registers it; JPEG includes MPO, the multi-picture file of phones.
_FORMATS = (
    BmpImagePlugin.BmpImageFile.format,
    GifImagePlugin.GifImageFile.format,
    JpegImagePlugin.JpegImageFile.format,
    PngImagePlugin.PngImageFile.format,
    TiffImagePlugin.TiffImageFile.format,
    WebPImagePlugin.WebPImageFile.format,
)
_READABLE = "PNG, JPEG, WebP, BMP, TIFF"
_TIFF_PHOTOMETRIC = 262
_MAX_MEGAPIXELS = MAX_PIXELS // 1_000_000
_header_lock = threading.Lock()


def load_image(source: ImageSource) -> UInt8:
    """Decode an image to contiguous uint8 RGB, H x W x 3.

    EXIF orientation is applied; alpha is composited on white; grey, palette and CMYK become RGB; 16 bit
    samples keep their high byte; of an animation or a multi-page file the first frame counts.

    Args:
        source: A path, the bytes of a file, a binary stream (read from where it stands to its end), a Pillow
            image, or an array that already is RGB, uint8, H x W x 3 (returned as it is, not copied).

    Raises:
        ImageError: unreadable, truncated, not an image, an unsupported pixel type, more than `MAX_PIXELS`
            pixels, or an array of another dtype or shape. The message names the source.
    """
    if isinstance(source, np.ndarray):
        return _checked_array(source)
    if isinstance(source, Image.Image):
        with _image_errors("image"):
            return _decode(source, "image", own=False)
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.is_dir():
            raise ImageError(f"{path}: a directory, not an image")
        try:
            with path.open("rb") as file:
                return _read(file if file.seekable() else _piped(file, str(path)), str(path))
        except OSError as error:
            raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from error
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _read(io.BytesIO(bytes(source)), "image bytes")
    if hasattr(source, "read"):
        try:
            content = source.read()
        except (OSError, ValueError) as error:
            raise ImageError(f"image stream: cannot be read ({error})") from error
        if not isinstance(content, bytes):
            raise ImageError("image stream: gives text, not bytes; open the file in binary mode ('rb')")
        return _read(io.BytesIO(content), str(getattr(source, "name", "image stream")))
    raise ImageError(
        f"an image must be a path, bytes, a binary stream or a uint8 RGB array, not {type(source).__name__}"
    )


def decoding_bytes(source: ImageSource) -> int:
    """About how much memory `load_image` will hold, by what the header announces; 0 where that is not known yet."""
    try:
        if isinstance(source, str | os.PathLike):
            with Path(source).open("rb") as file:
                return _announced(file) if file.seekable() else 0
        if isinstance(source, bytes | bytearray | memoryview):
            return _announced(io.BytesIO(bytes(source)))
    except Exception:  # whatever is wrong with it, `load_image` says so
        return 0
    return 0


def _announced(file: IO[bytes]) -> int:
    with _open(without_texts(file)) as image:
        return math.ceil(image.width * image.height * DECODING_BYTES_PER_PX)


def read_pipe(path: Path) -> bytes:
    """All that comes out of something that is no file. Raises ImageError."""
    try:
        with path.open("rb") as stream:
            return _piped(stream, str(path)).read()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from error


def _piped(file: IO[bytes], name: str) -> IO[bytes]:
    """What comes out of a pipe, which Pillow could not go back in."""
    content = file.read(MAX_PIPED_BYTES + 1)
    if len(content) > MAX_PIPED_BYTES:
        raise ImageError(f"{name}: more than {MAX_PIPED_BYTES >> 20} MB come out of it; give a file")
    return io.BytesIO(content)


def _checked_array(array: NDArray[Any]) -> UInt8:
    if array.ndim != 3 or array.shape[2] != 3:
        raise ImageError(f"image array: shape {array.shape}, expected H x W x 3 (RGB)")
    if array.dtype != np.uint8:
        raise ImageError(f"image array: dtype {array.dtype}, expected uint8 with values 0..255")
    if array.size == 0:
        raise ImageError(f"image array: empty, shape {array.shape}")
    _check_size(array.shape[1], array.shape[0], "image array")
    return np.ascontiguousarray(array)


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name}: {width} x {height} is more than {_MAX_MEGAPIXELS} megapixels; scale it down first"
        )


def _read(file: IO[bytes], name: str) -> UInt8:
    with _image_errors(name):
        if not file.read(1):
            raise ImageError(f"{name}: the file is empty (0 bytes)")
        file.seek(0)
        with _open(without_texts(file)) as image:
            return _decode(image, name)


@contextmanager
def _image_errors(name: str) -> Iterator[None]:
    """Every way Pillow can fail becomes an ImageError of one line."""
    try:
        yield
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: not an image that can be read (formats: {_READABLE})") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: more than {_MAX_MEGAPIXELS} megapixels; scale it down first") from error
    except MemoryError as error:
        raise ImageError(f"{name}: not enough memory to decode it") from error
    except Exception as error:  # Pillow's readers raise whatever a broken file provokes
        cause = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name}: broken or truncated image ({cause})") from error


def _open(file: IO[bytes]) -> Image.Image:
    """`Image.open` with our size limit in place of Pillow's, which refuses large photographs.

    Pillow keeps its limit in a module variable; the lock keeps the change as short as reading one header and
    hidden from our other threads.
    """
    with _header_lock:
        previous = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS
        try:
            return Image.open(file, formats=_FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = previous


def _decode(image: Image.Image, name: str, own: bool = True) -> UInt8:
    """`own`: nobody else needs the image, whose memory is freed as soon as its pixels are copied."""
    _check_size(image.width, image.height, name)
    if image.width == 0 or image.height == 0:
        raise ImageError(f"{name}: empty image, {image.width} x {image.height} pixels")
    image.load()
    white_is_zero = getattr(image, "tag_v2", {}).get(_TIFF_PHOTOMETRIC) == 0
    turn = _TURNS.get(_orientation(image))
    pixels = np.empty((image.height, image.width, 3), dtype=np.uint8)
    convert = _converter(image, name, white_is_zero)
    # In strips: Pillow holds four bytes a pixel, and what is between it and these three shall be little.
    rows = max(1, STRIP_PX // image.width)
    for top in range(0, image.height, rows):
        below = min(image.height, top + rows)
        whole = top == 0 and below == image.height
        strip = image if whole else image.crop((0, top, image.width, below))
        pixels[top:below] = convert(strip)
    if own:
        image.close()
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _converter(image: Image.Image, name: str, white_is_zero: bool) -> Callable[[Image.Image], UInt8]:
    """What turns a strip of an image into RGB, or into grey of one channel."""
    if image.mode.startswith(("I", "F")):

        def deep(strip: Image.Image) -> UInt8:
            grey = _deep_grey(strip, name)
            if white_is_zero:  # Pillow inverts such TIFFs of 8 bits and leaves deeper ones as they are
                grey = 255 - grey
            return grey[:, :, None]

        return deep
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        return lambda strip: _on_white(np.asarray(strip.convert("RGBA")))

    def plain(strip: Image.Image) -> UInt8:
        try:
            return np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))
        except ValueError as error:
            raise ImageError(f"{name}: colour mode {strip.mode} cannot be read; save it as RGB") from error

    return plain


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; metadata too broken to read is ignored."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


# What makes an array upright, by EXIF orientation.
_TURNS: Mapping[int, Callable[[UInt8], UInt8]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: pixels[::-1].transpose(1, 0, 2),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: pixels[:, ::-1].transpose(1, 0, 2),
}


def _deep_grey(image: Image.Image, name: str) -> UInt8:
    """Grey of more than 8 bits as uint8: 16 bit keeps the high byte, float 0..1 spans 0..255."""
    samples = np.asarray(image)
    if image.mode.startswith("I"):
        if int(samples.min()) < 0 or int(samples.max()) > 65535:
            raise ImageError(f"{name}: 32 bit integer samples have no defined white; save it as 8 or 16 bit")
        # Pillow takes the high byte of 16 bit colour as well, so grey and colour agree.
        return (samples.astype(np.uint16) >> 8).astype(np.uint8)
    if not (np.isfinite(samples).all() and samples.min() >= 0.0 and samples.max() <= 1.0):
        raise ImageError(f"{name}: float samples outside 0..1 have no defined white; save it as 8 or 16 bit")
    return np.floor(samples.astype(np.float64) * 255.0 + 0.5).astype(np.uint8)


def _on_white(rgba: UInt8) -> UInt8:
    """Composite uint8 RGBA (H, W, 4), straight alpha, on white, rounded to the nearest level."""
    # 255 * 255 + 127 fits in 16 bits, so that a large picture needs no more memory than it must.
    colour = rgba[:, :, :3].astype(np.uint16)
    alpha = rgba[:, :, 3:].astype(np.uint16)
    return ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
