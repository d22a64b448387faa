"""Decode and validate images: whatever the file holds, the engine gets uint8 RGB, H x W x 3.

Decoding is Pillow's, because a truncated file is an error there and not a grey block. The format is read from
the content, never from the name. Everything here may be called from several threads at once.
"""

import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from realm_engine.arrays import UInt8
from realm_engine.errors import ImageError, ImageTypeError, RealmError
from realm_engine.pictures import jpeg, webp
from realm_engine.pictures.png import without_texts
from realm_engine.pictures.rgb import rgb_of
from realm_engine.pictures.sources import ImageSource, check_source, is_empty_path
from realm_engine.pictures.weight import decoding_bytes, webp_bytes

MAX_PIXELS = 200_000_000
"""Largest image that is decoded; a larger one is more likely an attack or a mistake than a photograph."""

MAX_SIDE_PX = 100_000
"""Longest side: the matrix that resizes it grows with it. Beyond 65 535 only PNG, TIFF and BMP go."""

MOST_RUNS_BYTES = 8 << 20

MAX_PIPED_BYTES = 1 << 30
"""Most that is read of a source that is no file, which may have no end."""

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
_MAX_MEGAPIXELS = MAX_PIXELS // 1_000_000

Admit: TypeAlias = Callable[[int], None]
"""Told, before anything is decoded, how many bytes decoding will hold; it may wait, or raise."""


def load_image(source: ImageSource, admit: Admit | None = None) -> UInt8:
    """Decode an image to contiguous uint8 sRGB, H x W x 3.

    EXIF orientation is applied; alpha is composited on white; grey, palette and CMYK become RGB, and colours of another
    ICC profile sRGB (one that cannot be used is logged as a warning, and the picture read as sRGB); 16 bit
    samples keep their high byte; of an animation or a multi-page file the first frame counts.

    Args:
        source: A path, the bytes of a file, a binary stream (read from where it stands to its end), a Pillow
            image, or an array that already is sRGB, uint8, H x W x 3 (returned as it is, not copied).
        admit: Called once the header is read, with about how many bytes are held while the rest is; what it raises
            is passed on.

    Raises:
        ImageError: unreadable, truncated, not an image, an unsupported pixel type, or more than `MAX_PIXELS`
            pixels. The message names the source.
        ImageTypeError, ImageValueError: a source of another type, or an array of another dtype or shape.
    """
    admit = admit or (lambda size: None)
    check_source(source)
    if isinstance(source, np.ndarray):
        _check_size(source.shape[1], source.shape[0], "image array")
        admit(source.nbytes)
        return np.ascontiguousarray(source)
    if isinstance(source, Image.Image):
        with _image_errors("image"):
            return _decode(source, "image", admit, own=False)
    if isinstance(source, (str, os.PathLike)):
        if is_empty_path(source):
            raise ImageError("the path of the image is empty; give a file")
        path = Path(source)
        if path.is_dir():
            raise ImageError(f"{path}: a directory, not an image")
        try:
            with path.open("rb") as file:
                return _read(file if file.seekable() else _piped(file, str(path)), str(path), admit)
        except OSError as error:
            raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from error
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _read(io.BytesIO(bytes(source)), "image bytes", admit)
    try:
        content = source.read()
    except (OSError, ValueError) as error:
        raise ImageError(f"image stream: cannot be read ({error})") from error
    if not isinstance(content, bytes):
        raise ImageTypeError("image stream: gives text, not bytes; open the file in binary mode ('rb')")
    return _read(io.BytesIO(content), str(getattr(source, "name", "image stream")), admit)


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


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name}: {width} x {height} is more than {_MAX_MEGAPIXELS} megapixels; scale it down first"
        )
    if max(width, height) > MAX_SIDE_PX:
        raise ImageError(
            f"{name}: {width} x {height} has a side beyond {MAX_SIDE_PX} pixels; cut it into pieces"
        )
    if width == 0 or height == 0:
        raise ImageError(f"{name}: empty image, {width} x {height} pixels")


def _read(file: IO[bytes], name: str, admit: Admit) -> UInt8:
    with _image_errors(name):
        if not file.read(1):
            raise ImageError(f"{name}: the file is empty (0 bytes)")
        passes = jpeg.scans(file, name)
        announced = webp.size(file)
        if announced is not None:
            _check_size(*announced, name)
            admit(webp_bytes(*announced))
            admit = _admitted
        with _open(without_texts(file)) as image:
            _check_runs(image, file, name)
            return _decode(image, name, admit, own=True, passes=passes)


def _check_runs(image: Image.Image, file: IO[bytes], name: str) -> None:
    """Refuse what Pillow would unpack in Python, run by run, for minutes."""
    runs = any(tile[0] == "bmp_rle" for tile in getattr(image, "tile", ()))
    if runs and file.seek(0, os.SEEK_END) > MOST_RUNS_BYTES:
        raise ImageError(
            f"{name}: a BMP in runs of more than {MOST_RUNS_BYTES >> 20} MB takes minutes to read; save it as PNG"
        )


@contextmanager
def _image_errors(name: str) -> Iterator[None]:
    """Every way Pillow can fail becomes an ImageError of one line."""
    try:
        yield
    except RealmError:
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


def _admitted(size_bytes: int) -> None:
    """Of what was admitted already."""


def _open(file: IO[bytes]) -> Image.Image:
    with _OUR_LIMIT:
        return Image.open(file, formats=_FORMATS)


def _decode(image: Image.Image, name: str, admit: Admit, own: bool, passes: int = 1) -> UInt8:
    _check_size(image.width, image.height, name)
    admit(decoding_bytes(image, passes))
    if image.format != "TIFF":
        return rgb_of(image, name, own)
    with _OUR_LIMIT:  # Pillow asks for the size of those once more
        return rgb_of(image, name, own)


class _OurLimit:
    """Our limit of pixels in place of Pillow's, which refuses large photographs, while any of our threads needs it.

    Pillow keeps it in a module variable, which others may look at: what they see is ours for as short as can be.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._theirs: int | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._theirs, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                Image.MAX_IMAGE_PIXELS = self._theirs


_OUR_LIMIT = _OurLimit()
