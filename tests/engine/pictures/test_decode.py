"""Decoding against expectations that do not come from Pillow's conversions: numpy arithmetic and OpenCV."""

import io
import os
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from realm_engine.errors import ImageError
from realm_engine.pictures import decode as images
from realm_engine.pictures.decode import load_image

HEIGHT, WIDTH = 37, 53


def picture(channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth colours, different in every corner; uint8 H x W x channels."""
    rows, cols = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [
        (rows * 255 // (HEIGHT - 1) * (k + 1) + cols * 255 // (WIDTH - 1) * (k + 2) + 40 * k + seed) % 256
        for k in range(channels)
    ]
    return np.dstack(planes).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def on_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    weight = alpha[..., None] / 255.0
    return np.floor(rgb * weight + 255.0 * (1.0 - weight) + 0.5).astype(np.uint8)


def assert_rgb(decoded: np.ndarray, expected: np.ndarray) -> None:
    assert decoded.dtype == np.uint8
    assert decoded.flags["C_CONTIGUOUS"]
    assert decoded.shape == expected.shape
    np.testing.assert_array_equal(decoded, expected)


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_exif_orientation(kind: str, orientation: int) -> None:
    stored = Image.fromarray(picture())
    exif = Image.Exif()
    exif[274] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}.get(kind, {})
    decoded = load_image(encoded(stored, kind, exif=exif, **options))
    plain = picture() if kind != "JPEG" else load_image(encoded(stored, kind, **options))
    assert_rgb(decoded, UPRIGHT[orientation](plain))


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_jpeg_orientation_agrees_with_opencv(orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    content = encoded(Image.fromarray(cv2.GaussianBlur(picture(), (0, 0), 6)), "JPEG", exif=exif, quality=98)
    other = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    decoded = load_image(content)
    assert decoded.shape == other.shape
    assert np.abs(decoded.astype(int) - other).mean() < 2.0


def test_sixteen_bit_with_orientation() -> None:
    deep = (picture(1)[:, :, 0].astype(np.uint16) << 8) | 0x37
    exif = Image.Exif()
    exif[274] = 6
    decoded = load_image(encoded(Image.fromarray(deep), "PNG", exif=exif))
    assert_rgb(decoded, np.rot90(picture(1), -1).repeat(3, axis=2))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_orientation_out_of_range_and_broken_exif_are_ignored() -> None:
    exif = Image.Exif()
    exif[274] = 99
    assert_rgb(load_image(encoded(Image.fromarray(picture()), "PNG", exif=exif)), picture())
    broken = encoded(Image.fromarray(picture()), "PNG", exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff")
    assert_rgb(load_image(broken), picture())


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_rgb(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    assert_rgb(load_image(encoded(Image.fromarray(picture()), kind, **options)), picture())


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_grey(kind: str) -> None:
    grey = picture(1)
    assert_rgb(load_image(encoded(Image.fromarray(grey[:, :, 0]), kind)), grey.repeat(3, axis=2))


def test_grey_jpeg() -> None:
    grey = cv2.GaussianBlur(picture(1)[:, :, 0], (0, 0), 5)
    decoded = load_image(encoded(Image.fromarray(grey), "JPEG", quality=98))
    assert decoded.shape == (HEIGHT, WIDTH, 3)
    assert np.ptp(decoded.astype(int), axis=2).max() == 0
    assert np.abs(decoded[:, :, 0].astype(int) - grey).max() <= 4


def test_grey_alpha() -> None:
    both = picture(2)
    content = encoded(Image.merge("LA", _planes(both)), "PNG")
    expected = on_white(both[:, :, :1].repeat(3, axis=2), both[:, :, 1])
    assert_rgb(load_image(content), expected)


def _planes(array: np.ndarray) -> list[Image.Image]:
    return [Image.fromarray(np.ascontiguousarray(array[:, :, k])) for k in range(array.shape[2])]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_composited_on_white(kind: str) -> None:
    rgba = picture(4)
    rgba[:5, :, 3] = 0
    rgba[5:10, :, 3] = 255
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    decoded = load_image(encoded(Image.fromarray(rgba), kind, **options))
    assert_rgb(decoded, on_white(rgba[:, :, :3], rgba[:, :, 3]))
    assert (decoded[:5] == 255).all()


def _palette(transparency: bytes | int | None = None) -> tuple[bytes, np.ndarray, np.ndarray]:
    indices = (picture(1)[:, :, 0] // 32).astype(np.uint8)  # 8 colours
    colours = np.random.default_rng(3).integers(0, 256, (8, 3), dtype=np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(colours.tobytes())
    assert image.mode == "P"
    options = {} if transparency is None else {"transparency": transparency}
    return encoded(image, "PNG", **options), colours[indices], indices


def test_palette() -> None:
    content, expected, _ = _palette()
    assert_rgb(load_image(content), expected)


def test_palette_with_alpha_table() -> None:
    table = bytes([0, 40, 80, 120, 160, 200, 240, 255])
    content, rgb, indices = _palette(table)
    assert_rgb(load_image(content), on_white(rgb, np.frombuffer(table, np.uint8)[indices]))


def test_palette_with_one_transparent_colour() -> None:
    content, rgb, indices = _palette(2)
    rgb = rgb.copy()
    rgb[indices == 2] = 255
    assert_rgb(load_image(content), rgb)


def test_palette_alpha_image() -> None:
    rgb = picture()
    image = Image.fromarray(rgb).quantize(8).convert("PA")
    alpha = picture(1, seed=9)[:, :, 0]
    image.putalpha(Image.fromarray(alpha))
    assert image.mode == "PA"
    opaque = np.asarray(Image.fromarray(rgb).quantize(8).convert("RGB"))
    assert_rgb(load_image(image), on_white(opaque, alpha))


def test_rgb_with_transparent_colour() -> None:
    rgb = picture()
    key = tuple(int(v) for v in rgb[4, 7])
    expected = rgb.copy()
    expected[(rgb == key).all(axis=2)] = 255
    assert_rgb(load_image(encoded(Image.fromarray(rgb), "PNG", transparency=key)), expected)


def test_one_bit() -> None:
    bits = picture(1)[:, :, 0] > 128
    for kind in ("PNG", "TIFF", "BMP"):
        decoded = load_image(encoded(Image.fromarray(bits), kind))
        assert_rgb(decoded, np.where(bits, 255, 0).astype(np.uint8)[:, :, None].repeat(3, axis=2))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_grey(suffix: str) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    deep[0, :2] = 0, 65535
    content = cv2.imencode(suffix, deep)[1].tobytes()
    assert_rgb(load_image(content), (deep // 256).astype(np.uint8)[:, :, None].repeat(3, axis=2))


def test_sixteen_bit_big_endian_tiff() -> None:
    deep = np.random.default_rng(2).integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    assert_rgb(
        load_image(_tiff(deep, photometric=1, order=">")),
        (deep >> 8).astype(np.uint8)[:, :, None].repeat(3, 2),
    )


def test_sixteen_bit_white_is_zero_tiff() -> None:
    deep = np.random.default_rng(2).integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    expected = ((65535 - deep.astype(int)) >> 8).astype(np.uint8)[:, :, None].repeat(3, 2)
    assert_rgb(load_image(_tiff(deep, photometric=0, order="<")), expected)
    with pytest.raises(ImageError, match="not an image that can be read"):  # big-endian: not in Pillow
        load_image(_tiff(deep, photometric=0, order=">"))


def _tiff(samples: np.ndarray, photometric: int, order: str) -> bytes:
    """A minimal uncompressed TIFF, written by hand: one strip, one sample per pixel."""
    data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    height, width = samples.shape
    bits = samples.dtype.itemsize * 8
    entries = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1)]
    entries += [(278, height), (279, len(data))]
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(data))
    directory = struct.pack(f"{order}H", len(entries))
    for tag, value in entries:
        directory += struct.pack(f"{order}HHII", tag, 4, 1, value)
    return head + data + directory + struct.pack(f"{order}I", 0)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_colour(suffix: str, channels: int) -> None:
    deep = np.random.default_rng(4).integers(0, 65536, (HEIGHT, WIDTH, channels), dtype=np.uint16)
    content = cv2.imencode(suffix, deep)[1].tobytes()  # OpenCV's order is BGR(A)
    high = (deep >> 8).astype(np.uint8)
    rgb = high[:, :, 2::-1]
    assert_rgb(load_image(content), rgb if channels == 3 else on_white(rgb, high[:, :, 3]))


def test_float_tiff_between_zero_and_one_is_scaled() -> None:
    values = np.random.default_rng(5).random((HEIGHT, WIDTH), dtype=np.float32)
    values[0, :2] = 0.0, 1.0
    decoded = load_image(cv2.imencode(".tiff", values)[1].tobytes())
    assert_rgb(decoded, np.floor(values * 255.0 + 0.5).astype(np.uint8)[:, :, None].repeat(3, 2))


@pytest.mark.parametrize("bad", [1.5, -0.1, np.nan, np.inf])
def test_float_tiff_outside_is_an_error(bad: float) -> None:
    values = np.full((HEIGHT, WIDTH), 0.5, np.float32)
    values[3, 3] = bad
    with pytest.raises(ImageError, match=r"float samples outside 0\.\.1"):
        load_image(cv2.imencode(".tiff", values)[1].tobytes())


def test_32_bit_integers() -> None:
    values = np.random.default_rng(6).integers(0, 65536, (HEIGHT, WIDTH), dtype=np.int32)
    assert_rgb(
        load_image(encoded(Image.fromarray(values), "TIFF")),
        (values >> 8).astype(np.uint8)[:, :, None].repeat(3, 2),
    )
    values[0, 0] = 70000
    with pytest.raises(ImageError, match="32 bit"):
        load_image(encoded(Image.fromarray(values), "TIFF"))


def test_cmyk_jpeg() -> None:
    inks = cv2.GaussianBlur(picture(4), (0, 0), 6)
    content = encoded(Image.merge("CMYK", _planes(inks)), "JPEG", quality=98)
    expected = (255.0 - inks[:, :, :3]) * (255.0 - inks[:, :, 3:]) / 255.0
    decoded = load_image(content)
    assert decoded.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(decoded - expected).mean() < 3.0


def test_lab_tiff() -> None:
    lab = np.zeros((8, 8, 3), np.uint8)
    lab[:, :, 0] = np.linspace(20, 240, 8).astype(np.uint8)  # a ramp of greys, a* = b* = 0
    decoded = load_image(encoded(Image.frombytes("LAB", (8, 8), lab.tobytes()), "TIFF"))
    expected = cv2.cvtColor(lab + np.array([0, 128, 128], np.uint8), cv2.COLOR_LAB2RGB)
    assert np.abs(decoded.astype(int) - expected).max() <= 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_several(kind: str) -> None:
    frames = [Image.new("RGB", (16, 12), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    decoded = load_image(content)
    assert_rgb(decoded, np.broadcast_to(np.array([255, 0, 0], np.uint8), (12, 16, 3)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF"])
@pytest.mark.parametrize("fraction", [0.9, 0.5, 0.1, 0.01])
def test_truncated(kind: str, fraction: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), kind)
    path = tmp_path / f"cut.{kind.lower()}"
    path.write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(ImageError, match="cut") as caught:
        load_image(path)
    assert "\n" not in str(caught.value)


def test_every_truncation_is_an_error_or_the_picture() -> None:
    """No cut of a JPEG or PNG gives a picture that differs from the whole one (grey blocks)."""
    noise = np.random.default_rng(8).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for kind in ("JPEG", "PNG"):
        content = encoded(Image.fromarray(noise), kind)
        whole = load_image(content)
        for end in range(0, len(content), max(1, len(content) // 150)):
            try:
                decoded = load_image(content[:end])
            except ImageError:
                continue
            np.testing.assert_array_equal(decoded, whole, err_msg=f"{kind} cut at {end}")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_flipped_bytes_never_give_another_exception() -> None:
    random = np.random.default_rng(9)
    noise = random.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    for kind in ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF"):
        content = bytearray(encoded(Image.fromarray(noise), kind))
        for _ in range(60):
            broken = bytearray(content)
            for position in random.integers(0, min(len(broken), 400), 4):
                broken[position] = random.integers(0, 256)
            try:
                decoded = load_image(bytes(broken))
            except ImageError as error:
                assert "\n" not in str(error)
            else:
                assert decoded.dtype == np.uint8 and decoded.shape[2] == 3


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"hello, I am a text file\n" * 20, b"<svg xmlns='http://x'/>"]
)
def test_not_an_image(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "thing.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match="empty" if not content else "not an image") as caught:
        load_image(path)
    assert str(path) in str(caught.value)


def test_other_formats_are_not_opened() -> None:
    """EPS would start Ghostscript; a picture format outside the list is refused whatever its name."""
    with pytest.raises(ImageError, match="PNG, JPEG, WebP, BMP, TIFF"):
        load_image(encoded(Image.new("RGB", (8, 8)), "EPS"))


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\x00" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [14_143, 30_000, 200_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bomb(side: int) -> None:
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageError, match="200 megapixels"):
        load_image(_png_header(side, side))
    assert before == Image.MAX_IMAGE_PIXELS


def test_between_pillows_limit_and_ours_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both limits divided by 100000: Pillow alone would refuse this picture."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 900)
    monkeypatch.setattr(images, "MAX_PIXELS", HEIGHT * WIDTH)
    assert_rgb(load_image(encoded(Image.fromarray(picture()), "PNG")), picture())
    monkeypatch.setattr(images, "MAX_PIXELS", HEIGHT * WIDTH - 1)
    with pytest.raises(ImageError, match="megapixels"):
        load_image(picture())


def test_arrays() -> None:
    array = picture()
    assert load_image(array) is array
    view = picture(4)[:, :, :3]
    assert_rgb(load_image(view), view)
    for bad, message in [
        (array.astype(np.float32), "dtype float32, expected uint8"),
        (array.astype(np.uint16), "dtype uint16"),
        (array[:, :, 0], r"shape \(37, 53\), expected H x W x 3"),
        (picture(4), r"shape \(37, 53, 4\)"),
        (array.transpose(2, 0, 1), "expected H x W x 3"),
        (array[None], "expected H x W x 3"),
        (np.zeros((0, 5, 3), np.uint8), "empty"),
    ]:
        with pytest.raises(ImageError, match=message):
            load_image(bad)


def test_all_kinds_of_source(tmp_path: Path) -> None:
    content = encoded(Image.fromarray(picture()), "PNG")
    path = tmp_path / "wrong_name.jpg"  # the content counts
    path.write_bytes(content)
    sources = [str(path), path, content, bytearray(content), memoryview(content), io.BytesIO(content)]
    for source in sources:
        assert_rgb(load_image(source), picture())
    assert_rgb(load_image(Image.fromarray(picture())), picture())
    with path.open("rb") as stream:
        assert_rgb(load_image(stream), picture())
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as pipe:
        pipe.write(content)
    with os.fdopen(reader, "rb") as pipe:  # cannot seek
        assert_rgb(load_image(pipe), picture())


def test_bad_sources(tmp_path: Path) -> None:
    for source, message in [
        (tmp_path / "absent.png", "absent.png: cannot be read"),
        (tmp_path, "a directory"),
        (io.StringIO("text"), "binary mode"),
        (17, "not int"),
        (None, "not NoneType"),
    ]:
        with pytest.raises(ImageError, match=message):
            load_image(source)  # type: ignore[arg-type]


def test_threads_decode_alike() -> None:
    contents = [encoded(Image.fromarray(picture(seed=seed)), "PNG") for seed in range(40)]
    barrier = threading.Barrier(8)

    def work(k: int) -> np.ndarray:
        if k < 8:
            barrier.wait(timeout=10)
        return load_image(contents[k % 40])

    with ThreadPoolExecutor(8) as pool:
        for k, decoded in enumerate(pool.map(work, range(200))):
            np.testing.assert_array_equal(decoded, picture(seed=k % 40))
