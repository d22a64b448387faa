"""docs/embedding.md keeps its word: its program gives the golden vectors, and each mistake that it names is noticed.

The page's Python blocks, joined, are the program. A mistake is a textual change of it. What the tables of the page
say about a mistake is measured here, and so is what they say about bad input and operators.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from attributed_bundle import NAME, build_attributed
from bundles import read_manifest, write_manifest
from click.testing import CliRunner
from embedding_page import (
    ANSWERS,
    GOLDEN,
    GOLDEN_FOLDER,
    PAGE,
    ROOT,
    TOLERANCES,
    Change,
    allowed_levels,
    levels_off,
    limit,
    program,
    table,
    worst,
    wrong_tokens,
)
from measured_bundles import expected, measured_bundle
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from export.towers.tokenizer import clip_tokenizer
from realm_engine import Engine
from realm_engine.bundle.bundle import find_bundle
from realm_engine.cli.main import main


@pytest.fixture(autouse=True)
def in_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def clip() -> Any:
    return json.loads(clip_tokenizer())


@pytest.fixture(scope="module")
def page() -> SimpleNamespace:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return program()


# ------------------------------------------------------------ the program is right


@pytest.mark.parametrize("kind", ["wordpiece", "clip"])
def test_tokens(page, clip, kind):
    assert list(wrong_tokens(page, kind, clip)) == []


@pytest.mark.parametrize("entry", GOLDEN["preprocessing"], ids=lambda entry: entry["pixels"])
def test_preprocessing(page, entry):
    assert levels_off(page, entry) <= allowed_levels(entry)


@pytest.mark.parametrize("entry", GOLDEN["embeddings"], ids=lambda entry: ascii(entry["text"])[1:20])
def test_embeddings(page, entry):
    found = {
        "core": page.embed("core", "core_text", "text_features", entry["text"])[0].astype(np.float64),
        "clip": page.embed("dream", "clip_text", "text_embedding", entry["text"])[0].astype(np.float64),
    }
    for tower, vector in found.items():
        golden = np.array(entry[tower])
        cosine = vector @ golden / (np.linalg.norm(vector) * np.linalg.norm(golden))
        assert cosine >= TOLERANCES["embedding_cosine"]


@pytest.mark.parametrize("answer", ANSWERS)
def test_answers(page, answer):
    assert worst(page, answer) <= limit(answer)


def test_realness(page):
    slope = page.MANIFEST["core"]["rating"]["slope"]
    for entry in GOLDEN["scores"]:
        realness = page.score(page.load(GOLDEN_FOLDER / entry["image"]), entry["text"])[1]
        assert realness == pytest.approx(entry["realness"], abs=TOLERANCES["mos_max_abs"] * slope)


def test_windows_per_call_change_only_last_bits(page):
    pixels = page.load(GOLDEN_FOLDER / "images" / "cat.png")
    embeddings = page.embed("dream", "clip_text", "text_embedding", "melted")
    tops, lefts = zip(*((top, left) for top in range(0, 69, 17) for left in range(0, 97, 24)), strict=True)
    one, seven, all_at_once = (
        page.similarities(pixels, 64, tops, lefts, embeddings, windows) for windows in (1, 7, 100)
    )
    np.testing.assert_allclose(one, all_at_once, rtol=0, atol=1e-5)
    np.testing.assert_allclose(seven, all_at_once, rtol=0, atol=1e-5)


MEASURED = ("judge", "edges", "light", "core")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The page's program on a bundle with measures of every kind."""
    folder = measured_bundle(tmp_path_factory.mktemp("measured") / "bundle", broken=True)
    # The program finds special tokens where real tokenizers have them, by name.
    tokenizer = json.loads((folder / "core_tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["added_tokens"] = [{"content": "[CLS]", "id": 2}, {"content": "[SEP]", "id": 3}]
    (folder / "core_tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    write_manifest(folder, read_manifest(folder))
    return program([('BUNDLE = Path("realm_engine/bundles/realm-tiny")', f"BUNDLE = Path({str(folder)!r})")])


@pytest.mark.parametrize("text", [None, "", "yes the image looks real"])
def test_measures_are_those_of_their_graphs_alone(measured, photo, text):
    image = photo(60, 85)
    found = {}
    for name in MEASURED:
        found.update(measured.measure(image, text, name))
    wanted = expected(measured.BUNDLE, image, text or None)
    assert set(found) == set(wanted)
    assert found.pop("guess") == wanted.pop("guess")
    for column, value in wanted.items():
        coarse = column == "contrast" or column.startswith("realness")
        assert found[column] == pytest.approx(
            value, abs=0.2 if column == "place" else 0.02 if coarse else 1e-4
        )


@pytest.mark.parametrize("entry", GOLDEN["probes"], ids=lambda entry: entry["image"])
def test_verdicts(page, entry):
    found = page.measure(page.load(GOLDEN_FOLDER / entry["image"]), None, "real-fake")
    assert found["p_fake"] == pytest.approx(entry["p_fake"], abs=TOLERANCES["p_fake_max_abs"])
    unlike = pytest.approx(entry["real_fake_unlike"], abs=TOLERANCES["unlike_max_abs"])
    assert (found["real_fake_unlike"], found["verdict"]) == (unlike, entry["verdict"])


def test_a_head_of_another_tower_is_refused(photo, monkeypatch):
    page = program()
    monkeypatch.setitem(page.MANIFEST["measures"]["real-fake"]["fitted_on"], "core", "0123" + 60 * "f")
    with pytest.raises(ValueError, match=r"real-fake was fitted on another core graph \(0123\.\.\.\)"):
        page.measure(photo(), None, "real-fake")


@pytest.mark.parametrize("size", [(60, 85), (33, 20)])
def test_a_map_of_a_head_is_the_engines(bundle_path, tmp_path, photo, size):
    folder, image = build_attributed(bundle_path, tmp_path / "attributed"), photo(*size)
    page = program([('BUNDLE = Path("realm_engine/bundles/realm-tiny")', f"BUNDLE = Path({str(folder)!r})")])
    values, bias = page.head_map(image, NAME)
    with Engine.open(folder, device="cpu", threads=1) as engine:
        wanted = engine.map(image, metric=NAME)
    np.testing.assert_allclose(values, wanted.values, atol=1e-7 + 1e-5 * np.abs(wanted.values).max())
    assert bias + values.sum(dtype=np.float64) == pytest.approx(wanted.logit, abs=1e-3)


def test_measures_that_are_no_number_or_not_known(measured, photo):
    assert np.isnan(measured.measure(photo(), None, "lost")["loss"])
    assert measured.measure(photo(), None, "mute")["silence"] is None
    with pytest.raises(ValueError, match="measure scenes is of a kind that this host does not support"):
        measured.measure(photo(), None, "scenes")
    with pytest.raises(ValueError, match="a view of the kind tiles is not known"):
        measured.measure(photo(), None, "tiled")


def test_core_of_the_embedded_bundle_is_a_measure(page):
    assert next(iter(page.measures())) == "core"
    for entry in GOLDEN["scores"][:3]:
        found = page.measure(page.load(GOLDEN_FOLDER / entry["image"]), entry["text"], "core")
        assert found["mos"] == pytest.approx(entry["mos"], abs=limit("MOS"))
        assert found["realness"] == pytest.approx(entry["realness"], abs=20 * limit("MOS"))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "core.onnx").write_bytes(b"x"), "core.onnx was changed"),
        (lambda folder: _edit(folder, '"phrases.json": {', '"../phrases.json": {'), "leaves the bundle"),
        (
            lambda folder: _edit(folder, '"format_version": "1.4"', '"format_version": "2.0"'),
            "not a bundle of format 1.x",
        ),
    ],
)
def test_bundles_that_the_program_refuses(page, copy_of_bundle, damage, words):
    damage(copy_of_bundle)
    with pytest.raises(ValueError, match=re.escape(words)):
        page.open_bundle(copy_of_bundle)


