"""What `info`, `score`, `map` and `export-triton` say of licences, per part."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from bundles import read_manifest, write_manifest
from measures import add_measures

from realm_engine.bundle.bundle import Bundle
from realm_engine.errors import BundleError
from realm_engine.opened import Contents

HELD = {"licence": {"weights": "Research only", "commercial_use": False}, "training_data": "ratings"}
FREE = {
    "licence": {"weights": "Apache-2.0", "commercial_use": True, "text": "LICENSE-WEIGHTS.md"},
    "training_data": "photographs",
}


@pytest.fixture(scope="module")
def mixed(bundle_path, tmp_path_factory) -> Path:
    """Scores for research alone, maps for everybody."""
    folder = Path(shutil.copytree(bundle_path, tmp_path_factory.mktemp("mixed") / "mixed"))
    add_measures(folder, {})
    manifest = read_manifest(folder)
    manifest |= HELD
    manifest["dream"] |= FREE
    manifest["measures"]["core"] |= HELD
    for name, graph in manifest["graphs"].items():
        graph |= FREE if name in ("clip_text", "dream") else HELD
    write_manifest(folder, manifest)
    return folder


def test_info_says_each_once(cli, mixed, bundle_path):
    said = cli("info", mixed).stdout
    assert "  core  Research only (commercial use not allowed); trained on: ratings\n" in said
    free = "Apache-2.0 (commercial use allowed), LICENSE-WEIGHTS.md; trained on: photographs\n"
    assert f"  maps  {free}" in said
    assert said.count("Research only") == said.count("Apache-2.0") == 1
    whole = cli("info", bundle_path).stdout  # of format 1.0, which says it of the bundle alone
    assert "core, maps  CC0-1.0 (commercial use allowed), LICENSE-WEIGHTS.md; trained on: none\n" in whole


def test_info_as_json_says_it_of_every_graph(cli, mixed, bundle_path):
    facts = json.loads(cli("info", mixed, "--json").stdout)["bundle"]
    held = {"licence": "Research only", "commercial_use": False, "training_data": "ratings"}
    assert facts["terms"]["core"] == facts["graph_terms"]["core_text"] == held
    assert facts["terms"]["maps"] == facts["graph_terms"]["clip_text"]
    assert facts["terms"]["maps"]["text"] == "LICENSE-WEIGHTS.md"
    assert set(facts["graph_terms"]) == set(facts["graphs"])
    assert facts["licence"] == HELD["licence"]
    old = json.loads(cli("info", bundle_path, "--json").stdout)["bundle"]
    assert {each["licence"] for each in old["graph_terms"].values()} == {"CC0-1.0"}


def test_score_and_map_say_what_may_not_be_used_commercially(cli, mixed, bundle_path, pictures, tmp_path):
    line = "licence of core: Research only (commercial use not allowed); see realm-engine info"
    scored = cli("score", pictures / "d.bmp", bundle=mixed)
    assert scored.exit_code == 0 and scored.stderr.splitlines().count(line) == 1
    assert "licence" not in scored.stdout
    assert "licence" not in cli("score", pictures / "d.bmp").stderr
    mapped = ("map", pictures / "d.bmp", "--preset", "tiny", "--format", "npy", "--output", tmp_path)
    result = cli(*mapped, bundle=mixed)
    assert result.exit_code == 0 and "licence" not in result.stderr
    manifest = read_manifest(mixed)
    manifest["dream"] |= HELD
    folder = Path(shutil.copytree(mixed, tmp_path / "held"))
    write_manifest(folder, manifest)
    assert line.replace("core", "maps") in cli(*mapped, bundle=folder).stderr.splitlines()


def test_triton_s_page_says_it_of_every_graph(cli, mixed, tmp_path):
    assert cli("export-triton", mixed, "--output", tmp_path / "served").exit_code == 0
    page = (tmp_path / "served" / "README.md").read_text(encoding="utf-8")
    assert "* `test_bundle_clip_text`, `test_bundle_dream`: Apache-2.0 (commercial use allowed)\n" in page
    assert "_core`: Research only (commercial use not allowed)\n" in page


@pytest.mark.parametrize(
    "wrong", ["CC0-1.0", {"weights": "CC0-1.0"}, {"weights": 1, "commercial_use": True},
              {"weights": "x", "commercial_use": True, "text": "../x"}],
)  # fmt: skip
@pytest.mark.parametrize("place", [("dream",), ("graphs", "core")])
def test_terms_that_are_none(mixed, tmp_path, place, wrong):
    folder = Path(shutil.copytree(mixed, tmp_path / "wrong"))
    manifest: dict[str, Any] = read_manifest(folder)
    into = manifest
    for key in place:
        into = into[key]
    into["licence"] = wrong
    write_manifest(folder, manifest)
    with pytest.raises(BundleError, match=r"bundle\.json.*'licence'"):
        Contents(Bundle.open(folder))
