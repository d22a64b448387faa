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
    assert_same_scores,
    checked,
    golden_check,
    python_engine,
    run,
    runtime_library,
)
from cpp_hostile import encoded, with_true_checksums
from PIL import Image

from realm_engine.pictures.decode import load_image

release, clip_tokenizer = cpp_host.release, cpp_host.clip_tokenizer


def test_golden_vectors(release, clip_tokenizer) -> None:
    done = golden_check(release, GOLDEN, clip_tokenizer)
    assert done.returncode == 0, done.stdout + done.stderr
    sections = ["tokens", "decoding", "preprocessing", "embeddings", "similarities", "scores", "maps"]
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == sections


def test_the_golden_check_can_fail(release, clip_tokenizer, tmp_path) -> None:
    folder = tmp_path / "golden"
    shutil.copytree(GOLDEN, folder)
    vectors = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    vectors["tokens"][2]["ids"][1] += 1
    vectors["decoding"][0]["rgb"] = vectors["decoding"][1]["rgb"]
    vectors["preprocessing"][0]["left"] += 1
    vectors["embeddings"][0]["core"][0] += 1
    vectors["similarities"][0]["values"][0][0] += 0.002
    vectors["scores"][0]["mos"] += 0.002
    vectors["maps"][0]["quantity"] = "similarity"
    (folder / "golden.json").write_text(json.dumps(vectors), encoding="utf-8")
    done = golden_check(release, folder, clip_tokenizer)
    assert done.returncode == 1
    assert all(re.search(rf"^{name}: .* differs", done.stdout, re.M) for name in ("tokens", "decoding"))
    totals = re.findall(r"compared, (\d+) failed", done.stdout)
    assert len(totals) == 7 and all(int(total) >= 1 for total in totals), done.stdout


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


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("more", [[], ["--no-descriptions"], ["--batch-size", 1], ["--batch-size", 3]])
def test_scores_equal_the_python_engine(release, bundle_path, precision, more) -> None:
    arguments = [SAMPLES, "--bundle", bundle_path, "--precision", precision, *more]
    done = run(release / "realm_score", *arguments, "--threads", 1)
    code, stdout, stderr = python_engine("score", *arguments)
    assert (done.returncode, code) == (0, 0), done.stderr
    assert_same_scores(done.stdout, stdout)
    assert (
        done.stderr == stderr
    )  # descriptions, bundle, runtime, device, precision and threads are said alike


