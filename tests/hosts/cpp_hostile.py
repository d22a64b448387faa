"""What a bad neighbour might hand to the C++ host: damaged pictures, and bundles that are mangled or meant to harm."""

from __future__ import annotations

import io
import json
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from bundles import read_manifest, write_manifest
from PIL import Image

Change = Callable[[Path, dict[str, Any]], None]


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def seeds(photo: np.ndarray) -> dict[str, bytes]:
    """Small whole files of every path through the decoders."""
    colour = Image.fromarray(photo)
    exif = Image.Exif()
    exif[0x112] = 6
    palette = colour.quantize(32)
    return {
        "rgb.png": encoded(colour, "PNG"),
        "rgba.png": encoded(colour.convert("RGBA"), "PNG", exif=exif.tobytes()),
        "grey.png": encoded(colour.convert("L"), "PNG"),
        "bits.png": encoded(colour.convert("1"), "PNG"),
        "deep.png": encoded(Image.fromarray(np.asarray(colour.convert("L")).astype(np.uint16) * 257), "PNG"),
        "palette.png": encoded(palette, "PNG", transparency=3),
        "baseline.jpg": encoded(colour, "JPEG", quality=80, exif=exif.tobytes()),
        "progressive.jpg": encoded(colour, "JPEG", progressive=True, restart_marker_blocks=3),
        "grey.jpg": encoded(colour.convert("L"), "JPEG"),
        "cmyk.jpg": encoded(colour.convert("CMYK"), "JPEG"),
    }