def _edit(folder: Path, old: str, new: str) -> None:
    content = (folder / "bundle.json").read_text(encoding="utf-8")
    assert content.count(old) == 1
    (folder / "bundle.json").write_text(content.replace(old, new), encoding="utf-8")


@pytest.fixture
def copy_of_bundle(tmp_path: Path) -> Path:
    """The embedded bundle, to be damaged."""
    return shutil.copytree(find_bundle("realm-tiny"), tmp_path / "bundle")


# ------------------------------------------------------------- mistakes are noticed

UNICODE_PUNCTUATION = """33 <= ord(c) <= 47 or 58 <= ord(c) <= 64 or 91 <= ord(c) <= 96 or 123 <= ord(c) <= 126 \\
        or """
DROPPED = 'unicodedata.category(c) in ("Cc", "Cf", "Co")'
OLD_UNICODE = 'unicodedata.ucd_3_2_0.category(c) in ("Cc", "Cf", "Co", "Cn")'

# Per row of a table: one or several ways to make the mistake, each a list of changes.
TOKEN_MISTAKES: dict[str, list[list[Change]]] = {
    "combining accents kept": [[('if unicodedata.category(c) != "Mn")', ")")]],
    "no NFD before they are dropped": [[('unicodedata.normalize("NFD", text)', "text")]],
    "lower case": [[('"".join(c.lower() for c in text)    # each by itself: Σ', "text.lower()    # Σ")]],
    "ideographs": [
        [("any(a <= ord(c) <= b for a, b in CJK)", "False")],
        [("for a, b in CJK)", "for a, b in CJK if b < 0x10000)")],
    ],
    "only Unicode punctuation": [[(UNICODE_PUNCTUATION, "")]],
    "zero-width": [[('"Cc", "Cf", "Co"', '"Cc", "Co"')]],
    "Unicode table": [[(DROPPED, OLD_UNICODE)]],
    "100": [[(" or len(word) > 100", "")], [("len(word) > 100", "len(word) >= 100")]],
    "in a text taken apart": [[('re.split("(" + "|".join(map(re.escape, special)) + ")", text)', "[text]")]],
    "too long": [[("ids[: max_tokens - 1] + ids[-1:]", "ids[:max_tokens]")]],
    "`</w>`": [[('word[-1] + "</w>"', "word[-1]")]],
    "unescaped once": [[("for step in steps:", "for step in steps[12:]:")]],
    "left to right": [[("min(known)", "known[0]")]],
    "largest bucket": [[('min(b for b in spec["buckets"]', 'max(b for b in spec["buckets"]')]],
}
ROUNDED = "np.clip(np.floor(x @ cols.astype(np.float64).T + 0.5), 0, 255)"
RESIZE_MISTAKES: dict[str, list[Change]] = {
    "pixel centres": [("centre = (i + 0.5) * scale", "centre = i * scale")],
    "not widened": [("widen = max(scale, 1.0)", "widen = 1.0")],
    "a = -0.75": [
        ("(1.5 * t - 2.5) * t * t + 1", "(1.25 * t - 2.25) * t * t + 1"),
        ("(((t - 5) * t + 8) * t - 4) * -0.5", "(((t - 5) * t + 8) * t - 4) * -0.75"),
    ],
    "bilinear for": [('"bicubic": (bicubic, 2.0)', '"bicubic": (bilinear, 1.0)')],
    "no rounding": [(ROUNDED, "np.clip(x @ cols.astype(np.float64).T, 0, 255)")],
    "no clip": [(ROUNDED, "np.floor(x @ cols.astype(np.float64).T + 0.5)")],
}
ANSWER_MISTAKES: dict[str, list[Change]] = {
    "BGR": [('.convert("RGB"))', '.convert("RGB"))[:, :, ::-1]')],
    "`has_text` 1": [('text is not None and text.strip() != ""', "text is not None")],
    "attention mask": [("[[1] * len(ids) + [0] * free]", "[[1] * length]")],
    "counted from the top of the picture": [("top=top - first", "top=top")],
    "last window left out": [
        ("range(0, height - window + 1, stride_px)", "range(0, height - window, stride_px)"),
        ("range(0, width - window + 1, stride_px)", "range(0, width - window, stride_px)"),
    ],
    "further window": [
        (
            "range(0, height - window + 1, stride_px)",
            "{*range(0, height - window, stride_px), height - window}",
        ),
        ("range(0, width - window + 1, stride_px)", "{*range(0, width - window, stride_px), width - window}"),
    ],
    "0, not NaN": [("covering > 0, values, np.nan)", "covering > 0, values, 0)")],
    "counts as 0": [("/ np.maximum(covering, 1)", "/ len(sizes)")],
    "`max` taken of the similarity": [
        ("np.fmax.reduce", '(np.fmin if quantity == "similarity" else np.fmax).reduce')
    ],
}


