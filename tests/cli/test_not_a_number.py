"""Graphs that answer NaN or infinity: an error that names graph and picture, never a map or a score."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from bundles import read_manifest, write_manifest
from onnx import numpy_helper
from PIL import Image

from realm_engine import Engine
from realm_engine.errors import AnswerError


def poisoned(source: Path, folder: Path, graph: str, weight: str, value: float) -> Path:
    """A copy of a bundle in which one weight of one graph is not a number."""
    shutil.copytree(source, folder)
    path = folder / f"{graph}.onnx"
    model = onnx.load(path)
    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == weight)
    array = numpy_helper.to_array(tensor).copy()
    array.flat[0] = value
    tensor.CopyFrom(numpy_helper.from_array(array, weight))
    onnx.save(model, path)
    write_manifest(folder, read_manifest(folder))
    return folder


def blind_to_black(source: Path, folder: Path) -> Path:
    """A copy of a bundle whose CORE answers NaN for a picture that is black all over, and only there."""
    shutil.copytree(source, folder)
    model = onnx.load(folder / "core.onnx")
    for node in model.graph.node:
        node.output[:] = ["mos_before" if name == "mos" else name for name in node.output]
    model.graph.node.extend(
        [
            onnx.helper.make_node("ReduceMean", ["unit"], ["brightness"], axes=[1, 2, 3], keepdims=0),
            onnx.helper.make_node("Log", ["brightness"], ["logarithm"]),  # -inf where it is black
            onnx.helper.make_node("Mul", ["logarithm", "nothing"], ["nan_or_zero"]),
            onnx.helper.make_node("Add", ["mos_before", "nan_or_zero"], ["mos"]),
        ]
    )
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.0), "nothing"))
    onnx.save(model, folder / "core.onnx")
    write_manifest(folder, read_manifest(folder))
    return folder


@pytest.fixture(
    params=[("dream", "dream_conv", np.nan), ("clip_text", "clip_table", np.inf)], ids=lambda p: p[0]
)
def bad_maps(request, bundle_path: Path, tmp_path: Path) -> tuple[str, Path]:
    graph, weight, value = request.param
    if graph == "clip_text":
        folder = poisoned(bundle_path, tmp_path / "bad", graph, weight, value)
        # every row of the table, so that any text meets it
        model = onnx.load(folder / "clip_text.onnx")
        (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == weight)
        tensor.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(tensor), value), weight))
        onnx.save(model, folder / "clip_text.onnx")
        write_manifest(folder, read_manifest(folder))
        return graph, folder
    return graph, poisoned(bundle_path, tmp_path / "bad", graph, weight, value)


@pytest.mark.parametrize("preset", ["released", "fast"])
def test_a_map_that_is_not_a_number_is_an_error(cli, bad_maps, pictures, tmp_path, preset) -> None:
    graph, bundle = bad_maps
    out = tmp_path / "maps"
    options = ["--text", "the face is melted", "--preset", preset, "--output", out]
    result = cli("map", pictures, *options, bundle=bundle)
    assert result.exit_code == 1 and "0 of 4 maps" in result.stderr
    assert not list(out.rglob("*.json")) and not list(out.rglob("*.npy"))
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    for name in ("a.png", "b.jpg", "d.bmp", "sub/c.webp"):
        assert any(line.startswith(f"error: {name}: graph {graph}: ") for line in errors), errors
    assert all("NaN or infinite" in line for line in errors) and len(errors) == 4


def test_the_library_names_graph_and_picture(bad_maps, pictures) -> None:
    graph, bundle = bad_maps
    with Engine.open(bundle, device="cpu", threads=1) as engine:
        with pytest.raises(AnswerError, match=rf"a\.png: graph {graph}: \d+ of \d+ values of "):
            engine.map(pictures / "a.png", "the face is melted")
        with pytest.raises(AnswerError, match=rf"^graph {graph}: "):
            engine.map(np.zeros((64, 64, 3), np.uint8), "the face is melted")
        (found,) = engine.iter_maps([pictures / "a.png"], "the face is melted")
        assert found.map is None and f"graph {graph}: " in str(found.error)


def test_one_score_that_is_not_a_number_leaves_the_others(cli, bundle_path, pictures, tmp_path) -> None:
    bundle = blind_to_black(bundle_path, tmp_path / "blind")
    Image.fromarray(np.zeros((72, 96, 3), np.uint8)).save(pictures / "black.png")
    result = cli("score", pictures, "--no-descriptions", bundle=bundle)
    assert result.exit_code == 1
    rows = {row["filename"]: row for row in csv.DictReader(io.StringIO(result.stdout))}
    assert rows["black.png"]["mos"] == rows["black.png"]["realness"] == ""
    assert rows["black.png"]["error"].startswith("core: graph core: 1 of 1 values of mos are NaN or infinite")
    expected = {
        row["filename"]: row
        for row in csv.DictReader(io.StringIO(cli("score", pictures, "--no-descriptions").stdout))
    }
    for name in ("a.png", "b.jpg", "d.bmp", "sub/c.webp"):
        assert rows[name]["error"] == ""
        assert float(rows[name]["mos"]) == pytest.approx(float(expected[name]["mos"]), abs=1e-5)


def test_records_are_json(cli, pictures, tmp_path) -> None:
    def refuse(word: str) -> Callable[[str], None]:
        raise AssertionError(word)

    cli("map", pictures / "a.png", "--text", "x", "--output", tmp_path)
    json.loads((tmp_path / "a.json").read_text(encoding="utf-8"), parse_constant=refuse)