def with_true_checksums(png: bytes) -> bytes:
    """The chunks of a damaged PNG with checksums that fit, so that the damage gets past the first door."""
    result, at = bytearray(png[:8]), 8
    while at + 12 <= len(png):
        size = int.from_bytes(png[at : at + 4], "big")
        body = png[at + 4 : at + 8 + size]
        if at + 12 + size > len(png):
            break
        result += png[at : at + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        at += 12 + size
    return bytes(result + png[at:])


def damaged_images(photo: np.ndarray, per_kind: int) -> Iterator[tuple[str, bytes]]:
    """Seeded cuts and flips of every seed; a few of them may still be whole pictures."""
    rng = np.random.default_rng(5)
    for name, content in seeds(photo).items():
        for number in range(per_kind):
            data = bytearray(content)
            if number % 3 == 0:
                data = data[: rng.integers(1, len(data))]
            else:
                # Half of the flips hit the header, where sizes and types stand.
                reach = min(200, len(data)) if number % 2 else len(data)
                for place in rng.integers(2, reach, rng.integers(1, 6)):
                    data[place] ^= 1 << rng.integers(8)
            whole = bytes(data)
            if name.endswith("png") and number % 3 == 1:
                whole = with_true_checksums(whole)
            yield f"{number:03d}-{name}", whole
    header = bytearray(seeds(photo)["rgb.png"])
    header[16:24] = (2**31 - 1).to_bytes(4, "big") * 2
    yield "huge.png", with_true_checksums(bytes(header))
    yield "empty.jpg", b""
    yield "text.png", b"not an image at all"


def _set(*path: str, value: Any) -> Change:
    def change(folder: Path, manifest: dict[str, Any]) -> None:
        for key in path[:-1]:
            manifest = manifest[key]
        manifest[path[-1]] = value

    return change


def _drop(*path: str) -> Change:
    def change(folder: Path, manifest: dict[str, Any]) -> None:
        for key in path[:-1]:
            manifest = manifest[key]
        del manifest[path[-1]]

    return change


def _digest(folder: Path, manifest: dict[str, Any]) -> None:
    digest = manifest["files"]["core.onnx"]["sha256"]
    manifest["files"]["core.onnx"]["sha256"] = ("1" if digest[0] == "0" else "0") + digest[1:]


def _link(folder: Path, manifest: dict[str, Any]) -> None:
    outside = folder.parent / "outside.onnx"
    shutil.copy(folder / "core.onnx", outside)
    (folder / "core.onnx").unlink()
    (folder / "core.onnx").symlink_to(outside)


def _cut(folder: Path, manifest: dict[str, Any]) -> None:
    path = folder / "dream.onnx"
    path.write_bytes(path.read_bytes()[:-1])


# Name, change, and whether the Python engine says the same words.
MANIFESTS: list[tuple[str, Change, bool]] = [
    ("flipped checksum", _digest, True),
    ("missing file", lambda folder, manifest: (folder / "core.onnx").unlink(), True),
    ("cut file", _cut, True),
    ("link out of the bundle", _link, True),
    ("path with ..", _set("graphs", "core", "variants", value={"fp32": "../core.onnx"}), True),
    ("absolute path", _set("graphs", "core", "variants", value={"fp32": "/core.onnx"}), True),
    ("drive", _set("graphs", "core", "variants", value={"fp32": "C:/core.onnx"}), True),
    ("backslash", _set("core", "text", "tokenizer", value="a\\b"), True),
    ("listed file with ..", _set("files", "../x", value={"sha256": "", "size_bytes": 0}), True),
    ("number as path", _set("graphs", "dream", "variants", value={"fp32": 7}), True),
    ("other format", _set("format", value="else"), True),
    ("newer version", _set("format_version", value="2.0"), True),
    ("older version", _set("format_version", value="0.9"), True),
    ("no version", _set("format_version", value="x.1"), True),
    ("version as number", _set("format_version", value=1.0), True),
    ("no name", _drop("name"), True),
    ("no graphs", _drop("graphs"), True),
    ("graphs as list", _set("graphs", value=[]), True),
    ("no variant", _set("graphs", "core", "variants", value={}), True),
    ("inputs as text", _set("graphs", "core", "inputs", value="x"), True),
    ("input as number", _set("graphs", "core", "inputs", value=[3]), True),
    ("no size", _drop("core", "image", "height_px"), True),
    ("size as true", _set("core", "image", "height_px", value=True), True),
    ("size zero", _set("core", "image", "height_px", value=0), True),
    ("negative stride", _set("dream", "presets", "tiny", "stride_px", value=-4), True),
    ("no windows", _set("dream", "presets", "tiny", "windows_px", value=[]), True),
    ("windows as text", _set("dream", "presets", "tiny", "windows_px", value=["64"]), True),
    ("unknown aggregate", _set("dream", "presets", "tiny", "aggregate", value="median"), True),
    ("unknown filter", _set("core", "image", "interpolation", value="lanczos"), True),
    ("buckets without the limit", _set("core", "text", "buckets", value=[8, 16]), True),
    ("no preset", _set("dream", "presets", value={}), True),
    ("unlisted tokenizer", _drop("files", "core_tokenizer.json"), True),
    ("unlisted graph", _drop("files", "dream.onnx"), True),
    ("nothing complete", _set("graphs", value={}), True),
    ("rating as text", _set("core", "rating", "slope", value="x"), True),
    ("huge size", _set("core", "image", "height_px", value=10**9), False),
    ("huge window", _set("dream", "presets", "tiny", "windows_px", value=[10**12]), False),
    ("huge limit", _set("core", "text", "max_tokens", value=10**15), False),
    ("endless number", _set("core", "text", "pad_id", value=10**40), False),
    ("negative bytes", _set("files", "core.onnx", "size_bytes", value=-1), True),
    ("pad outside the table", _set("dream", "text", "pad_id", value=10**9), False),
    ("size the graph does not have", _set("dream", "image_size_px", value=17), False),
]


def _json(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def mangle(folder: Path) -> None:
        data = json.loads((folder / name).read_text(encoding="utf-8"))
        changed = change(data)
        (folder / name).write_text(
            changed if isinstance(changed, str) else json.dumps(data), encoding="utf-8"
        )

    return mangle


def _bytes(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


# Files that are mangled and then listed with true checksums: what a bad author ships.
FILES: list[tuple[str, Callable[[Path], None]]] = [
    ("tokenizer: no JSON", _bytes("core_tokenizer.json", b"{")),
    ("tokenizer: binary", _bytes("core_tokenizer.json", bytes(range(256)))),
    ("tokenizer: list", _bytes("clip_tokenizer.json", b"[1, 2]")),
    ("tokenizer: deep", _bytes("core_tokenizer.json", b"[" * 200_000)),
    ("tokenizer: no model", _json("core_tokenizer.json", lambda d: d.pop("model") and None)),
    ("tokenizer: other model", _json("core_tokenizer.json", lambda d: d["model"].update(type="Unigram"))),
    ("tokenizer: negative id", _json("core_tokenizer.json", lambda d: d["model"]["vocab"].update(a=-3))),
    ("tokenizer: text id", _json("core_tokenizer.json", lambda d: d["model"]["vocab"].update(a="x"))),
    ("tokenizer: huge id", _json("core_tokenizer.json", lambda d: d["model"]["vocab"].update(the=2**31 - 1))),
    ("tokenizer: vocabulary list", _json("core_tokenizer.json", lambda d: d["model"].update(vocab=[1]))),
    (
        "tokenizer: endless words",
        _json("core_tokenizer.json", lambda d: d["model"].update(max_input_chars_per_word=1e300)),
    ),
    (
        "tokenizer: merges of nothing",
        _json("clip_tokenizer.json", lambda d: d["model"].update(merges=[["q", "zz"]])),
    ),
    ("tokenizer: merge of one", _json("clip_tokenizer.json", lambda d: d["model"].update(merges=[["t"]]))),
    (
        "tokenizer: regex",
        _json(
            "clip_tokenizer.json",
            lambda d: d.update(normalizer={"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}),
        ),
    ),
    (
        "tokenizer: template",
        _json(
            "core_tokenizer.json",
            lambda d: d["post_processor"].update(single=[{"SpecialToken": {"id": "gone"}}]),
        ),
    ),
    ("phrases: no JSON", _bytes("phrases.json", b"")),
    ("phrases: std 0", _json("phrases.json", lambda d: d["phrases"][0].update(std=0))),
    ("phrases: text as number", _json("phrases.json", lambda d: d["phrases"][0].update(text=5))),
    ("phrases: none", _bytes("phrases.json", b'{"phrases": []}')),
    ("graph: empty", _bytes("core.onnx", b"")),
    ("graph: text", _bytes("core.onnx", b"this is no protobuf, and it is long enough to be read as some")),
    ("graph: nested", _bytes("core.onnx", b"\x3a\x7f" * 64)),
    (
        "graph: text in place of image",
        lambda folder: shutil.copy(folder / "core_text.onnx", folder / "core.onnx") and None,
    ),
    ("graph: wrong tower", lambda folder: shutil.copy(folder / "core.onnx", folder / "dream.onnx") and None),
    (
        "graph: other text tower",
        lambda folder: shutil.copy(folder / "core_text.onnx", folder / "clip_text.onnx") and None,
    ),
]


def external_weights(folder: Path, location: str) -> None:
    """core.onnx, its weights said to lie in another file."""
    import onnx

    model = onnx.load(folder / "core.onnx")
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (folder / "core.onnx").write_bytes(model.SerializeToString())


def flipped_graphs(folder: Path, count: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Seeded damage to the graphs and tokenizers, each listed with its true checksum."""
    names = [
        *("core.onnx", "dream.onnx", "core_text.onnx", "core_tokenizer.json", "phrases.json"),
        *("light.onnx", "edges.onnx", "judge.onnx"),
    ]
    rng = np.random.default_rng(7)
    for number in range(count):
        name = names[number % len(names)]
        original = (folder / name).read_bytes()

        def damage(name: str = name, original: bytes = original, number: int = number) -> None:
            data = bytearray(original)
            if number % 4 == 0:
                data = data[: rng.integers(1, len(data))]
            else:
                for place in rng.integers(0, len(data), rng.integers(1, 12)):
                    data[place] = rng.integers(256)
            (folder / name).write_bytes(bytes(data))
            write_manifest(folder, read_manifest(folder))

        yield f"{number} {name}", damage
        (folder / name).write_bytes(original)


def mangled_folders(good: Path, parent: Path) -> list[Path]:
    """A copy of a bundle for each of `FILES`, and four whose graph keeps weights where none may be."""
    folders = []
    for number, (_, mangle) in enumerate(FILES):
        folders.append(Path(shutil.copytree(good, parent / f"file{number}")))
        mangle(folders[-1])
    for number, location in enumerate(["../secret", "/etc/passwd", "unlisted.bin", "a\\b"]):
        folders.append(Path(shutil.copytree(good, parent / f"external{number}")))
        external_weights(folders[-1], location)
    for folder in folders:
        write_manifest(folder, read_manifest(folder))
    return folders
