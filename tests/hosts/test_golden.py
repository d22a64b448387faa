"""The golden vectors, and the Python engine against them. The other hosts: test_cpp.py and test_web.py."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import util
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image
from repository import ROOT

from realm_engine import DreamConfig, Engine
from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.manifest import TextSpec
from realm_engine.maps.encoders import Windows
from realm_engine.opened import Contents
from realm_engine.pictures.decode import load_image
from realm_engine.pictures.resample import resample_matrix
from realm_engine.text import Tokenizer

FOLDER = ROOT / "tests" / "golden"
GOLDEN = json.loads((FOLDER / "golden.json").read_text(encoding="utf-8"))
TOLERANCES = GOLDEN["tolerances"]
SIZE_LIMIT_BYTES = 1_500_000
CLIP_SPEC = TextSpec("clip.json", max_tokens=77, pad_id=0, fixed_length=True, buckets=(77,))


def entries(section: str) -> list[Any]:
    """Parameters of a test, named by what tells an entry apart."""

    def name(entry: dict[str, Any]) -> str:
        if section == "tokens":
            return f"{entry['tokenizer']}-{ascii(entry['text'])[1:24]}"
        keys = ("file", "pixels", "values", "image", "text")
        found = next(entry[key] for key in keys if isinstance(entry.get(key), str))
        return f"{ascii(found)[1:-1]:.24}"

    return [pytest.param(entry, id=name(entry)) for entry in GOLDEN[section]]


@pytest.fixture(scope="module")
def write() -> Iterator[ModuleType]:
    """`tests/golden/write.py` as a module; its folder is on the path only here."""
    spec = util.spec_from_file_location("golden_write", FOLDER / "write.py")
    assert spec is not None and spec.loader is not None
    before = list(sys.path)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = before


@pytest.fixture(scope="module")
def tiny() -> Iterator[Engine]:
    with Engine.open(
        GOLDEN["bundle"], device="cpu", precision="fp32", threads=1, encoder="each-window"
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
def one_pass() -> Iterator[Engine]:
    with Engine.open(
        GOLDEN["bundle"], device="cpu", precision="fp32", threads=1, encoder="one-pass"
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
def tokenizers(write, tmp_path_factory) -> dict[str, Tokenizer]:
    clip = tmp_path_factory.mktemp("clip") / "clip.json"
    assert write.main(["--clip-tokenizer", str(clip)]) == 0
    bundle = Bundle.open(GOLDEN["bundle"])
    text = Contents(bundle).text_specs()["core_text"]
    word_piece = bundle.file(text.tokenizer)
    return {
        "wordpiece": Tokenizer(word_piece.read_bytes(), str(word_piece), text),
        "clip": Tokenizer(clip.read_bytes(), str(clip), CLIP_SPEC),
    }


def image(name: str) -> np.ndarray:
    return load_image(FOLDER / name)


# -------------------------------------------------------------- the Python engine


@pytest.mark.parametrize("entry", entries("tokens"))
def test_token_ids(tokenizers, entry):
    ids, mask = tokenizers[entry["tokenizer"]].encode([entry["text"]])
    padding = entry["padded_length"] - len(entry["ids"])
    assert ids[0].tolist() == entry["ids"] + [0] * padding
    assert mask[0].tolist() == [1] * len(entry["ids"]) + [0] * padding


@pytest.mark.parametrize("entry", entries("decoding"))
def test_decoding(entry):
    decoded, expected = image(entry["file"]), np.asarray(Image.open(FOLDER / entry["rgb"]))
    assert decoded.shape == expected.shape
    assert np.abs(decoded.astype(int) - expected).max() <= entry["max_levels"]


def cut(entry: dict[str, Any]) -> np.ndarray:
    picture = image(entry["image"])
    return picture[entry["top"] :, entry["left"] :][: entry["height"], : entry["width"]]


def levels_apart(resized: np.ndarray, entry: dict[str, Any]) -> float:
    expected = np.asarray(Image.open(FOLDER / entry["pixels"])).astype(np.float64)
    assert resized.shape == expected.shape
    return float(np.abs(resized - expected).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("entry", entries("preprocessing"))
def test_resample_matrices(entry, dtype):
    rows, cols = (
        resample_matrix(entry[side], entry[f"out_{side}"], entry["interpolation"]).astype(dtype)
        for side in ("height", "width")
    )
    pixels = cut(entry).astype(dtype).transpose(2, 0, 1)
    for product in (lambda x: x @ cols.T, lambda x: rows @ x):
        pixels = np.clip(np.floor(product(pixels) + dtype(0.5)), 0, 255)
    assert levels_apart(pixels.transpose(1, 2, 0), entry) <= TOLERANCES["preprocessing_levels"]


@pytest.fixture(scope="module")
def resize_in_graph() -> Callable[[str, dict[str, Any]], np.ndarray]:
    """What a graph of the bundle makes of its pixels before mean and std: its own last clip to 0..255."""
    bundle = Bundle.open(GOLDEN["bundle"])
    sessions = {}
    for graph in ("core", "dream"):
        model = onnx.load(bundle.path(graph, "fp32"))
        constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        clipped = [
            node.output[0]
            for node in model.graph.node
            if node.op_type == "Clip" and len(node.input) == 3 and constants[node.input[2]] == 255
        ]
        assert len(clipped) == 2, "two passes, each rounded and clipped"
        model.graph.output.append(onnx.helper.make_tensor_value_info(clipped[1], 1, None))
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        sessions[graph] = (session, clipped[1])

    def run(graph: str, feeds: dict[str, Any]) -> np.ndarray:
        session, output = sessions[graph]
        return session.run([output], feeds)[0][0].transpose(1, 2, 0)

    return run


def of_size(height: int, width: int) -> list[Any]:
    return [
        entry
        for entry in entries("preprocessing")
        if (entry.values[0]["out_height"], entry.values[0]["out_width"]) == (height, width)
    ]


@pytest.mark.parametrize("entry", of_size(64, 64))
def test_windows_inside_the_dream_graph(resize_in_graph, entry):
    feeds = {
        "image": image(entry["image"]),
        "top": np.array([entry["top"]]),
        "left": np.array([entry["left"]]),
        "resample": resample_matrix(entry["height"], 64, entry["interpolation"]).astype(np.float32),
        "text": np.zeros((1, 128), dtype=np.float32),
    }
    # The graph splits its sums so that float32 holds them: equal to Pillow, not merely close.
    assert levels_apart(resize_in_graph("dream", feeds), entry) == 0


@pytest.mark.parametrize("entry", of_size(336, 448))
def test_pixels_inside_the_core_graph(resize_in_graph, entry):
    feeds = {
        "pixels": cut(entry)[None],
        "resample_rows": resample_matrix(entry["height"], 336, "bilinear").astype(np.float32)[None, None],
        "resample_cols": resample_matrix(entry["width"], 448, "bilinear").astype(np.float32)[None, None],
        "text_features": np.zeros((1, 384), dtype=np.float32),
        "has_text": np.zeros(1, dtype=np.float32),
    }
    assert levels_apart(resize_in_graph("core", feeds), entry) <= TOLERANCES["preprocessing_levels"]


@pytest.mark.parametrize("entry", entries("embeddings"))
def test_embeddings(write, tiny, entry):
    found = {
        "core": tiny.embed_texts([entry["text"]], "core")[0],
        "clip": tiny.embed_texts([entry["text"]])[0],
    }
    for tower, embedding in found.items():
        assert write.cosine(embedding, entry[tower]) >= TOLERANCES["embedding_cosine"]


@pytest.mark.parametrize("entry", entries("similarities"))
def test_similarities(tiny, entry):
    dream = tiny.maps.dream
    windows = Windows(entry["window_px"], np.array(entry["top"]), np.array(entry["left"]))
    canvas, texts = dream.encoder.canvas(image(entry["image"])), dream.embed(entry["texts"])
    found = dream.encoder.similarities(canvas, windows, texts, lambda count: None)
    np.testing.assert_allclose(found, entry["values"], rtol=0, atol=TOLERANCES["similarity_max_abs"])


@pytest.mark.parametrize("batch_size", [1, 5])
def test_scores_of_pictures_of_many_sizes_together(tiny, batch_size):
    scores = GOLDEN["scores"]
    found = tiny.score(
        [image(entry["image"]) for entry in scores],
        [entry["text"] for entry in scores],
        batch_size=batch_size,
    )
    for score, entry in zip(found, scores, strict=True):
        assert score.error is None
        assert score.mos == pytest.approx(entry["mos"], abs=TOLERANCES["mos_max_abs"])
        _, slope = tiny.measures[0].columns[1].line
        assert score.realness == pytest.approx(entry["realness"], abs=TOLERANCES["mos_max_abs"] * slope)


def test_verdicts_of_pictures_of_many_sizes_together(tiny):
    probes = GOLDEN["probes"]
    found = tiny.score([image(entry["image"]) for entry in probes], metrics=["real-fake"])
    for measured, entry in zip(found, probes, strict=True):
        assert measured.p_fake == pytest.approx(entry["p_fake"], abs=TOLERANCES["p_fake_max_abs"])
        unlike = pytest.approx(entry["real_fake_unlike"], abs=TOLERANCES["unlike_max_abs"])
        assert measured.real_fake_unlike == unlike
        assert measured.verdict == entry["verdict"]


@pytest.mark.parametrize("entry", entries("maps"))
def test_maps(tiny, one_pass, entry):
    config = DreamConfig(
        tuple(entry["windows_px"]), entry["stride_px"], entry["aggregate"], entry["quantity"]
    )
    engine = tiny if entry["encoder"] == "each-window" else one_pass
    found = engine.map(image(entry["image"]), entry["texts"], config).values
    expected = np.load(FOLDER / entry["values"])
    assert found.dtype == expected.dtype and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCES["map_max_abs"])


# ----------------------------------------------------------- the vectors themselves


def test_the_files_are_what_the_command_writes_now(write):
    assert write.check(FOLDER) == []


def test_the_files_are_small_and_all_named():
    files = [path for path in FOLDER.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) <= SIZE_LIMIT_BYTES
    named = {
        entry[key]
        for section in ("decoding", "preprocessing", "similarities", "scores", "probes", "maps")
        for entry in GOLDEN[section]
        for key in ("file", "rgb", "image", "pixels", "values")
        if isinstance(entry.get(key), str)
    }
    kept = {
        path.relative_to(FOLDER).as_posix()
        for kind in ("images", "maps")
        for path in (FOLDER / kind).iterdir()
    }
    assert named == kept


def test_maps_are_plain_npy_files():
    for entry in GOLDEN["maps"]:
        content = (FOLDER / entry["values"]).read_bytes()
        assert content[:8] == b"\x93NUMPY\x01\x00"
        assert b"'descr': '<f4', 'fortran_order': False" in content[:128]


def test_every_kind_of_case_is_there():
    """A text that reaches a limit, each aggregate and quantity, blank texts: the reasons for this folder."""
    lengths = {(entry["tokenizer"], len(entry["ids"])) for entry in GOLDEN["tokens"]}
    assert {("wordpiece", 128), ("wordpiece", 32), ("wordpiece", 33), ("clip", 77), ("clip", 2)} <= lengths
    assert {(entry["aggregate"], entry["quantity"]) for entry in GOLDEN["maps"]} == {
        (aggregate, quantity) for aggregate in ("mean", "max") for quantity in ("realness", "similarity")
    }
    assert any(len(entry["texts"]) > 1 and len(entry["windows_px"]) > 1 for entry in GOLDEN["maps"])
    assert {None, ""} < {entry["text"] for entry in GOLDEN["scores"]}
    assert len({entry["image"] for entry in GOLDEN["scores"]}) > 5
    assert {entry["verdict"] for entry in GOLDEN["probes"]} == {"real", "uncertain", "fake"}


def flip(values: list[Any], amount: float) -> None:
    """Change the first number of nested lists."""
    while isinstance(values[0], list):
        values = values[0]
    values[0] += amount


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "tokens[3]": lambda golden: flip(golden["tokens"][3]["ids"], 1),
    "decoding[2]": lambda golden: golden["decoding"][2].update(max_levels=9),
    "embeddings[0]": lambda golden: flip(golden["embeddings"][0]["core"], 0.5),
    "similarities[1]": lambda golden: flip(golden["similarities"][1]["values"], 2e-3),
    "scores[4]": lambda golden: golden["scores"][4].update(mos=golden["scores"][4]["mos"] + 5e-3),
    "probes[2]": lambda golden: golden["probes"][2].update(verdict="uncertain"),
    "maps[0]": lambda golden: golden["maps"][0].update(stride_px=9),
    "preprocessing: ": lambda golden: golden["preprocessing"].pop(),
    "tolerances": lambda golden: golden["tolerances"].update(map_max_abs=1),
}


@pytest.mark.parametrize("where", WRONG)
def test_a_wrong_number_is_noticed(write, tmp_path, where):
    other = shutil.copytree(FOLDER, tmp_path / "golden")
    wrong = json.loads((other / "golden.json").read_text(encoding="utf-8"))
    WRONG[where](wrong)
    (other / "golden.json").write_text(json.dumps(wrong), encoding="utf-8")
    found = list(write.differences(FOLDER, other))
    assert len(found) == 1 and where in found[0]


def test_wrong_pixels_and_maps_are_noticed(write, tmp_path):
    other = shutil.copytree(FOLDER, tmp_path / "golden")
    picture, resized, map_file, decoded = (
        other / name
        for name in (
            "images/cat.png",
            "images/cat.w0.png",
            GOLDEN["maps"][0]["values"],
            "images/rgba.rgb.png",
        )
    )
    for path, by in ((picture, 1), (resized, 2), (decoded, 1)):
        pixels = np.array(Image.open(path)).astype(int)
        pixels[0, 0, 0] += by if pixels[0, 0, 0] < 128 else -by
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    values = np.load(map_file)
    values[0, 0] = np.nan
    np.save(map_file, values)
    (other / "maps" / "stray.npy").write_bytes(b"")
    (other / "images" / "rotated.jpg").unlink()
    found = {line.split(":")[0] for line in write.differences(FOLDER, other)}
    changed = {path.relative_to(other).as_posix() for path in (picture, resized, map_file, decoded)}
    assert found == changed | {"maps/stray.npy", "images/rotated.jpg"}


def test_the_command_fails_on_a_wrong_file(write, tmp_path, capsys):
    other = shutil.copytree(FOLDER, tmp_path / "golden")
    wrong = json.loads((other / "golden.json").read_text(encoding="utf-8"))
    wrong["scores"][0]["mos"] += 0.01
    content = json.dumps(wrong)
    (other / "golden.json").write_text(content, encoding="utf-8")
    assert write.main(["--check"], other) == 1
    assert capsys.readouterr().err.startswith(
        "golden.json, scores[0], mos: differs by 0.01, more than 0.004\n"
    )
    assert (other / "golden.json").read_text(encoding="utf-8") == content