def row(tables: str, words: str) -> list[str]:
    """The cells of the one row whose first cell holds these words."""
    found = [cells for first, cells in table(f"<!-- mistakes: {tables} -->").items() if words in first]
    assert len(found) == 1, f"{len(found)} rows of the table hold {words!r}"
    return found[0]


@pytest.mark.parametrize("words", TOKEN_MISTAKES)
def test_mistakes_with_tokens_are_noticed(clip, words):
    (reason,) = row("tokens", words)
    of_clip = any("CLIP:" in first and words in first for first in table("<!-- mistakes: tokens -->"))
    for changes in TOKEN_MISTAKES[words]:
        wrong = next(wrong_tokens(program(changes), "clip" if of_clip else "wordpiece", clip), None)
        assert wrong is not None, f"{changes}: no golden text notices, {reason} does not help"


@pytest.mark.parametrize("words", RESIZE_MISTAKES)
def test_mistakes_with_pixels_are_noticed(words):
    (said,) = row("preprocessing", words)
    wrong = program(RESIZE_MISTAKES[words])
    off = {entry["pixels"]: levels_off(wrong, entry) for entry in GOLDEN["preprocessing"]}
    assert str(max(off.values())) == said
    assert any(off[entry["pixels"]] > allowed_levels(entry) for entry in GOLDEN["preprocessing"])