def test_a_score_leaves_nothing_in_the_home_folder(release, bundle_path, tmp_path) -> None:
    """ONNX Runtime's telemetry keeps a device id there, and what it is going to send."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    command = [release / "realm_score", SAMPLES / "cat.jpg", "--bundle", bundle_path, "--no-descriptions"]
    assert "cat.jpg," in checked(*command, env={**kept, "HOME": str(home)})
    assert list(home.rglob("*")) == []


def test_scores_of_the_embedded_bundle(release, tmp_path) -> None:
    arguments = [SAMPLES / "cat.jpg", SAMPLES, "--bundle", TINY]
    done = run(release / "realm_score", *arguments, "--threads", 1, "--output", tmp_path / "new" / "c.csv")
    code, stdout, _ = python_engine("score", *arguments)
    assert (done.returncode, code, done.stdout) == (0, 0, "")
    assert_same_scores((tmp_path / "new" / "c.csv").read_text(encoding="utf-8"), stdout)


MAPS = {
    "text": ["--text", "the face is melted"],
    "several texts": ["--text", "a doubled hand", "--text", "melted", "--preset", "tiny"],
    "descriptions": ["--descriptions", SAMPLES / "image_descriptions.csv", "--stride", 16],
    "phrases": ["--stride", 32],
    "paper": ["--text", "garbled letters", "--preset", "paper", "--stride", 24],
    "gaps": ["--text", "x", "--window", 32, "--stride", 50, "--quantity", "similarity"],
    "max of two": ["--text", "x", "--window", 96, "--window", 33, "--stride", 21, "--aggregate", "max"],
    "limits": ["--text", "x", "--stride", 32, "--range", "0.2", "1.4", "--precision", "fp16"],
}


@pytest.mark.parametrize("case", MAPS)
def test_maps_equal_the_python_engine(release, bundle_path, tmp_path, case) -> None:
    pictures = [SAMPLES / "cat.jpg", SAMPLES / "temple-repeated.png"]
    arguments = [*pictures, "--bundle", bundle_path, *MAPS[case]]
    ours, theirs = tmp_path / "cpp", tmp_path / "python"
    done = run(release / "realm_map", *arguments, "--threads", 1, "--output", ours)
    code, _, stderr = python_engine("map", *arguments, "--output", theirs)
    assert (done.returncode, code) == (0, 0), done.stderr
    assert done.stderr.replace(str(ours), "OUT") == stderr.replace(str(theirs), "OUT")
    names = sorted(path.name for path in theirs.iterdir())
    assert sorted(path.name for path in ours.iterdir()) == names and len(names) == 8
    for name in names:
        compare_map_file(ours / name, theirs / name)


def compare_map_file(ours: Path, theirs: Path) -> None:
    if ours.suffix == ".npy":
        one, two = np.load(ours), np.load(theirs)
        assert one.dtype == two.dtype and np.abs(one - two).max() <= 1e-3
        assert ours.read_bytes()[:128] == theirs.read_bytes()[:128]
    elif ours.suffix == ".json":
        one, two = (json.loads(path.read_text(encoding="utf-8")) for path in (ours, theirs))
        assert list(one) == list(two)
        assert one.pop("engine_version").endswith("(C++)") and two.pop("engine_version")
        assert_close(one, two)
    else:
        one, two = (np.asarray(Image.open(path)).astype(int) for path in (ours, theirs))
        assert one.shape == two.shape
        if "heatmap" in ours.name:
            assert np.abs(one - two).mean() < 0.01
        else:  # labels and the numbers of regions are drawn with another font
            assert np.abs(one - two).mean() < 3


def assert_close(one: Any, two: Any) -> None:
    if isinstance(one, float) or isinstance(two, float):
        assert one == pytest.approx(two, abs=2e-3)  # z-scores are rounded to 1e-3: the next one is equal
    elif isinstance(one, dict):
        assert list(one) == list(two)
        for key in one:
            assert_close(one[key], two[key])
    elif isinstance(one, list):
        assert len(one) == len(two)
        for first, second in zip(one, two, strict=True):
            assert_close(first, second)
    else:
        assert one == two


# ------------------------------------------------------------------- builds


def example(folder: Path, *settings: object) -> None:
    source = SOURCE / "examples" / folder.name
    checked("cmake", "-S", source, "-B", folder, "-G", "Ninja", *settings)
    checked("cmake", "--build", folder, "-j2")
    said = checked(folder / "score_and_map", TINY, SAMPLES / "coffee-melted.png", "The cup looks melted.")
    assert re.match(r"MOS -?\d\.\d{4}, realness \d+\.\d of 100\nleast real: \d+ x \d+ pixels", said)


def test_an_installed_library_is_found(release) -> None:
    prefix = OUTPUT / "installed-prefix"
    shutil.rmtree(prefix, ignore_errors=True)
    checked("cmake", "--install", release, "--prefix", prefix)
    example(OUTPUT / "installed", f"-DCMAKE_PREFIX_PATH={prefix}")
    done = run(prefix / "bin" / "realm_score", "--version")
    assert done.returncode == 0 and done.stdout.startswith("realm_score 0.1.0, ONNX Runtime ")


def test_the_library_builds_inside_another_project(release) -> None:
    example(
        OUTPUT / "subproject",
        *("-DBUILD_SHARED_LIBS=ON", "-DCMAKE_BUILD_TYPE=Debug"),
        f"-DONNXRUNTIME_LIBRARY={runtime_library()}",
    )
