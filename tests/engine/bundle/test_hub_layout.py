"""Bundles in the cache of a model hub, whose files are links into `blobs`: they open; other links out do not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hub_cache import hub_snapshot

from realm_engine import Engine
from realm_engine.bundle.bundle import EMBEDDED, Bundle
from realm_engine.errors import BundleError
from realm_engine.runtimes.devices import open_backend

LAYOUTS = [{}, {"within": "bundle"}, {"within": "a/b"}, {"shared": True}]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_a_snapshot_of_the_hub_answers_like_the_folder(bundle_path, tmp_path, photo, device, layout):
    if device == "openvino":
        pytest.importorskip("openvino")
    folder = hub_snapshot(bundle_path, tmp_path / "hub", **layout)
    with (
        Engine.open(bundle_path, device=device, threads=1) as plain,
        Engine.open(folder, device=device, threads=1) as linked,
    ):
        assert linked.score([photo()])[0].mos == plain.score([photo()])[0].mos
        np.testing.assert_array_equal(linked.map(photo(), "x").values, plain.map(photo(), "x").values)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_weights_in_another_file_are_found_through_links(tmp_path, device, layout):
    """The default's fp16 files keep their weights in the float32 files beside them."""
    if device == "openvino":
        pytest.importorskip("openvino")
    folder = hub_snapshot(EMBEDDED / "realm-tiny", tmp_path / "hub", **layout)
    path = Bundle.open(folder, verify=False).path("windows", "fp16")
    session = open_backend(device).load(path, "fp32")
    session.close()
    assert sorted(each.name for each in folder.iterdir()) == sorted(
        each.name for each in (EMBEDDED / "realm-tiny").iterdir()
    )


def relink(link: Path, target: Path) -> None:
    link.unlink()
    link.symlink_to(target)


@pytest.mark.parametrize("file", ["core.onnx", "bundle.json", "core_tokenizer.json"])
def test_a_link_to_anywhere_else_is_refused_there_too(bundle_path, tmp_path, file):
    folder = hub_snapshot(bundle_path, tmp_path / "hub")
    outside = tmp_path / "hub" / "models--other--one" / "blobs" / "secret"
    outside.parent.mkdir(parents=True)
    shutil.copy(bundle_path / file, outside)
    relink(folder / file, outside)
    with pytest.raises(BundleError, match=rf"{file}: is a link that leaves the bundle"):
        Bundle.open(folder)


def test_blobs_that_are_a_link_themselves_open_nothing(bundle_path, tmp_path):
    folder = hub_snapshot(bundle_path, tmp_path / "hub")
    blobs = folder.parents[1] / "blobs"
    blobs.rename(tmp_path / "elsewhere")
    blobs.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(BundleError, match="is a link that leaves the bundle"):
        Bundle.open(folder)


@pytest.mark.parametrize("home", ["snapshot", "models--owner--name", "models--owner--name/refs"])
def test_blobs_beside_any_other_folder_open_nothing(bundle_path, tmp_path, home):
    folder = shutil.copytree(bundle_path, tmp_path / home / "revision")
    (folder.parents[1] / "blobs").mkdir()
    blob = folder.parents[1] / "blobs" / "a"
    (folder / "core.onnx").rename(blob)
    (folder / "core.onnx").symlink_to(blob)
    with pytest.raises(BundleError, match=r"core\.onnx: is a link that leaves the bundle"):
        Bundle.open(folder)


def test_a_manifest_that_is_a_link_out_is_refused(bundle_path, tmp_path):
    folder = shutil.copytree(bundle_path, tmp_path / "bundle")
    (folder / "bundle.json").rename(tmp_path / "manifest.json")
    (folder / "bundle.json").symlink_to(tmp_path / "manifest.json")
    with pytest.raises(BundleError, match=r"bundle\.json: is a link that leaves the bundle"):
        Bundle.open(folder)
