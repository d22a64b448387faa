"""`--terms FILE`: what is read, what is refused, and what a bundle then says of each part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from own_graphs import MEAN_LEVEL, PICTURES, SIDE, parsed, saved
from repository import ROOT

from export.bundle import Photographs, export_bundle
from export.errors import ExportError
from export.manifest import BundleInfo
from export.parts.graph import OwnGraph
from export.terms import LICENCE_FILE, Terms, check_parts, read_terms, write_terms
from realm_engine.bundle.bundle import Bundle
from realm_engine.opened import Contents

FREE = {"licence": "Apache-2.0", "commercial_use": True, "training_data": "photographs"}
OTHERWISE = Terms("CC0-1.0", training_data="what was said for all")


def written(folder: Path, content: Any) -> Path:
    path = folder / "terms.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_licence_is_a_line_or_a_text_beside_the_file(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "HELD.md").write_text("\n# Research  only\n\nMore.\n", encoding="utf-8")
    held = {"licence": "texts/HELD.md", "commercial_use": False}
    found = read_terms(written(tmp_path, {"dream": FREE, "core": held}), OTHERWISE)
    assert found == {
        "dream": Terms("Apache-2.0", None, True, "photographs"),
        "core": Terms(
            "Research  only",
            (tmp_path / "texts" / "HELD.md").resolve(),
            False,
            OTHERWISE.training_data,
        ),
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "must hold a JSON object"),
        ({"core": "Apache-2.0"}, "'core': write {\"licence\": ...,"),
        ({"core": {}}, "'core': 'licence' must be its name"),
        ({"core": {**FREE, "licence": 7}}, "'licence' must be its name"),
        ({"core": {**FREE, "licence": "  "}}, "'licence' is empty"),
        ({"core": {**FREE, "licence": "NO.md"}}, "'licence' NO.md: no such file"),
        ({"core": {"licence": "Apache-2.0"}}, "'commercial_use' must be true or false"),
        ({"core": {**FREE, "commercial_use": "yes"}}, "'commercial_use' must be true or false"),
        ({"core": {**FREE, "training_data": ["a"]}}, "'training_data' must be one line"),
        ({"core": {**FREE, "license": "MIT"}}, "'license' is none of licence, commercial_use, training_data"),
    ],
)
def test_what_is_refused(tmp_path, content, words):
    with pytest.raises(ExportError) as error:
        read_terms(written(tmp_path, content), OTHERWISE)
    assert words in str(error.value) and "terms.json" in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_is_no_json_and_a_text_that_is_no_text(tmp_path):
    path = tmp_path / "terms.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ExportError, match="is not JSON"):
        read_terms(path, OTHERWISE)
    (tmp_path / "x.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ExportError, match=r"x\.md: cannot be read as UTF-8"):
        read_terms(written(tmp_path, {"core": {**FREE, "licence": "x.md"}}), OTHERWISE)


def test_a_line_that_is_too_long_for_a_path_is_a_line(tmp_path):
    line = "free for all " * 500
    found = read_terms(written(tmp_path, {"core": {**FREE, "licence": line}}), OTHERWISE)
    assert found["core"].licence == line.strip()


def test_terms_of_what_is_not_exported():
    check_parts([], ["core"])
    with pytest.raises(ExportError, match="terms of 'dreams', but what is exported is core, dream"):
        check_parts(["core", "dreams"], ["core", "dream"])


def texts(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).write_text(f"# {name}\n", encoding="utf-8")
    return [folder / name for name in names]


def test_the_bundle_s_own_licence_is_the_strictest(tmp_path):
    held, free = texts(tmp_path, "held", "free")
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    found = write_terms(
        bundle, {"core": Terms("NC", held, False, "ratings"), "dream": Terms("A", free, True, "photographs")}
    )
    assert found.whole == {
        "licence": {"weights": "NC", "commercial_use": False, "text": LICENCE_FILE},
        "training_data": "core: ratings; dream: photographs",
    }
    assert found.of["core"]["licence"] == found.whole["licence"]
    assert found.of["dream"] == {
        "licence": {"weights": "A", "commercial_use": True, "text": "LICENSE-DREAM.md"},
        "training_data": "photographs",
    }
    assert (bundle / LICENCE_FILE).read_text() == "# held\n"
    assert (bundle / "LICENSE-DREAM.md").read_text() == "# free\n" and len(list(bundle.iterdir())) == 2


def test_one_text_is_copied_once_and_several_strict_ones_are_named(tmp_path):
    one, two = texts(tmp_path, "one", "two")
    (tmp_path / "a").mkdir()
    found = write_terms(tmp_path / "a", {"core": Terms("NC", one), "dream": Terms("NC", one)})
    assert found.whole == found.of["core"] == found.of["dream"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == [LICENCE_FILE]
    (tmp_path / "b").mkdir()
    found = write_terms(
        tmp_path / "b",
        {"weights": Terms("NC", one), "dream": Terms("ND", two), "free": Terms("A", commercial_use=True)},
    )
    assert found.whole["licence"] == {"weights": "weights: NC; dream: ND", "commercial_use": False}
    # A measure may be called "weights"; its text is not taken for the bundle's.
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == [
        "LICENSE-DREAM.md",
        "LICENSE-WEIGHTS-2.md",
    ]


def test_a_bundle_of_parts_under_different_terms(tmp_path):
    path = saved(parsed(MEAN_LEVEL), tmp_path)
    parts = [OwnGraph(path, name, "high", SIDE) for name in ("held", "free")]
    (text,) = texts(tmp_path, "CC0-1.0")
    info = BundleInfo("two", terms=Terms("NC"), terms_of={"free": Terms("CC0-1.0", text, True, "none")})
    manifest = export_bundle(tmp_path / "b", info, parts, Photographs(PICTURES[:1]), report=lambda _: None)
    free = {"weights": "CC0-1.0", "commercial_use": True, "text": "LICENSE-FREE.md"}
    held = {"weights": "NC", "commercial_use": False}
    for of in (manifest["measures"], manifest["graphs"]):
        assert (of["held"]["licence"], of["free"]["licence"]) == (held, free)
        assert (of["held"]["training_data"], of["free"]["training_data"]) == ("not stated", "none")
    assert manifest["licence"] == held and "LICENSE-FREE.md" in manifest["files"]
    bundle = Bundle.open(tmp_path / "b")
    assert {name: terms.commercial_use for name, terms in bundle.terms.items()} == {
        "held": False,
        "free": True,
    }
    assert Contents(bundle).terms()["free"].text == "LICENSE-FREE.md"
    with pytest.raises(ExportError, match="terms of 'core', but what is exported is held, free"):
        export_bundle(
            tmp_path / "c", BundleInfo("c", terms_of={"core": Terms()}), parts, Photographs(PICTURES[:1])
        )
    assert not (tmp_path / "c").exists()


def test_the_recipe_s_terms():
    found = read_terms(ROOT / "recipes" / "realm-tiny.terms.json", OTHERWISE)
    assert {name: terms.commercial_use for name, terms in found.items()} == {"core": False, "dream": True}
    assert found["core"].licence == "Research and non-commercial use only"
    assert found["dream"].licence == "Apache-2.0"


def test_the_maps_licence_names_whom_it_has_to():
    import csv

    text = (ROOT / "recipes" / "LICENSE-DREAM.md").read_text(encoding="utf-8")
    with (ROOT / "recipes" / "free_photographs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert f"a list of {len(rows)}" in text
    for row in rows:
        if row["licence"].startswith("CC-BY"):
            assert row["author"] in text and row["name"] in text and row["licence"] in text
