"""`combined`: one number of several measures, by hand, and what cannot be one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundles import build_bundle, read_manifest, write_manifest
from measures import NATIVE, add_graph, add_measures, build_guests, build_words, column, measure

from realm_engine import Engine
from realm_engine.bundle.bundle import Bundle
from realm_engine.errors import BundleError, UsageError
from realm_engine.opened import Contents

SCALES = {
    "brightness": {"p5": 0.2, "p95": 0.7, "set": "pictures of a test"},
    "red": {"p5": 40.0, "p95": 200.0, "set": "others"},
    "darkness": {"p5": 3.0, "p95": 5.5, "set": "pictures of a test"},
}


def scaled(folder: Path, **scales) -> Path:
    manifest = read_manifest(folder)
    for name, scale in scales.items():
        manifest["measures"][name]["scale"] = scale
    manifest["measures"]["red"]["columns"][0]["better"] = "low"
    write_manifest(folder, manifest)
    return folder


@pytest.fixture(scope="module")
def bundle(bundle_path, tmp_path_factory) -> Path:
    return scaled(build_guests(bundle_path, tmp_path_factory.mktemp("scaled") / "scaled"), **SCALES)


@pytest.fixture(scope="module")
def engine(bundle):
    with Engine.open(bundle, device="cpu", threads=1) as opened:
        yield opened


def by_hand(brightness: float, red: float) -> float:
    """Two parts of brightness, one of red, of which low is better."""
    light = np.interp(brightness, [0.2, 0.7], [0.0, 1.0])
    return (2 * light + np.interp(red, [40, 200], [1.0, 0.0])) / 3


def test_a_weighted_mean_of_what_lies_on_scales(engine, photo) -> None:
    images = [photo(30, 40, seed) for seed in range(4)]
    images += [
        np.full((9, 7, 3), level, np.uint8) for level in (10, 90, 250)
    ]  # beyond both ends of both scales
    wanted = {"metrics": ["combined", "red", "brightness"], "combine": {"brightness": 2, "red": 1}}
    rows = engine.score(images, **wanted, batch_size=3)
    for row in rows:
        assert list(row.values) == ["combined", "red", "brightness"] and row.error is None
        assert row.combined == pytest.approx(by_hand(row.brightness, row.red), abs=1e-12)
    assert [row.combined for row in rows[4:]] == pytest.approx(
        [1 / 3, (2 * 0.305882 + 0.6875) / 3, 2 / 3], abs=1e-5
    )
    alone = [engine.score(image, **wanted)[0].combined for image in images]
    assert alone == pytest.approx([row.combined for row in rows], abs=1e-6)
    tenfold = engine.score(images, metrics=wanted["metrics"], combine={"red": 10, "brightness": 20})
    assert [row.combined for row in tenfold] == pytest.approx([row.combined for row in rows], abs=1e-12)


def test_without_a_term_there_is_no_number_and_its_name_is_said(engine) -> None:
    images = [np.zeros((9, 7, 3), np.uint8), np.full((9, 7, 3), 200, np.uint8)]
    rows = engine.score(
        images, metrics=["brightness", "darkness", "combined"], combine={"brightness": 1, "darkness": 1}
    )
    assert rows[0].combined is None and rows[0].brightness == 0 and rows[0].error.startswith("darkness: ")
    assert rows[0].error.endswith("; combined: no value without darkness")
    assert rows[1].error is None and 0 < rows[1].combined <= 1
    (missing,) = engine.score("nowhere.png", metrics=["brightness", "combined"], combine={"brightness": 1})
    assert missing.combined is None and "combined" not in missing.error


def test_terms_of_two_bundles_are_combined(bundle, tmp_path, photo) -> None:
    folder = build_bundle(tmp_path / "mine", core=False, dream=False, name="mine")
    add_graph(folder, "log_brightness")
    dim = measure(
        "graph", [column("dim", high=6.0)], graph="log_brightness", view=NATIVE, scale=SCALES["darkness"]
    )
    add_measures(folder, {"dim": dim})
    with Engine.open(bundle, device="cpu", threads=1, more=[folder]) as engine:
        (row,) = engine.score(photo(), metrics=["dim", "red", "combined"], combine={"dim": 1, "red": 3})
        chosen = engine.chosen(["dim", "red", "combined"], combine={"dim": 1, "red": 3})
    places = np.interp(row.dim, [3, 5.5], [0, 1]), np.interp(row.red, [40, 200], [1, 0])
    assert row.combined == pytest.approx((places[0] + 3 * places[1]) / 4, abs=1e-12)
    assert chosen.combined.words == (
        "dim x 1 (dim: 0 at 3, 1 at 5.5, of pictures of a test); red x 3 (red: 0 at 200, 1 at 40, of others)"
    )


@pytest.mark.parametrize(
    ("metrics", "weights", "said"),
    [
        (["combined"], None, "give weights, as in --combine brightness=1,red=1,darkness=1"),
        (["red", "combined"], {}, "give weights, as in --combine brightness=1"),
        (["combined"], {"red": 1}, "its term red is not taken; ask for it as well, --metric red,combined"),
        (["red", "combined"], {"redd": 1}, "there is no measure 'redd', only .*; did you mean 'red'?"),
        (["core", "combined"], {"core": 1}, "core has no scale in its bundle, .* what can: brightness, red, darkness"),
        (["red", "combined"], {"red": 0}, "the weight of red is 0; give a number above 0"),
        (["red", "combined"], {"red": -1.5}, "the weight of red is -1.5; give a number above 0"),
        (["red", "combined"], {"red": float("nan")}, "the weight of red is nan; give a number above 0"),
        (["red", "combined"], {"red": float("inf")}, "the weight of red is inf; give a number above 0"),
        (["red", "combined", "combined"], {"red": 1}, "measure 'combined' is asked for twice"),
        (["red", "combine"], None, "there is no measure 'combine', .*; did you mean 'combined'?"),
        (["red"], {"red": 1}, "weights are for the measure combined; ask for it as well"),
        (None, {"red": 1}, "weights are for the measure combined; ask for it as well"),
    ],
)  # fmt: skip
def test_what_cannot_be_combined_is_one_line_with_a_cure(engine, photo, metrics, weights, said) -> None:
    with pytest.raises(UsageError, match=said):
        engine.score(photo(), metrics=metrics, combine=weights)


def test_no_profile_of_an_original_and_nothing_that_ranks_nothing(
    engine, bundle_path, photo, tmp_path
) -> None:
    with pytest.raises(UsageError, match="combined has no profile 'published', only default"):
        engine.score(photo(), metrics=["red", "combined"], combine={"red": 1}, profile="published")
    folder = build_words(bundle_path, tmp_path / "words")
    with Engine.open(folder, device="cpu", threads=1) as words:
        with pytest.raises(
            UsageError, match="one may not rank by thirds, so it cannot be a term; leave it out"
        ):
            words.score(photo(), metrics=["thirds", "combined"], combine={"thirds": 1})
        with pytest.raises(UsageError, match="no measure here has a scale in its bundle"):
            words.score(photo(), metrics=["thirds", "combined"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"p5": 0.7}, "'p5' must be below 'p95'"),
        ({"p95": "high"}, "'p95' is 'high', of the wrong kind"),
        ({"set": ""}, "'set' is empty"),
        ({"p5": 1e13}, "'p5' is .*, no number within"),
    ],
)
def test_a_scale_that_is_none_is_refused(bundle_path, tmp_path, change, said) -> None:
    folder = build_guests(bundle_path, tmp_path / "wrong")
    scaled(folder, brightness={**SCALES["brightness"], **change})
    with pytest.raises(BundleError, match=said):
        Contents(Bundle.open(folder))