@pytest.mark.parametrize("words", ANSWER_MISTAKES)
def test_mistakes_with_answers_are_noticed(words):
    (said,) = row("answers", words)
    wrong = program(ANSWER_MISTAKES[words])
    if said.startswith("an error"):
        with pytest.raises((ValueError, InvalidArgument)):
            worst(wrong, "map")
        return
    for part in said.split(", "):
        answer, number = part.split()
        measured = worst(wrong, answer)
        assert measured == pytest.approx(float(number), rel=0.06)
        assert measured > 2 * limit(answer)


def test_every_mistake_of_the_page_is_made():
    for name, made in (
        ("tokens", TOKEN_MISTAKES),
        ("preprocessing", RESIZE_MISTAKES),
        ("answers", ANSWER_MISTAKES),
    ):
        for first in table(f"<!-- mistakes: {name} -->"):
            assert any(words in first for words in made), f"nobody makes this mistake: {first}"


# ------------------------------------------------------------------ the other claims


def test_operators():
    listed = re.search(r"The 47 operators of `realm-tiny`: (.*?)\.", " ".join(PAGE.split()))
    assert listed is not None
    graphs: list[onnx.NodeProto] = []
    for file in find_bundle("realm-tiny").glob("*.onnx"):
        model = onnx.load(
            file, load_external_data=False
        )  # onnx refuses files that an attack has linked to just now
        graphs += model.graph.node
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]
        assert model.ir_version == 10 and not model.functions
    assert listed[1] == ", ".join(sorted({node.op_type for node in graphs}))
    assert len({node.op_type for node in graphs}) == 47
    assert not any(attribute.HasField("g") for node in graphs for attribute in node.attribute)


