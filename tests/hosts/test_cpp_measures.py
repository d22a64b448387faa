"""Measures of the C++ host, read from manifests, against graphs that plain ONNX Runtime runs alone."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cpp_host
import numpy as np
import pytest
from bundles import PHRASES, build_bundle, read_manifest, write_manifest
from cpp_host import CRASHED, errors, run, table
from measured_bundles import BRIGHT, COLUMNS, CORE_COLUMNS, WORDS, expected, measured_bundle
from PIL import Image

from realm_engine import Engine
from realm_engine.errors import BundleError

release, asan = cpp_host.release, cpp_host.asan
TEXTS = {"a.png": "yes the image looks real", "b.png": None, "c.png": "somewhat unreal", "d.png": None}


@pytest.fixture
def pictures(tmp_path: Path, photo) -> Path:
    """Two pictures of one size and two of others, half of them described."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for (name, _), size, seed in zip(
        TEXTS.items(), ((40, 50), (40, 50), (70, 33), (9, 300)), range(4), strict=True
    ):
        Image.fromarray(np.roll(photo(*size), 7 * seed, axis=1) // (seed + 1)).save(folder / name)
    lines = [f"{name},{text}" for name, text in TEXTS.items() if text]
    (tmp_path / "texts.csv").write_text("\n".join(["filename,description", *lines]), encoding="utf-8")
    return folder


def rows_of(done: Any) -> dict[str, dict[str, str]]:
    assert done.returncode == 0, done.stderr
    return {Path(row["filename"]).name: row for row in table(done.stdout)}


@pytest.mark.parametrize("build", ["release", "asan"])
def test_every_kind_gives_the_numbers_of_its_graph_alone(request, tmp_path, pictures, build) -> None:
    folder = measured_bundle(tmp_path / "bundle")
    program = request.getfixturevalue(build) / "realm_host"
    arguments = [pictures, "--bundle", folder, "--descriptions", tmp_path / "texts.csv"]
    rows = rows_of(run(program, "score", *arguments, "--measure", "all"))
    assert list(rows) == list(TEXTS)
    for name, text in TEXTS.items():
        assert list(rows[name]) == ["filename", *COLUMNS, "description", "error"]
        wanted = expected(folder, np.asarray(Image.open(pictures / name)), text)
        assert rows[name]["guess"] == wanted.pop("guess")
        for column, value in wanted.items():
            decimals = {"contrast": 2, "place": 1}.get(column, 4 if column.startswith("realness") else 6)
            assert len(rows[name][column].split(".")[1]) == decimals
            limit = 0.2 if column == "place" else 1e-4 if decimals == 6 else 0.02
            assert float(rows[name][column]) == pytest.approx(value, abs=limit), (name, column)
    assert {row["guess"] for row in rows.values()} == {"made", "unsure"}
    # The first is what a score means; a head alone runs its tower without the texts, and answers the same.
    default = rows_of(run(program, "score", *arguments))
    alone = rows_of(run(program, "score", *arguments, "--measure", "judge", "--measure", "edges"))
    for name, row in rows.items():
        assert default[name] == {key: row[key] for key in ("filename", *CORE_COLUMNS, "description", "error")}
        assert list(alone[name]) == [
            "filename",
            "real",
            "unreal",
            "guess",
            "sharpness",
            "description",
            "error",
        ]
        assert alone[name]["guess"] == row["guess"]
        for column in ("real", "unreal", "sharpness"):
            assert float(alone[name][column]) == pytest.approx(float(row[column]), abs=1e-5)


def test_the_python_engine_reads_the_same_manifest(release, tmp_path, pictures) -> None:
    folder = measured_bundle(tmp_path / "bundle")
    arguments = [pictures, "--bundle", folder, "--descriptions", tmp_path / "texts.csv", "--measure", "all"]
    rows = rows_of(run(release / "realm_host", "score", *arguments))
    with Engine.open(folder, device="cpu", threads=1) as engine:
        images = [np.asarray(Image.open(pictures / name)) for name in TEXTS]
        names = [measure.name for measure in engine.measures]
        found = engine.score(images, list(TEXTS.values()), metrics=names)
    for row, measured in zip(rows.values(), found, strict=True):
        assert [*measured.values, *measured.words] == list(COLUMNS)
        assert row["guess"] == measured.guess
        for column, value in measured.values.items():
            limit = 0.2 if column == "place" else 0.02 if column.startswith("realness") else 0.005
            assert float(row[column]) == pytest.approx(value, abs=limit)
    flagged = [measured.flags for measured in found]
    assert flagged == [("brightness",) if measured.brightness > BRIGHT else () for measured in found]
    assert 0 < flagged.count(("brightness",)) < len(TEXTS)


def test_pictures_to_distrust_are_counted(release, tmp_path, pictures) -> None:
    folder = measured_bundle(tmp_path / "bundle")
    done = run(release / "realm_host", "score", pictures, "--bundle", folder, "--measure", "light")
    bright = sum(float(row["brightness"]) > BRIGHT for row in rows_of(done).values())
    said = f"{bright} of 4 images have brightness above 0.3 (what brightness means): distrust their scores"
    assert 0 < bright < 4 and said in done.stderr.splitlines()
    assert "distrust" not in run(release / "realm_host", "score", pictures, "--bundle", folder).stderr


def test_columns_are_told_with_range_and_direction(release, tmp_path) -> None:
    done = run(release / "realm_host", "measures", "--bundle", measured_bundle(tmp_path / "bundle"))
    assert done.stdout.splitlines()[0] == "core: mos, -3 to 2, high = better: what mos means"
    assert "judge: unreal, 0 to 1, low = better: what unreal means" in done.stdout
    assert "judge: guess, made, unsure, taken: what guess means" in done.stdout
    assert len(done.stdout.splitlines()) == len(COLUMNS)


def test_unknown_kinds_are_left_out_and_named_when_asked_for(release, tmp_path, pictures) -> None:
    arguments = [pictures, "--bundle", measured_bundle(tmp_path / "bundle"), "--measure"]
    for name, why in {
        "scenes": "measure scenes is of a kind that this host does not support ('statistics')",
        "tiled": "measure tiled looks through a view of the kind 'tiles', that this host does not support",
        "beauty": "measure beauty is not in this bundle; it has core, light, edges, judge",
    }.items():
        done = run(release / "realm_host", "score", *arguments, name)
        assert (done.returncode, done.stdout, errors(done.stderr)) == (2, "", [f"error: {why}"])


def test_an_answer_that_is_no_number_or_word_empties_its_own_cells(release, tmp_path, pictures) -> None:
    folder = measured_bundle(tmp_path / "bundle", broken=True)
    done = run(release / "realm_host", "score", pictures, "--bundle", folder, "--measure", "all")
    assert done.returncode == 1
    for row in table(done.stdout):
        lost, mute = row["error"].split("; ")
        assert row["loss"] == ""
        assert lost == "measure lost: the model's answer is not a number (value of graph broken)"
        assert row["silence"] == "" and 0 < float(row["doubt"]) < 1
        assert mute.startswith("measure mute: the model's answer is 0.")
        assert mute.endswith(" (place of graph mute), far outside what silence can be")
        assert row["guess"] in WORDS
        assert all(math.isfinite(float(row[column])) for column in COLUMNS if column != "guess")


def test_measures_without_core_and_dream(release, tmp_path, pictures) -> None:
    folder = measured_bundle(tmp_path / "bundle", core=False)
    rows = rows_of(run(release / "realm_host", "score", pictures, "--bundle", folder))
    assert list(rows["a.png"]) == ["filename", "brightness", "contrast", "description", "error"]
    refused = run(release / "realm_host", "map", pictures, "--bundle", folder, "--output", tmp_path / "maps")
    assert refused.returncode == 2 and "this bundle has no DREAM and cannot map" in refused.stderr


def test_a_bundle_of_format_1_0_has_the_measure_core(release, bundle_path, pictures) -> None:
    done = run(release / "realm_host", "measures", "--bundle", bundle_path)
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == ["core: mos", "core: realness"]
    named = rows_of(
        run(release / "realm_host", "score", pictures, "--bundle", bundle_path, "--measure", "core")
    )
    assert named == rows_of(run(release / "realm_host", "score", pictures, "--bundle", bundle_path))


def _at(*keys: str, value: Any) -> Any:
    def change(manifest: dict[str, Any]) -> None:
        for key in keys[:-1]:
            manifest = manifest[int(key) if isinstance(manifest, list) else key]
        manifest[int(keys[-1]) if isinstance(manifest, list) else keys[-1]] = value

    return change


COLUMN = ("measures", "light", "columns", "0")
PLACE = ("measures", "core", "more_columns", "0", "curve", "image_only")
GUESS = ("measures", "judge", "word_columns", "0")
INTERVAL = ("measures", "core", "columns", "1", "interval")
WRONG = {
    "no object": _at("measures", value=[]),
    "kind": _at("measures", "light", "kind", value=7),
    "no column": _at("measures", "light", "columns", value=[]),
    "column name": _at(*COLUMN, "name", value="error"),
    "same name": _at(*COLUMN, "name", value="mos"),
    "no output": _at(*COLUMN, "output", value="gone"),
    "low above high": _at(*COLUMN, "low", value=2),
    "better": _at(*COLUMN, "better", value="up"),
    "line": _at(*COLUMN, "line", value=3),
    "decimals": _at(*COLUMN, "decimals", value=400),
    "flag": _at(*COLUMN, "flag_above", value="high"),
    "no curve": _at(*COLUMN, "curve", value=3),
    "curve and line": _at(*COLUMN, "curve", value={"any": {"x": [0], "y": [0]}}),
    "curve falls": _at(*PLACE, "x", value=[0, 0]),
    "curve of texts": _at(*PLACE, "x", value=[0, "1"]),
    "curve without points": _at(*PLACE, "x", value=[]),
    "points without y": _at(*PLACE, "x", value=[1, 2, 3, 4, 5]),
    "curve for one": _at(*PLACE[:-1], value={"image_only": {"x": [0], "y": [0]}}),
    "more columns": _at("measures", "core", "more_columns", value=7),
    "share": _at(*INTERVAL, "share", value=1),
    "width": _at(*INTERVAL, "with_text", value=-1),
    "bound named twice": _at(*COLUMN, "name", value="realness_low"),
    "no words": _at(*GUESS, "words", value=7),
    "a word": _at(*GUESS, "words", value=["made"]),
    "words twice": _at(*GUESS, "words", value=["made", "made"]),
    "word of numbers": _at(*GUESS, "words", value=["made", 1]),
    "word with a comma": _at(*GUESS, "words", value=["made", "made, up"]),
    "word column named twice": _at(*GUESS, "name", value="mos"),
    "word of no output": _at(*GUESS, "output", value="gone"),
    "word columns": _at("measures", "judge", "word_columns", value={}),
    "fitted on nothing": _at("measures", "judge", "fitted_on", value="core"),
    "no graph": _at("measures", "light", "graph", value="gone"),
    "graph of another": _at("measures", "light", "graph", value="judge"),
    "huge view": _at("measures", "light", "view", "height_px", value=10**9),
    "no tower": _at("measures", "judge", "tower", value="gone"),
    "features": _at("towers", "core", "output", value="gone"),
    "head that looks": _at("measures", "judge", "graph", value="light"),
    "licence": _at("measures", "light", "licence", value="free"),
    "path": _at("graphs", "light", "variants", "fp32", value="../light.onnx"),
    "unlisted": _at("graphs", "light", "variants", "fp32", value="other.onnx"),
    "no such core": _at("graphs", "core_text", value={"variants": {}}),
    "features of another shape": _at("towers", "core", "output", value="mos"),
    "number of another shape": _at("measures", "core", "columns", "0", "output", value="pooled"),
    "view of another size": _at("measures", "light", "view", "height_px", value=21),
    "native for whole": _at("measures", "light", "view", value={"kind": "native"}),
    "most": _at("maps", value={"regions": {"most": 0}}),
    "percentile": _at("maps", value={"phrases": {"percentile": 101}}),
    "margin": _at("maps", value={"phrases": {"margin_z": "wide"}}),
}


def _features_as_a_number(manifest: dict[str, Any]) -> None:
    """The head that reads the features comes first, then a column that takes them for its number."""
    measures = manifest["measures"]
    measures["core"]["columns"][0]["output"] = "pooled"
    manifest["measures"] = {"judge": measures["judge"], "core": measures["core"]}


WRONG["features as a number"] = _features_as_a_number


def test_wrong_measures_are_one_line(asan, tmp_path, pictures) -> None:
    folder = measured_bundle(tmp_path / "bundle")
    sound = json.dumps(read_manifest(folder))
    for name, change in WRONG.items():
        manifest = json.loads(sound)
        change(manifest)
        (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
        done = run(asan / "realm_host", "score", pictures / "a.png", "--bundle", folder, "--measure", "all")
        assert done.returncode in (1, 2) and done.returncode != CRASHED, (name, done.stderr)
        said = [row["error"] for row in table(done.stdout)] if done.returncode == 1 else errors(done.stderr)
        assert len(said) == 1 and "\n" not in said[0] and len(said[0]) > 20, (name, said)


def test_a_head_of_another_tower_alone_is_left_out_in_the_python_engines_words(
    release, tmp_path, pictures
) -> None:
    folder = measured_bundle(tmp_path / "bundle")
    manifest = read_manifest(folder)
    arguments = ["score", pictures / "a.png", "--bundle", folder, "--measure", "judge"]
    told = []
    for sha256 in (manifest["files"]["core.onnx"]["sha256"], "0123" + 60 * "f"):
        manifest["measures"]["judge"]["fitted_on"] = {"core": sha256}
        write_manifest(folder, manifest)
        told.append(run(release / "realm_host", *arguments))
    assert told[0].returncode == 0, told[0].stderr
    with Engine.open(folder) as engine, pytest.raises(BundleError) as refused:
        assert "judge" not in [measure.name for measure in engine.measures]
        engine.score([pictures / "a.png"], metrics="judge")
    why = str(refused.value).split("it ", 1)[1]
    assert why.startswith("was fitted on another core graph (0123...); ")
    assert (told[1].returncode, errors(told[1].stderr)) == (2, [f"error: measure judge {why}"])
    others = run(release / "realm_host", *arguments[:-1], "all")
    assert others.returncode == 0 and "mos" in table(others.stdout)[0] and "p_fake" not in others.stdout
    listed = run(release / "realm_host", "measures", "--bundle", folder)
    assert listed.returncode == 0 and f"left out: judge {why}" in listed.stderr


def test_policy_of_maps_stands_in_the_manifest(release, tmp_path, photo) -> None:
    folder = build_bundle(tmp_path / "bundle")
    Image.fromarray(photo(96, 128)).save(tmp_path / "image.png")

    def mapped(maps: dict[str, Any] | None) -> dict[str, Any]:
        manifest = read_manifest(folder)
        manifest.pop("maps", None)
        write_manifest(folder, manifest if maps is None else manifest | {"maps": maps})
        arguments = [tmp_path / "image.png", "--bundle", folder, "--preset", "tiny", "--output", tmp_path]
        done = run(release / "realm_host", "map", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / "image.json").read_text(encoding="utf-8"))

    usual = mapped(None)
    defaults = {
        "phrases": {"most": 3, "margin_z": 1.0, "percentile": 95.0},
        "regions": {"below_std": 1.0, "least_window_areas": 0.25, "most": 5},
    }
    assert mapped(defaults) == mapped({}) == usual
    every = mapped({"phrases": {"most": len(PHRASES), "margin_z": 1e6}})
    assert len(every["phrases"]) == len(PHRASES) > len(usual["phrases"])
    scores = [phrase["z_score"] for phrase in every["phrases"]]
    assert scores == sorted(scores, reverse=True)
    assert [phrase["text"] for phrase in mapped({"phrases": {"most": 1}})["phrases"]] == [every["texts"][0]]
    lower = mapped({"phrases": {"most": len(PHRASES), "margin_z": 1e6, "percentile": 5.0}})
    assert max(phrase["z_score"] for phrase in lower["phrases"]) < min(scores)
    few = mapped({"regions": {"most": 1}})
    assert few["regions"] == usual["regions"][:1] and len(usual["regions"]) > 1
    deep = mapped({"regions": {"below_std": 2.0, "least_window_areas": 0.0}})
    areas = [sum(region["area_px"] for region in each["regions"]) for each in (deep, usual)]
    assert areas[0] < areas[1]
    large = mapped({"regions": {"least_window_areas": 4.0}})
    assert all(region["area_px"] >= 4 * 16 * 16 for region in large["regions"])
    assert len(large["regions"]) < len(usual["regions"])
