"""The C++ host, built with warnings as errors, held against golden vectors and the Python engine."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import sys
import unicodedata
from pathlib import Path
from typing import Any

import cpp_host
import numpy as np
import pytest
from bundles import _byte_level_bpe, _wordpiece
from cpp_host import (
    GOLDEN,
    OUTPUT,
    SAMPLES,
    SOURCE,
    TINY,
    checked,
    golden_check,
    run,
    runtime_library,
    table,
)
from cpp_hostile import encoded, with_true_checksums
from PIL import Image

from realm_engine import DreamConfig, Engine, RealnessMap
from realm_engine.maps import render
from realm_engine.pictures.decode import load_image

release, clip_tokenizer = cpp_host.release, cpp_host.clip_tokenizer
SECTIONS = ("tokens", "decoding", "preprocessing", "embeddings", "similarities", "scores", "probes", "maps")


def test_golden_vectors(release, clip_tokenizer) -> None:
    done = golden_check(release, GOLDEN, clip_tokenizer)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == list(SECTIONS)


def test_the_golden_check_can_fail(release, clip_tokenizer, tmp_path) -> None:
    folder = tmp_path / "golden"
    shutil.copytree(GOLDEN, folder)
    vectors = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    vectors["tokens"][2]["ids"][1] += 1
    vectors["decoding"][0]["rgb"] = vectors["decoding"][1]["rgb"]
    vectors["preprocessing"][0]["left"] += 1
    vectors["embeddings"][0]["core"][0] += 1
    vectors["similarities"][0]["values"][0][0] += 0.002
    vectors["scores"][0]["mos"] += 0.008
    vectors["probes"][0]["verdict"] = "real"
    vectors["maps"][0]["quantity"] = "similarity"
    (folder / "golden.json").write_text(json.dumps(vectors), encoding="utf-8")
    done = golden_check(release, folder, clip_tokenizer)
    assert done.returncode == 1
    assert all(re.search(rf"^{name}: .* differs", done.stdout, re.M) for name in ("tokens", "decoding"))
    totals = re.findall(r"compared, (\d+) failed", done.stdout)
    assert len(totals) == len(SECTIONS) and all(int(total) >= 1 for total in totals), done.stdout


def hard_texts() -> list[str]:
    """Every assigned code point alone between spaces and inside a word, and random mixes."""
    rng = random.Random(0)
    codes = [
        chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in ("Cn", "Cs")
    ]
    texts = [" ".join(codes[at : at + 64]) for at in range(0, len(codes), 64)]
    texts += ["a" + "b a".join(codes[at : at + 64]) + "b" for at in range(0, len(codes), 64)]
    marks = [code for code in codes if unicodedata.combining(code)]
    pieces = [
        *("[CLS]", "[SEP]", "<start_of_text>", "<end_of_text>", "<|endoftext|>", "&amp;lt;", "&nbsp;", "&amp", "'s"),
        *("'ll", " ", "  ", "\n", "\t \n", "\x1b[31m", "\x1b[3", "ﬁ", "Ａ", "’", "“", "12", "don’t", "x" * 300, "é"),
        *("e\u0301", " \u00a0", "\r\n", "\u3000", "\uac00\u11a8", "\u1100\u1161\u11a8", "İ", "Σς", "ǅ", "ab" * 9),
    ]  # fmt: skip
    for _ in range(3000):
        texts.append("".join(rng.choice(pieces) for _ in range(rng.randint(1, 12))))
        texts.append(
            "".join(rng.choice(marks if rng.random() < 0.6 else codes) for _ in range(rng.randint(1, 24)))
        )
    return texts


@pytest.mark.parametrize("which", ["realm-tiny", "clip", "test wordpiece", "test bpe"])
def test_tokenizers_equal_the_library(release, clip_tokenizer, tmp_path, which) -> None:
    from tokenizers import Tokenizer

    files = {"realm-tiny": TINY / "tokenizer.json", "clip": clip_tokenizer}
    for name, make in (("test wordpiece", _wordpiece), ("test bpe", _byte_level_bpe)):
        files[name] = tmp_path / f"{name}.json"
        make().save(str(files[name]))
    library = Tokenizer.from_file(str(files[which]))
    texts = hard_texts()
    done = run(release / "probe", "tokens", files[which], input=json.dumps(texts))
    assert done.returncode == 0, done.stderr
    ours = json.loads(done.stdout)
    expected = [encoding.ids for encoding in library.encode_batch(texts)]
    assert [ascii(text) for text, a, b in zip(texts, ours, expected, strict=True) if a != b] == []


def test_sha256(release, tmp_path) -> None:
    for size in (0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 300_000):
        content = np.random.default_rng(size).bytes(size)
        (tmp_path / "file").write_bytes(content)
        digests = run(release / "probe", "sha256", tmp_path / "file").stdout.split()
        assert (
            digests == [hashlib.sha256(content).hexdigest()] * 3
        )  # SHA-NI where there is one, plain, from file


def pictures_of_many_kinds(photo: np.ndarray) -> dict[str, bytes]:
    colour = Image.fromarray(photo)
    grey = colour.convert("L")
    deep = np.random.default_rng(0).integers(0, 65536, (20, 30)).astype(np.uint16)
    alpha = colour.convert("RGBA")
    alpha.putalpha(
        Image.fromarray(np.linspace(0, 255, photo.shape[1]).astype(np.uint8)[None].repeat(photo.shape[0], 0))
    )
    made = {
        **{f"{mode}.png": encoded(colour.convert(mode), "PNG") for mode in ("RGB", "L", "LA", "1", "P")},
        "alpha.png": encoded(alpha, "PNG"),
        "deep.png": encoded(Image.fromarray(deep), "PNG"),
        "key.png": encoded(colour, "PNG", transparency=tuple(int(v) for v in photo[3, 4])),
        "grey key.png": encoded(grey, "PNG", transparency=int(np.asarray(grey)[2, 2])),
        "bit key.png": encoded(colour.convert("1"), "PNG", transparency=1),
        "palette key.png": encoded(colour.quantize(16), "PNG", transparency=bytes(range(0, 160, 10))),
        **{f"bits{bits}.png": encoded(colour.quantize(2**bits), "PNG", bits=bits) for bits in (1, 2, 4)},
        **{f"sub{kind}.jpg": encoded(colour, "JPEG", subsampling=kind, quality=70) for kind in range(3)},
        "progressive.jpg": encoded(colour, "JPEG", progressive=True),
        "grey.jpg": encoded(grey, "JPEG"),
        "cmyk.jpg": encoded(colour.convert("CMYK"), "JPEG"),
        "xmp.jpg": encoded(colour, "JPEG", xmp=b'<x tiff:Orientation="8"/>'),
        "restart.jpg": encoded(colour, "JPEG", restart_marker_blocks=2),
    }
    for orientation in range(10):
        exif = Image.Exif()
        exif[0x112] = orientation
        for kind in ("PNG", "JPEG"):
            made[f"turned{orientation}.{kind}"] = encoded(colour, kind, exif=exif.tobytes())
    return made


def test_decoding_equals_pillow(release, photo, tmp_path) -> None:
    # Sides that are no multiple of 16 for 4:2:0, and a grey of two and of four bits, which Pillow cannot write.
    made = pictures_of_many_kinds(photo(37, 51))
    for bits in (2, 4):
        content = bytearray(made[f"bits{bits}.png"])
        content[25] = 0  # colour type palette -> grey; the PLTE chunk goes as well
        start = content.index(b"PLTE") - 4
        end = start + 12 + int.from_bytes(content[start : start + 4], "big")
        made[f"grey{bits}.png"] = with_true_checksums(bytes(content[:start] + content[end:]))
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
    answers = run(release / "probe", "decode", *(tmp_path / name for name in made)).stdout.splitlines()
    for name, answer in zip(made, answers, strict=True):
        pixels = load_image(tmp_path / name)
        expected = f"{pixels.shape[0]} {pixels.shape[1]} {hashlib.sha256(pixels.tobytes()).hexdigest()}"
        assert (name, answer) == (name, expected)


DESCRIBED = SAMPLES / "image_descriptions.csv"


@pytest.mark.parametrize("described", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "embedded"])
def test_scores_equal_the_python_engine(release, bundle_path, precision, described) -> None:
    folder = TINY if precision == "embedded" else bundle_path
    precision = "fp32" if precision == "embedded" else precision
    more = ["--descriptions", DESCRIBED] if described else []
    done = run(release / "realm_host", "score", SAMPLES, "--bundle", folder, "--precision", precision, *more)
    assert done.returncode == 0 and cpp_host.errors(done.stderr) == [], done.stderr
    rows = table(done.stdout)
    with Engine.open(folder, device="cpu", precision=precision, threads=1) as engine:
        names = [column.name for column in engine.measures[0].columns]
    assert list(rows[0]) == ["filename", *names, "description", "error"] and names[:2] == ["mos", "realness"]
    assert bool(rows[0]["description"]) == described
    with Engine.open(folder, device="cpu", precision=precision, threads=1) as engine:
        images = [load_image(Path(row["filename"])) for row in rows]
        scores = list(engine.score(images, [row["description"] or None for row in rows]))
    assert len(scores) == len(list(SAMPLES.glob("*.jpg")) + list(SAMPLES.glob("*.png")))
    for row, score in zip(rows, scores, strict=True):
        assert row["error"] == "" and [len(row[name].split(".")[1]) for name in ("mos", "realness")] == [6, 4]
        assert float(row["mos"]) == pytest.approx(score.mos, abs=1e-3)
        assert float(row["realness"]) == pytest.approx(score.realness, abs=0.02)


def test_a_score_leaves_nothing_in_the_home_folder(release, bundle_path, tmp_path) -> None:
    """ONNX Runtime's telemetry keeps a device id there, and what it is going to send."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    command = [release / "realm_host", "score", SAMPLES / "cat.jpg", "--bundle", bundle_path]
    assert "cat.jpg," in checked(*command, env={**kept, "HOME": str(home)})
    assert list(home.rglob("*")) == []


