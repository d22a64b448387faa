"""The C++ host: built with warnings as errors and with sanitizers, held against golden vectors and the Python engine."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import _byte_level_bpe, _wordpiece, build_bundle, read_manifest, write_manifest
from click.testing import CliRunner
from cpp_hostile import (
    FILES,
    MANIFESTS,
    damaged_images,
    encoded,
    external_weights,
    flipped_graphs,
    with_true_checksums,
)
from PIL import Image

from realm_engine import Engine, RealmError
from realm_engine.cli.main import main
from realm_engine.images import load_image

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "hosts" / "cpp"
OUTPUT = REPOSITORY / "out" / "hosts" / "cpp"
TINY = REPOSITORY / "realm_engine" / "bundles" / "realm-tiny"
SAMPLES = REPOSITORY / "samples"
GOLDEN = Path(os.environ.get("REALM_GOLDEN", REPOSITORY / "tests" / "golden"))
CRASHED = 99  # the exit code of a sanitizer's report
ENVIRONMENT = {
    **os.environ,
    "ASAN_OPTIONS": f"exitcode={CRASHED}:detect_leaks=1",
    "UBSAN_OPTIONS": f"exitcode={CRASHED}:halt_on_error=1:print_stacktrace=1",
}
Done = subprocess.CompletedProcess


def run(program: Path, *arguments: object, **options: Any) -> Done[str]:
    command = [str(program), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env=ENVIRONMENT, **options
    )


def checked(*command: object, **options: Any) -> str:
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, timeout=600, **options
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


def runtime_library() -> Path:
    import onnxruntime

    return next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*"))


@pytest.fixture(scope="session")
def build(require) -> Callable[[str], Path]:
    """The folder of a preset's programs, built once and only as far as something changed."""
    require("cmake", "ninja", "g++")
    done: dict[str, Path] = {}

    def make(preset: str) -> Path:
        if preset not in done:
            folder = OUTPUT / preset
            checked(
                *("cmake", "--preset", preset, "-B", folder, f"-DONNXRUNTIME_LIBRARY={runtime_library()}"),
                cwd=SOURCE,
            )
            checked("cmake", "--build", folder, "-j2")
            done[preset] = folder
        return done[preset]

    return make


@pytest.fixture(scope="session")
def release(build) -> Path:
    return build("release")


@pytest.fixture(scope="session")
def asan(build) -> Path:
    return build("asan")


@pytest.fixture(scope="session")
def clip_tokenizer(tmp_path_factory) -> Path:
    from export.tokenizer import clip_tokenizer

    path = tmp_path_factory.mktemp("clip") / "clip.json"
    path.write_text(clip_tokenizer(), encoding="utf-8")
    return path