def test_the_tables_of_graphs_and_numbers_are_the_manifests(page):
    graphs = " ".join(PAGE[PAGE.index("## 2.") : PAGE.index("## 3.")].split())
    for name, graph in page.MANIFEST["graphs"].items():
        for tensor in (*graph["inputs"], *graph["outputs"]):
            shape = ", ".join(map(str, tensor["shape"]))
            assert f"`{tensor['name']}`" in graphs and f"{tensor['dtype']} [{shape}]" in graphs, name
    rating = page.MANIFEST["core"]["rating"]
    assert f"{rating['offset']} + {rating['slope']} x MOS" in graphs


def no_change(folder: Path) -> None:
    pass


def cut_off(folder: Path) -> None:
    (folder / "core.onnx").write_bytes((folder / "core.onnx").read_bytes()[:1000])


def flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / "core.onnx").read_bytes())
    content[1000] ^= 1
    (folder / "core.onnx").write_bytes(content)


def another_tower(folder: Path) -> None:
    manifest = read_manifest(folder)
    manifest["measures"]["real-fake"]["fitted_on"]["core"] = "0" * 64
    (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")


SCORE = ["score", "picture.png", "--no-descriptions"]
MAP = ["map", "picture.png", "--output", "maps"]
# Per row of the page's table: what happens to the bundle, and what is asked of it.
BAD_INPUT: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "a file of the bundle is missing": (lambda folder: (folder / "dream.onnx").unlink(), SCORE),
    "a file of another size": (cut_off, SCORE),
    "a file was changed": (flip_a_byte, SCORE),
    "`bundle.json` is damaged": (lambda folder: (folder / "bundle.json").write_text("{"), SCORE),
    "a newer major version": (
        lambda folder: _edit(folder, '"format_version": "1.4"', '"format_version": "2.0"'),
        SCORE,
    ),
    "a path that leaves the folder": (
        lambda folder: _edit(folder, '"text.onnx": {', '"../text.onnx": {'),
        SCORE,
    ),
    "a head of another tower, asked for": (another_tower, [*SCORE, "--metric", "real-fake"]),
    "no such picture": (no_change, ["score", "nowhere-at-all.jpeg"]),
    "not a picture": (no_change, ["score", "text.png", "picture.png"]),
    "a picture that is cut off": (no_change, ["map", "cut.png", "--text", "melted", "--output", "maps"]),
    "a window larger than the image": (no_change, [*MAP, "--text", "melted", "--window", "64"]),
    "a stride of 0": (no_change, [*MAP, "--text", "melted", "--window", "32", "--stride", "0"]),
    "a map of a blank text": (no_change, [*MAP, "--text", " "]),
    "a text that is too long": (no_change, [*MAP, "--text", "lazy dog " * 100, "--window", "32"]),
}


@pytest.mark.parametrize("what", table("## 10."))
def test_bad_input(copy_of_bundle, tmp_path, monkeypatch, what):
    damage, arguments = BAD_INPUT[what]
    words, exit_code = table("## 10.")[what]
    damage(copy_of_bundle)
    monkeypatch.chdir(tmp_path)
    picture = (GOLDEN_FOLDER / "images" / "tiny.png").read_bytes()
    for name, content in (("picture", picture), ("cut", picture[: len(picture) // 2]), ("text", b"hello")):
        Path(f"{name}.png").write_bytes(content)
    result = CliRunner().invoke(main, [*arguments, "--bundle", str(copy_of_bundle), "--device", "cpu"])
    quoted = re.match("`(.*?)`", words)
    assert quoted is not None
    pattern = ".+".join(re.escape(part) for part in quoted[1].split("…"))
    # A line of its own on stderr, or the last column of a table of scores.
    place = "^" if quoted[1].startswith("warning") else '(?:^error: |,"?)'
    assert re.search(f'{place}{pattern}"?$', result.output, flags=re.MULTILINE), result.output
    assert str(result.exit_code) == exit_code