MAPS: dict[str, tuple[list[Any], list[str], DreamConfig]] = {
    "text": (["--text", "the face is melted"], ["the face is melted"], DreamConfig((64,), 8)),
    "several texts": (
        ["--text", "a doubled hand", "--text", "melted", "--preset", "tiny"],
        ["a doubled hand", "melted"],
        DreamConfig((24, 16), 8),
    ),
    "phrases": (["--stride", 32], [], DreamConfig((64,), 32)),
    "gaps": (
        ["--text", "x", "--window", 32, "--stride", 50, "--quantity", "similarity"],
        ["x"],
        DreamConfig((32,), 50, quantity="similarity"),
    ),
    "max of two": (
        ["--text", "x", "--window", 96, "--window", 33, "--stride", 21, "--aggregate", "max"],
        ["x"],
        DreamConfig((96, 33), 21, "max"),
    ),
}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("case", MAPS)
def test_maps_equal_the_python_engine(release, bundle_path, tmp_path, case, precision) -> None:
    arguments, texts, config = MAPS[case]
    pictures = [SAMPLES / "cat.jpg", SAMPLES / "temple-repeated.png"]
    common = ["--bundle", bundle_path, "--precision", precision, "--output", tmp_path / "new" / "maps"]
    done = run(release / "realm_host", "map", *pictures, *common, *arguments)
    assert (done.returncode, done.stderr) == (0, f"2 of 2 maps in {tmp_path}/new/maps\n")
    with Engine.open(bundle_path, device="cpu", precision=precision, threads=1) as engine:
        for picture in pictures:
            expected = engine.map(load_image(picture), texts or None, config)
            compare_map(tmp_path / "new" / "maps" / picture.stem, load_image(picture), expected)
    assert len(list((tmp_path / "new" / "maps").iterdir())) == 6


