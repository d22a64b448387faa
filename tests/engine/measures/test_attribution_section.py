"""The "map" of a head in the manifest: what is refused, and a graph whose parts are not the whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest
from attributed_bundle import BIAS, CENTRE, NAME, STAGES, WEIGHTS, build_attributed
from bundles import read_manifest, write_manifest

from export.graph.linear_map import ContributionMap
from realm_engine import Engine
from realm_engine.bundle.bundle import Bundle
from realm_engine.errors import AnswerError, BundleError
from realm_engine.opened import Contents


@pytest.fixture(scope="module")
def attributed(bundle_path, tmp_path_factory) -> Path:
    return build_attributed(bundle_path, tmp_path_factory.mktemp("attributed") / "attributed")


def test_it_is_read(attributed):
    (found,) = (m.attribution for m in Contents(Bundle.open(attributed)).measures.all if m.name == NAME)
    assert found.stages == ("stage_0", "stage_1", "stage_2") and found.maps == ("map_0", "map_1", "map_2")
    assert (found.tower, found.graph, found.speaks_for) == ("small_tower", "fakeness_map", "fake")


BROKEN = [
    ({"stages": []}, "must list 1 to 64 different outputs"),
    ({"stages": ["stage_0", "stage_0"]}, "must list 1 to 64 different outputs"),
    ({"stages": [["stage_0"], 7]}, "must list 1 to 64 different outputs"),
    ({"stages": ["stage_0", "stage_1"]}, "'fakeness_map' does not take the stages"),
    ({"stages": ["stage_0", "stage_1", "stage_9"]}, "graph 'small_tower' has no output 'stage_9'"),
    ({"graph": "nothing"}, "there is no graph 'nothing'"),
    ({"graph": "fakeness"}, "graph 'fakeness' has no output 'bias'"),
    ({"graph": None}, "'graph' is None, of the wrong kind"),
    ({"speaks_for": ""}, "'speaks_for' is empty"),
    ({"speaks_for": "a" * 17}, "no word of at most 16 letters"),
    ({"speaks_for": "fake\nnews"}, "no word of at most 16 letters"),
]


def changed(source: Path, folder: Path, **fields: object) -> Path:
    shutil.copytree(source, folder)
    manifest = read_manifest(folder)
    manifest["measures"][NAME]["map"] |= fields
    write_manifest(folder, manifest)
    return folder


@pytest.mark.parametrize(("fields", "message"), BROKEN)
def test_a_wrong_section_is_refused(attributed, tmp_path, fields, message):
    folder = changed(attributed, tmp_path / "broken", **fields)
    with pytest.raises(BundleError, match=message):
        Contents(Bundle.open(folder))


def test_a_tower_that_sees_a_part_of_the_picture_has_no_map(attributed, tmp_path):
    folder = changed(attributed, tmp_path / "cut")
    manifest = read_manifest(folder)
    manifest["towers"]["small"]["view"] = {"kind": "centre-crop", "size_px": 24, "interpolation": "bilinear"}
    write_manifest(folder, manifest)
    with pytest.raises(BundleError, match="sees the whole picture"):
        Contents(Bundle.open(folder))


def test_without_a_word_it_speaks_for_the_first_column(attributed, tmp_path):
    folder = changed(attributed, tmp_path / "wordless")
    manifest = read_manifest(folder)
    del manifest["measures"][NAME]["map"]["speaks_for"]
    write_manifest(folder, manifest)
    (found,) = (m.attribution for m in Contents(Bundle.open(folder)).measures.all if m.name == NAME)
    assert found.speaks_for == "p_fake"


def test_parts_that_are_not_the_whole_are_an_error(attributed, tmp_path, photo):
    """A graph whose logit has another bias than the one that it gives."""
    folder = changed(attributed, tmp_path / "wrong")
    model = ContributionMap("fakeness_map", WEIGHTS, BIAS, STAGES, CENTRE).model()
    (output,) = (node for node in model.graph.node if node.output[0] == "bias")
    model.graph.node.append(onnx.helper.make_node("Neg", [output.input[0]], ["bias"]))
    model.graph.node.remove(output)
    onnx.save(model, folder / "fakeness_map.onnx")
    write_manifest(folder, read_manifest(folder))
    with Engine.open(folder, device="cpu", threads=1) as engine:
        with pytest.raises(AnswerError, match="graph fakeness_map: its maps and its bias add up to"):
            engine.map(photo(), metric=NAME)
        (answer,) = engine.iter_maps([photo()], metric=NAME)
        assert answer.map is None and "add up to" in answer.error
        assert engine.score([photo()], metrics=NAME)[0].error is None
