"""`python -m export --into BUNDLE --scales FILE`: measures that can be combined, every file as it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bundles import read_manifest
from command_line import run_export
from measures import build_guests, build_words

from export.errors import ExportError
from export.manifest import FORMAT_VERSION
from export.scales import add_scales
from realm_engine import Engine
from realm_engine.errors import BundleError
from recipes.measure_scales import scale, scales

RED = {"p5": 40.0, "p95": 200.0, "set": "pictures of a test"}


@pytest.fixture(scope="module")
def guests(bundle_path, tmp_path_factory) -> Path:
    return build_guests(bundle_path, tmp_path_factory.mktemp("guests") / "guests")


def test_the_command_writes_what_can_be_combined(guests, tmp_path, photo) -> None:
    (tmp_path / "scales.json").write_text(json.dumps({"red": RED}))
    run = run_export("--into", guests, "--scales", tmp_path / "scales.json", "--output", tmp_path / "new")
    assert run.returncode == 0, run.stderr
    before, after = read_manifest(guests), read_manifest(tmp_path / "new")
    assert after["measures"]["red"] == {**before["measures"]["red"], "scale": RED}
    assert after["format_version"] == FORMAT_VERSION
    changed = {key for key in after if after[key] != before.get(key)}
    assert changed == {"measures", "format_version"}  # the checksums of all files among what is the same
    for file in before["files"]:
        assert (tmp_path / "new" / file).read_bytes() == (guests / file).read_bytes()
    with Engine.open(tmp_path / "new", device="cpu", threads=1) as engine:
        (row,) = engine.score(photo(), metrics=["red", "combined"], combine={"red": 1})
    assert row.combined == pytest.approx((row.red - 40) / 160)


def test_the_percentiles_of_a_recipe_are_numpys(guests, photo, tmp_path) -> None:
    values = np.random.default_rng(1).normal(size=510)
    ordered = np.sort(values)
    # Of 510 the 5th percentile lies at 0.05 * 509 = 25.45, between neighbours linearly.
    wanted = ordered[25] + 0.45 * (ordered[26] - ordered[25])
    assert scale(values, "some") == {
        "p5": pytest.approx(wanted, abs=1e-6),
        "p95": scale(-values, "")["p5"] * -1,
        "set": "some",
    }
    with Engine.open(guests, device="cpu", threads=1) as engine:
        images = [photo(20, 30, seed) for seed in range(5)]
        found = scales(engine, images, ["core", "red"])
        red = [row.red for row in engine.score(images, metrics="red")]
        mos = [row.mos for row in engine.score(images)]
    assert found["red"]["p5"] == pytest.approx(np.percentile(red, 5), abs=1e-5)
    assert found["core"]["p95"] == pytest.approx(np.percentile(mos, 95), abs=1e-5)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"taste": RED}, ExportError, "lists no measure 'taste', only core, brightness"),
        ({"red": {"p5": 2.0, "p95": 1.0, "set": "x"}}, BundleError, "'p5' must be below 'p95'"),
        ({"red": {"p5": 2.0, "set": "x"}}, ExportError, "must contain .*p95"),
    ],
)
def test_what_is_no_scale_leaves_no_bundle(guests, tmp_path, given, error, said) -> None:
    with pytest.raises(error, match=said):
        add_scales(guests, tmp_path / "new", given, report=lambda _: None)
    assert not (tmp_path / "new").exists() and list(tmp_path.iterdir()) == []


def test_what_ranks_nothing_gets_no_scale(bundle_path, tmp_path) -> None:
    words = build_words(bundle_path, tmp_path / "words")
    with pytest.raises(ExportError, match="one may not rank by thirds, so it cannot be combined"):
        add_scales(words, tmp_path / "new", {"thirds": RED}, report=lambda _: None)


def test_options_that_do_not_go_together_are_one_line(guests, tmp_path) -> None:
    (tmp_path / "scales.json").write_text("{}")
    for given, said in (
        (("--scales", tmp_path / "scales.json"), "--scales without --into; name the bundle that it goes into"),
        (("--into", guests, "--niqe", "--scales", tmp_path / "scales.json"), "--scales is none of --niqe"),
        (("--into", guests), "--real-fake, --scales; say what to add"),
    ):  # fmt: skip
        run = run_export(*given, "--output", tmp_path / "new")
        assert run.returncode == 2 and said in run.stderr, run.stderr