def compare_map(stem: Path, image: np.ndarray, expected: RealnessMap) -> None:
    values = np.load(stem.with_suffix(".npy"))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected.values, rtol=0, atol=1e-3)  # NaN where no window covers
    facts = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
    config = expected.config
    assert facts["engine_version"].endswith("(C++)") and facts["quantity"] == config.quantity
    assert (facts["windows_px"], facts["stride_px"]) == (list(config.windows_px), config.stride_px)
    assert facts["texts"] == list(expected.texts) and facts["uncovered_pixels"] == (~expected.covered).sum()
    for name, value in expected.statistics().items():
        assert facts["statistics"][name] == pytest.approx(value, abs=2e-3)
    for ours, phrase in zip(facts["phrases"], expected.phrases, strict=True):
        assert (ours["text"], ours["kind"]) == (phrase.text, phrase.kind)
        assert ours["z_score"] == pytest.approx(phrase.z_score, abs=2e-3)
    for ours, region in zip(facts["regions"], expected.regions(), strict=True):
        assert [ours[side] for side in ("x", "y", "width", "height")] == [
            region.x, region.y, region.width, region.height
        ]  # fmt: skip
        assert ours["mean_realness"] == pytest.approx(region.mean_realness, abs=2e-3)
    # The same colours as the Python engine's, given the same values and limits.
    limits = tuple(facts["colour_limits"])
    drawn = render.painted(image, values, expected.legend, expected.covered, limits, facts["stride_px"])
    height, width = image.shape[:2]
    overlay = np.asarray(Image.open(f"{stem}.overlay.png")).astype(int)
    assert overlay.shape == image.shape
    # Means are rounded in another order: here and there a pixel has the next level, which changes it by 7 at most.
    difference = np.abs(overlay - drawn[:height, :width])
    assert difference.max() <= 7 and (difference > 1).mean() < 1e-3


# ------------------------------------------------------------------- builds


def example(folder: Path, *settings: object) -> None:
    source = SOURCE / "examples" / folder.name
    checked("cmake", "-S", source, "-B", folder, "-G", "Ninja", *settings)
    checked("cmake", "--build", folder, "-j2")
    said = checked(folder / "score_and_map", TINY, SAMPLES / "coffee-melted.png", "The cup looks melted.")
    assert re.match(r"MOS -?\d\.\d{4}, realness \d+\.\d of 100\nmos: -?\d\.\d{3} \(", said)
    assert "\nverdict: uncertain (" in said
    assert re.search(r"\nleast real: \d+ x \d+ pixels", said)


def test_an_installed_library_is_found(release) -> None:
    prefix = OUTPUT / "installed-prefix"
    shutil.rmtree(prefix, ignore_errors=True)
    checked("cmake", "--install", release, "--prefix", prefix)
    example(OUTPUT / "installed", f"-DCMAKE_PREFIX_PATH={prefix}")
    done = run(prefix / "bin" / "realm_host", "--version")
    assert done.returncode == 0 and done.stdout.startswith("realm_host 0.1.0, ONNX Runtime ")


def test_the_library_builds_inside_another_project(release) -> None:
    example(
        OUTPUT / "subproject",
        *("-DBUILD_SHARED_LIBS=ON", "-DCMAKE_BUILD_TYPE=Debug"),
        f"-DONNXRUNTIME_LIBRARY={runtime_library()}",
    )
