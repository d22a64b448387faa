"""Manifests, tokenizers and phrase banks of strangers: a bundle, or one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from bundles import build_bundle
from fuzzing import as_json, broken, mutated, result_or_line
from hypothesis import given
from hypothesis import strategies as st

from realm_engine.bundle.bundle import EMBEDDED, MANIFEST, Bundle
from realm_engine.maps.phrases import read_bank
from realm_engine.opened import Contents

TINY = (EMBEDDED / "realm-tiny" / MANIFEST).read_bytes()
TINY_DOCUMENT = json.loads(TINY)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return build_bundle(tmp_path_factory.mktemp("small") / "test-bundle")


def looked_at(bundle: Bundle) -> Contents:
    """Everything that is read of a manifest before a graph is opened."""
    contents = Contents(bundle)
    for measure in contents.measures.all:
        assert measure.columns and measure.part.graphs
        bundle.precisions(measure.part)
    contents.terms()
    contents.text_specs()
    for device in ("cpu", "tensorrt-rtx"):
        bundle.recommended_for(device)
    return contents


def read(folder: Path, manifest: bytes) -> Contents | None:
    (folder / MANIFEST).write_bytes(manifest)
    shutil.copy(EMBEDDED / "realm-tiny" / "niqe.json", folder)  # the one file that a measure reads at once
    return result_or_line(lambda: looked_at(Bundle.read(folder)))


@given(content=mutated(TINY_DOCUMENT).map(as_json) | broken(TINY))
def test_a_changed_manifest_of_the_embedded_bundle(tmp_path, content):
    read(tmp_path, content)


def test_the_manifest_that_is_changed_is_read(tmp_path):
    contents = read(tmp_path, TINY)
    assert contents is not None and contents.maps is not None


@given(content=st.binary(max_size=200) | st.integers(1, 200_000).map(lambda deep: b"[" * deep))
def test_what_is_no_manifest_at_all(tmp_path, content):
    assert read(tmp_path, content) is None


@given(data=st.data())
def test_a_bundle_that_is_opened_whole(small, tmp_path_factory, data):
    """With its files, which are looked for where the manifest says."""
    folder = tmp_path_factory.mktemp("opened") / "test-bundle"
    shutil.copytree(small, folder)
    document = json.loads((small / MANIFEST).read_bytes())
    (folder / MANIFEST).write_bytes(data.draw(mutated(document).map(as_json)))
    result_or_line(lambda: looked_at(Bundle.open(folder)))
    shutil.rmtree(folder)


@given(data=st.data())
def test_a_changed_tokenizer_or_phrase_bank(small, tmp_path_factory, data):
    """Found by a size and checksum of its own: whoever changes one changes the manifest with it."""
    contents = Contents(Bundle.open(small))
    spec = contents.text_specs()[data.draw(st.sampled_from(sorted(contents.text_specs())))]
    path = tmp_path_factory.mktemp("file") / "file.json"
    name = data.draw(st.sampled_from([spec.tokenizer, "phrases.json"]))
    whole = (small / name).read_bytes()
    changed = mutated(json.loads(whole)).map(as_json) if len(whole) < 20_000 else st.nothing()
    path.write_bytes(data.draw(broken(whole) | changed))
    if name == "phrases.json":
        result_or_line(lambda: read_bank(path))
        return
    from realm_engine.text import Tokenizer

    result_or_line(
        lambda: Tokenizer(path.read_bytes(), str(path), spec).encode(["Yes, the hand has six fingers."])
    )