def python_engine(verb: str, *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `realm-engine` on the CPU."""
    given = [verb, *map(str, arguments)]
    for option, value in (("--device", "cpu"), ("--threads", "1")):
        given += [] if option in given else [option, value]
    result = CliRunner().invoke(main, given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def errors(text: str) -> list[str]:
    """Lines of errors, without the list of formats: the C++ host reads fewer."""
    found = [line for line in text.splitlines() if line.startswith("error: ")]
    return [re.sub(r"\(formats: [^)]*\)", "(formats)", line) for line in found]


# ------------------------------------------------------------------ numbers


def golden_check(folder: Path, golden: Path, clip: Path) -> Done[str]:
    if not (golden / "golden.json").is_file():
        pytest.fail(f"no golden vectors in {golden}; write them with python tests/golden/write.py")
    return run(folder / "golden_check", TINY, golden, clip)


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
    codes = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in ("Cn", "Cs")]
    texts = [" ".join(codes[at : at + 64]) for at in range(0, len(codes), 64)]
    texts += ["a" + "b a".join(codes[at : at + 64]) + "b" for at in range(0, len(codes), 64)]
    marks = [code for code in codes if unicodedata.combining(code)]
    pieces = [
        *("[CLS]", "[SEP]", "<start_of_text>", "<end_of_text>", "<|endoftext|>", "&amp;lt;", "&nbsp;", "&amp", "'s"),
        *("'ll", " ", "  ", "\n", "\t \n", "\x1b[31m", "\x1b[3", "ﬁ", "Ａ", "’", "“", "12", "don’t", "x" * 300, "é"),
        *("e\u0301", " \u00a0", "\r\n", "\u3000", "\uac00\u11a8", "\u1100\u1161\u11a8", "İ", "Σς", "ǅ", "supercalifragilistic"),
    ]  # fmt: skip
    for _ in range(3000):
        texts.append("".join(rng.choice(pieces) for _ in range(rng.randint(1, 12))))
        texts.append("".join(rng.choice(marks if rng.random() < 0.6 else codes) for _ in range(rng.randint(1, 24))))
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
        assert digests == [hashlib.sha256(content).hexdigest()] * 3  # SHA-NI where there is one, plain, from file


def pictures_of_many_kinds(photo: np.ndarray) -> dict[str, bytes]:
    colour = Image.fromarray(photo)
    grey = colour.convert("L")
    deep = np.random.default_rng(0).integers(0, 65536, (20, 30)).astype(np.uint16)
    alpha = colour.convert("RGBA")
    alpha.putalpha(Image.fromarray(np.linspace(0, 255, photo.shape[1]).astype(np.uint8)[None].repeat(photo.shape[0], 0)))
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
    # 4:2:0 in a picture whose sides are no multiple of 16, and a grey of two and of four bits, which Pillow cannot write
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


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def assert_same_scores(ours: str, theirs: str) -> None:
    one, two = table(ours), table(theirs)
    assert [list(row) for row in one] == [list(row) for row in two] and len(one) > 0
    for first, second in zip(one, two, strict=True):
        for column in ("filename", "description", "error"):
            assert first[column] == second[column]
        for column, limit, decimals in (("mos", 1e-3, 6), ("realness", 0.02, 4)):
            assert float(first[column]) == pytest.approx(float(second[column]), abs=limit)
            assert len(first[column].split(".")[1]) == decimals


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("more", [[], ["--no-descriptions"], ["--batch-size", 1], ["--batch-size", 3]])
def test_scores_equal_the_python_engine(release, bundle_path, precision, more) -> None:
    arguments = [SAMPLES, "--bundle", bundle_path, "--precision", precision, *more]
    done = run(release / "realm_score", *arguments, "--threads", 1)
    code, stdout, stderr = python_engine("score", *arguments)
    assert (done.returncode, code) == (0, 0), done.stderr
    assert_same_scores(done.stdout, stdout)
    assert done.stderr == stderr  # descriptions, bundle, runtime, device, precision and threads are said alike


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
        assert one == pytest.approx(two, abs=2e-3)
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


# ---------------------------------------------------------------- bad input


@pytest.fixture
def corner(tmp_path, photo) -> Path:
    """A folder of good and bad input."""
    Image.fromarray(photo(70, 90)).save(tmp_path / "good.png")
    Image.fromarray(photo(40, 50)).save(tmp_path / "small.png")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "none").mkdir()
    for name, content in {
        "no column.csv": "filename,text\na,b\n",
        "twice.csv": "filename,description\ngood.png,a\n./good.png,b\n",
        "ragged.csv": "filename,description\ngood.png,a,b\n",
        "quotes.csv": 'filename,description\ngood.png,"a"b\n',
        "open.csv": 'filename,description\ngood.png,"a\n',
        "nameless.csv": "filename,description\n\n  ,a\n",
        "unused.csv": "filename,description\nother.png,a\n",
        "several.csv": "filename,description\na/good.jpg,a\nb/good.jpg,b\n",
        "lines.csv": '\ufefffilename,x,Description\r\ngood.png,1,"one\r\ntwo, ""three"""\r\n\r\nsmall.png,2, x \r\n',
    }.items():
        (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    (tmp_path / "latin.csv").write_bytes(b"filename,description\ngood.png,caf\xe9\n")
    (tmp_path / "nothing.csv").write_bytes(b"")
    return tmp_path


SCORE_CASES = [
    *(["missing.png"], ["none"], ["good.png", "empty.jpg", "text.png"], ["good.png", "--device", "gpu"]),
    *(["good.png", "--precision", "int8"], ["good.png", "--max-memory", "1K"], ["good.png", "--max-memory", "much"]),
    *(["good.png", "--output", "table.txt"], ["good.png", "--output", "good.png/x.csv"], ["good.png", "--threads", "0"]),
    *(["good.png", "--bundle", "nope"], ["good.png", "--bundle", "none"], ["good.png", "--missing-text", "error"]),
    *(["good.png", "--descriptions", f"{name}.csv"] for name in (
        "missing", "no column", "twice", "ragged", "quotes", "open", "nameless", "several", "lines", "latin", "nothing", "unused")),
    *(["good.png", "small.png", "--descriptions", "lines.csv", "--missing-text", "error"], ["--batch-size", "0", "good.png"]),
    *(["good.png", "--no-descriptions", "--descriptions", "lines.csv"], [], ["good.png", "--nonsense"], ["good.png", "good.png"]),
    *(["good.png", "--descriptions", "unused.csv", "--missing-text", "error"], ["./none/../good.png", "small.png"]),
]  # fmt: skip
MAP_CASES = [
    *(["good.png", "small.png", "--text", "x"], ["good.png", "--text", "x", "--window", "0"], ["missing.png"]),
    *(["good.png", "--text", "x", "--window", "71"], ["good.png", "--text", " "], ["good.png", "--preset", "x"]),
    *(["good.png", "--text", "x", "--window", "32", "--window", "32"], ["good.png", "--text", "x", "--stride", "-3"]),
    *(["good.png", "--text", "x", "--format", "gif"], ["good.png", "--text", "x", "--range", "2", "1"], ["empty.jpg", "--text", "x"]),
    *(["good.png", "--text", "x", "--descriptions", "lines.csv"], ["good.png", "--text", "x", "--stride", "0"]),
    *(["good.png", "--text", "x", "--aggregate", "median"], ["good.png", "--text", "x", "--output", "good.png"]),
    *(["good.png", "--text", "word " * 60, "--window", "40"], ["good.png", "--text", "x", "--max-memory", "5M"]),
]  # fmt: skip
# Devices and presets that this host has fewer of, and the amounts of memory: the beginning is what counts.
DIFFERENT_ENDS = re.compile(r"(choose one of|the name must end in|; give a directory|this bundle has|is too little|not a readable CSV).*")


@pytest.mark.parametrize("case", [*enumerate(SCORE_CASES), *enumerate(MAP_CASES, len(SCORE_CASES))], ids=lambda c: str(c[0]))
def test_bad_input_is_answered_alike(release, bundle_path, corner, monkeypatch, case) -> None:
    monkeypatch.chdir(corner)
    number, arguments = case
    verb = "score" if number < len(SCORE_CASES) else "map"
    bundle = [] if "--bundle" in arguments else ["--bundle", bundle_path]
    done = run(release / f"realm_{verb}", *arguments, *bundle, *([] if "--threads" in arguments else ["--threads", 1]))
    code, stdout, stderr = python_engine(verb, *arguments, *bundle)
    assert done.returncode == code, done.stderr
    if "Usage:" not in stderr:  # click's own remarks have other words
        ours, theirs = ([DIFFERENT_ENDS.sub("", line) for line in errors(text)] for text in (done.stderr, stderr))
        assert ours == theirs
    assert [line for line in done.stderr.splitlines() if "warning" in line] == [
        line for line in stderr.splitlines() if "warning" in line
    ]
    assert [{**row, "mos": "", "realness": ""} for row in table(re.sub(r"\(formats[^)]*\)", "", done.stdout))] == [
        {**row, "mos": "", "realness": ""} for row in table(re.sub(r"\(formats[^)]*\)", "", stdout))
    ]


def test_formats_of_others_are_named(release, bundle_path, photo, tmp_path) -> None:
    for kind in ("WEBP", "BMP", "TIFF", "GIF"):
        path = tmp_path / "picture.png"  # told by the content, not by the name
        Image.fromarray(photo()).save(path, kind)
        done = run(release / "realm_score", path, "--bundle", bundle_path)
        assert done.returncode == 1
        assert f"{kind.replace('WEBP', 'WebP')} is not read by this program" in table(done.stdout)[0]["error"]


def test_cuda_is_refused_without_it(release, bundle_path, corner) -> None:
    done = run(release / "realm_score", corner / "good.png", "--bundle", bundle_path, "--device", "cuda")
    assert done.returncode == 2 and "is built without CUDA" in done.stderr


def test_a_memory_limit_changes_no_result(release, corner) -> None:
    def scored(*more: object) -> tuple[str, np.ndarray]:
        arguments = [corner / "good.png", "--bundle", TINY, "--threads", 1, *more]
        mapped = run(release / "realm_map", *arguments, "--text", "x", "--output", corner / "map", "--format", "npy")
        assert mapped.returncode == 0, mapped.stderr
        return run(release / "realm_score", *arguments).stdout, np.load(corner / "map" / "good.npy")

    table_of_all, map_of_all = scored()
    table_of_few, map_of_few = scored("--max-memory", "250M")
    assert_same_scores(table_of_few, table_of_all)
    assert np.abs(map_of_few - map_of_all).max() < 1e-5


# ------------------------------------------------------------------ hostile


def test_no_sanitizer_report_in_normal_work(asan, clip_tokenizer, bundle_path, corner) -> None:
    done = golden_check(asan, GOLDEN, clip_tokenizer)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    done = run(asan / "realm_map", corner / "good.png", "--bundle", bundle_path, "--output", corner / "maps")
    assert done.returncode == 0, done.stderr[-3000:]
    done = run(asan / "probe", "threads", bundle_path, corner / "good.png", "the face is melted")
    assert done.returncode == 0 and "equal" in done.stdout, done.stdout + done.stderr[-3000:]


def test_damaged_images(asan, photo, tmp_path) -> None:
    files = []
    for name, content in damaged_images(photo(48, 64), per_kind=45):
        (tmp_path / name).write_bytes(content)
        files.append(tmp_path / name)
    done = run(asan / "probe", "decode", *files)
    answers = done.stdout.splitlines()
    assert done.returncode == 0 and len(answers) == len(files), done.stderr[-3000:]
    refused = [line for line in answers if line.startswith("error ")]
    assert len(refused) > len(files) / 3
    assert all(len(line) < 600 for line in refused)
    # A truncated file is an error in both engines: where it decodes here, Pillow must say so too.
    for file, answer in zip(files, answers, strict=True):
        if int(file.name[:3]) % 3 == 0 if file.name[0].isdigit() else False:
            try:
                load_image(file)
                whole = True
            except RealmError:
                whole = False
            assert whole == (not answer.startswith("error ")), file.name


def test_mangled_manifests(asan, photo, tmp_path) -> None:
    good = build_bundle(tmp_path / "good")
    Image.fromarray(photo(130, 140)).save(tmp_path / "image.png")
    folders = []
    for number, (_, change, _) in enumerate(MANIFESTS):
        home = tmp_path / str(number)
        home.mkdir()
        folder = Path(shutil.copytree(good, home / "bundle"))
        manifest = read_manifest(folder)
        change(folder, manifest)
        (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
        folders.append(folder)
    texts = [b"", b"[]", b"{", b"\xff\xfe", b'{"a":' * 100_000, b"[" * 1_000_000, b"{" + b'"a":1,' * 600_000]
    for number, text in enumerate(texts):
        folder = Path(shutil.copytree(good, tmp_path / f"text{number}"))
        (folder / "bundle.json").write_bytes(text)
        folders.append(folder)
    done = run(asan / "probe", "bundles", tmp_path / "image.png", *folders)
    answers = done.stdout.splitlines()
    assert done.returncode == 0 and len(answers) == len(folders), done.stderr[-3000:]
    assert all(answer.startswith("error ") for answer in answers), answers
    for (name, _, same_words), folder, answer in zip(MANIFESTS, folders, answers, strict=False):
        if same_words:
            with pytest.raises(RealmError) as caught:
                Engine.open(folder, device="cpu")
            assert (name, answer) == (name, f"error {caught.value}")


def test_mangled_files(asan, photo, tmp_path) -> None:
    good = build_bundle(tmp_path / "good")
    Image.fromarray(photo(70, 80)).save(tmp_path / "image.png")
    folders = []
    for number, (_, mangle) in enumerate(FILES):
        folder = Path(shutil.copytree(good, tmp_path / str(number)))
        mangle(folder)
        write_manifest(folder, read_manifest(folder))
        folders.append(folder)
    for number, location in enumerate(["../secret", "/etc/passwd", "unlisted.bin", "a\\b"]):
        folder = Path(shutil.copytree(good, tmp_path / f"external{number}"))
        external_weights(folder, location)
        write_manifest(folder, read_manifest(folder))
        folders.append(folder)
    done = run(asan / "probe", "bundles", tmp_path / "image.png", *folders)
    answers = done.stdout.splitlines()
    assert done.returncode == 0 and len(answers) == len(folders), done.stderr[-3000:]
    silent = [name for (name, _), answer in zip(FILES, answers, strict=False) if answer == "ok"]
    assert silent == [] and all(answer.startswith("error ") for answer in answers), (silent, answers)


def test_flipped_graphs(asan, photo, tmp_path) -> None:
    folder = build_bundle(tmp_path / "bundle")
    Image.fromarray(photo(70, 80)).save(tmp_path / "image.png")
    copies = []
    for number, (_, damage) in enumerate(flipped_graphs(folder, 80)):
        damage()
        copies.append(Path(shutil.copytree(folder, tmp_path / str(number))))
    done = run(asan / "probe", "bundles", tmp_path / "image.png", *copies)
    answers = done.stdout.splitlines()
    assert done.returncode == 0 and len(answers) == len(copies), done.stderr[-3000:]
    assert sum(answer.startswith("error ") for answer in answers) > len(copies) / 3


@pytest.mark.parametrize("program", ["realm_score", "realm_map"])
def test_exit_codes_of_bad_bundles(release, asan, program, photo, tmp_path) -> None:
    Image.fromarray(photo(70, 80)).save(tmp_path / "image.png")
    for number, (name, mangle) in enumerate(FILES[:4] + FILES[19:23]):
        folder = build_bundle(tmp_path / str(number))
        mangle(folder)
        write_manifest(folder, read_manifest(folder))
        done = run(asan / program, tmp_path / "image.png", "--bundle", folder, "--output", tmp_path / "x.csv")
        assert done.returncode in (0, 1, 2), (name, done.stderr[-2000:])
        assert done.returncode == 0 or "error" in done.stderr + done.stdout


# ------------------------------------------------------------------- builds


def example(folder: Path, *settings: object) -> None:
    source = SOURCE / "examples" / folder.name
    checked("cmake", "-S", source, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", *settings)
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
    example(OUTPUT / "subproject", f"-DONNXRUNTIME_LIBRARY={runtime_library()}", "-DBUILD_SHARED_LIBS=ON")
