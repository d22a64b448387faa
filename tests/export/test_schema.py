"""The manifest's schema: what it takes, and that it and the engine's reader refuse the same faults."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
from bundles import build_bundle, read_manifest
from measures import NATIVE, add_graph, add_measures
from repository import ROOT

from export.errors import ExportError
from export.manifest import FORMAT_VERSION
from export.schema import SCHEMA, check_manifest
from realm_engine.bundle.bundle import Bundle
from realm_engine.errors import BundleError
from realm_engine.opened import Contents

ABSENT = object()
MEASURE: dict[str, Any] = {
    "kind": "graph",
    "graph": "brightness",
    "view": {"kind": "whole", "height_px": 224, "width_px": 224, "interpolation": "bilinear"},
    "says": "How bright it is.",
    "columns": [
        {
            "name": "brightness",
            "output": "value",
            "line": {"offset": 0.0, "slope": 100.0},
            "low": 0.0,
            "high": 100,
            "better": "high",
            "decimals": 2,
            "tolerance": 0.5,
            "meaning": "mean of all pixels",
        }
    ],
    "licence": {"weights": "CC0-1.0", "commercial_use": True},
    "training_data": "none",
    "metrics": {},
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return build_bundle(tmp_path_factory.mktemp("bundle") / "test-bundle", fp16=True)


@pytest.fixture
def manifest(bundle) -> dict[str, Any]:
    return read_manifest(bundle)


def changed(manifest: dict[str, Any], keys: tuple[Any, ...], value: Any) -> dict[str, Any]:
    result = copy.deepcopy(manifest)
    place = result
    for key in keys[:-1]:
        place = place[key]
    if value is ABSENT:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    return result


def test_it_is_a_schema_of_its_draft():
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    fastjsonschema.compile(schema)
    used = {
        line.split("#/definitions/")[1].split('"')[0]
        for line in SCHEMA.read_text().splitlines()
        if "$ref" in line
    }
    assert used == set(schema["definitions"])


def test_the_embedded_default_and_the_tests_bundles_are_valid(manifest, tmp_path):
    check_manifest(
        json.loads((ROOT / "realm_engine/bundles/realm-tiny/bundle.json").read_text(encoding="utf-8"))
    )
    check_manifest(manifest)
    for part in ("core", "dream"):
        check_manifest(
            read_manifest(build_bundle(tmp_path / part, core=part == "core", dream=part == "dream"))
        )


def test_the_examples_of_the_documentation_are_valid(manifest):
    blocks = (ROOT / "docs" / "bundle.md").read_text(encoding="utf-8").split("```jsonc\n")[1:]
    examples = [json.loads(_without_comments(block.split("```")[0])) for block in blocks]
    whole, more, *_ = examples
    assert whole["format_version"] == FORMAT_VERSION and {"measures", "towers", "maps"} <= more.keys()
    check_manifest({**manifest, **more})
    check_manifest({**whole, **more, "files": {}})


def _without_comments(text: str) -> str:
    body = "\n".join(line.split("// ")[0] for line in text.splitlines()).strip()
    return body if body.startswith("{") else f"{{{body}}}"


BROKEN: list[tuple[tuple[Any, ...], Any]] = [
    (("format",), "zip"),
    (("format",), ABSENT),
    (("format_version",), "2.0"),
    (("format_version",), "0.9"),
    (("format_version",), "next"),
    (("format_version",), 1),
    (("format_version",), ABSENT),
    (("name",), ABSENT),
    (("name",), 7),
    (("files",), ABSENT),
    (("files",), []),
    (("files", "core.onnx", "size_bytes"), True),
    (("files", "core.onnx", "size_bytes"), -1),
    (("files", "core.onnx", "sha256"), ABSENT),
    (("files", "core.onnx", "sha256"), "0"),
    (("graphs",), []),
    (("graphs",), {}),
    (("graphs",), ABSENT),
    (("graphs", "core", "variants"), {}),
    (("graphs", "core", "variants"), ABSENT),
    (("graphs", "dream", "inputs"), ABSENT),
    (("graphs", "dream", "outputs"), {}),
    (("graphs", "dream", "inputs", 0, "name"), ABSENT),
    (("graphs", "dream", "inputs", 0, "dtype"), 1),
    (("graphs", "dream", "inputs", 0, "shape"), 3),
    (("core",), ABSENT),
    (("dream",), ABSENT),
    (("core", "image"), ABSENT),
    (("core", "image", "height_px"), "384"),
    (("core", "image", "height_px"), 0),
    (("core", "image", "width_px"), 10**9),
    (("core", "image", "height_px"), 1.5),
    (("core", "image", "interpolation"), "nearest"),
    (("core", "missing_text"), None),
    (("core", "missing_text"), "guess"),
    (("core", "rating"), ABSENT),
    (("core", "rating", "slope"), "17"),
    (("core", "text", "tokenizer"), "../tokenizer.json"),
    (("core", "text", "max_tokens"), 10**15),
    (("core", "text", "max_tokens"), True),
    (("core", "text", "pad_id"), -1),
    (("core", "text", "pad_id"), 10**40),
    (("core", "text", "fixed_length"), 1),
    (("core", "text", "buckets"), []),
    (("core", "text", "buckets"), [0, 32]),
    (("dream", "image_size_px"), 10**9),
    (("dream", "interpolation"), ABSENT),
    (("dream", "presets"), {}),
    (("dream", "presets", "paper", "windows_px"), []),
    (("dream", "presets", "paper", "windows_px"), [64, -1]),
    (("dream", "presets", "paper", "stride_px"), 0),
    (("dream", "presets", "paper", "aggregate"), "median"),
    (("dream", "recommended_preset"), ABSENT),
    (("dream", "phrases"), "/phrases.json"),
    (("dream", "photographs"), 3),
    (("dream", "photographs"), {"windows_px": [64]}),
    (("dream", "photographs"), {"windows_px": [], "encoder": "each-window"}),
    (("dream", "photographs"), {"windows_px": [64], "encoder": "two-pass"}),
    (("dream", "presets", "paper", "stands_out"), []),
    (("dream", "presets", "paper", "stands_out"), {"text": 0}),
    (("dream", "presets", "paper", "stands_out"), {"phrases": "4"}),
    *(
        (("graphs", "core", "variants", "fp32"), path)
        for path in (
            "../core.onnx",
            "/etc/hostname",
            "a/../../b",
            "..\\core.onnx",
            "C:/core.onnx",
            "",
            "a\0b",
            3,
        )
    ),
]


@pytest.mark.parametrize(("keys", "value"), BROKEN)
def test_a_fault_is_refused_by_both(bundle, manifest, tmp_path, keys, value):
    broken = changed(manifest, keys, value)
    with pytest.raises(ExportError, match=r"^bundle\.json: ") as error:
        check_manifest(broken)
    assert "\n" not in str(error.value).replace("\0", "")
    for file in bundle.iterdir():
        if file.name != "bundle.json":
            (tmp_path / file.name).hardlink_to(file)
    (tmp_path / "bundle.json").write_text(json.dumps(broken), encoding="utf-8")
    with pytest.raises(BundleError):
        Contents(Bundle.open(tmp_path))


def test_a_path_that_leaves_the_folder_among_the_files(bundle, manifest):
    for path in ("../core.onnx", "/core.onnx", "c:core.onnx", "a/.."):
        entry = {"sha256": "0" * 64, "size_bytes": 1}
        with pytest.raises(ExportError):
            check_manifest(changed(manifest, ("files", path), entry))
    for path in ("a/b.onnx", "..a/b..", "a b.onnx", "ä.onnx", "..."):
        check_manifest(changed(manifest, ("files", path), entry))


FAULTY_MEASURES: list[tuple[tuple[Any, ...], Any]] = [
    *(((key,), ABSENT) for key in MEASURE),
    (("columns",), []),
    *((("columns", 0, key), ABSENT) for key in ("name", "output", "low", "high", "better", "meaning")),
    *((("columns", 0, "name"), name) for name in ("filename", "description", "error", "")),
    (("columns", 0, "better"), "big"),
    (("columns", 0, "low"), "0"),
    (("columns", 0, "decimals"), -1),
    (("columns", 0, "tolerance"), 0),
    (("columns", 0, "line"), {"offset": 1.0}),
    (("licence", "weights"), ABSENT),
    (("licence", "commercial_use"), "yes"),
    (("says",), ""),
    (("view", "kind"), ABSENT),
    (("view", "height_px"), ABSENT),
    (("view", "width_px"), 1 << 15),
    (("view", "interpolation"), "nearest"),
    (("kind",), "head"),  # without a tower
    (("metrics",), []),
]


@pytest.mark.parametrize(("keys", "value"), FAULTY_MEASURES)
def test_a_faulty_measure_is_refused_by_both(bundle, manifest, tmp_path, keys, value):
    check_manifest({**manifest, "measures": {"brightness": MEASURE}})
    broken = changed(MEASURE, keys, value)
    with pytest.raises(ExportError):
        check_manifest({**manifest, "measures": {"brightness": broken}})
    folder = tmp_path / "b"
    folder.mkdir()
    for file in bundle.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    add_graph(folder, "brightness")
    add_measures(folder, {"brightness": {**MEASURE, "view": NATIVE}})
    assert len(Contents(Bundle.open(folder)).measures.all) == 2
    add_measures(folder, {"brightness": broken})
    with pytest.raises(BundleError):
        Contents(Bundle.open(folder))


@pytest.mark.parametrize("name", ["Brightness", "", "1st", "a_b", "a b"])
def test_names_that_are_no_measure_s(manifest, name):
    with pytest.raises(ExportError):
        check_manifest({**manifest, "measures": {name: MEASURE}})


def test_measures_alone_are_a_bundle(manifest):
    alone = {key: value for key, value in manifest.items() if key not in ("core", "dream")}
    alone["graphs"] = {"brightness": manifest["graphs"]["core"]}
    check_manifest({**alone, "measures": {"brightness": MEASURE}})
    for without in ({}, {"measures": {}}):
        with pytest.raises(ExportError):
            check_manifest({**alone, **without})


def test_what_a_minor_version_may_add_is_taken(manifest):
    later = changed(MEASURE, ("kind",), "levels")
    del later["graph"], later["view"]
    seen = changed(MEASURE, ("view",), {"kind": "patches", "stride_px": 48})
    more = {
        "measures": {"words": later, "low-level": seen},
        "news": [1],
        "maps": {"phrases": {"most": 2}, "x": 1},
    }
    check_manifest({**changed(manifest, ("core", "tint"), "blue"), **more, "format_version": "1.7"})


@pytest.mark.parametrize(
    ("maps", "fine"),
    [
        ({"phrases": {"most": 3, "margin_z": 1.0, "percentile": 95.0}}, True),
        ({"phrases": {"percentile": 101}}, False),
        ({"phrases": {"most": 0}}, False),
        ({"regions": {"most": 5, "least_window_areas": -1}}, False),
        ([], False),
    ],
)
def test_policy_of_maps(manifest, maps, fine):
    if fine:
        check_manifest({**manifest, "maps": maps})
        return
    with pytest.raises(ExportError):
        check_manifest({**manifest, "maps": maps})
