"""How sure a number is: intervals, places on a curve, flags, from a manifest of format 1.2."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import RATING, read_manifest, write_manifest
from measures import SURE, build_sure

from realm_engine import Engine
from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.columns import ByText, Curve
from realm_engine.errors import BundleError
from realm_engine.opened import Contents

TEXTS = ["the face is melted", None, "  ", "a doubled hand", None]
COLUMNS = [
    "mos",
    "realness",
    "realness_low",
    "realness_high",
    "percentile_photographs",
    "percentile_generated",
]


@pytest.fixture(scope="module")
def sure(bundle_path, tmp_path_factory) -> Path:
    return build_sure(bundle_path, tmp_path_factory.mktemp("sure") / "sure")


@pytest.fixture
def images(photo):
    dark = [photo(40, 56, seed=seed) // 4 for seed in range(4)]
    return [*dark, np.full((3, 3, 3), 250, np.uint8)]


def test_columns_follow_the_formulas(sure, images) -> None:
    with Engine.open(sure, device="cpu", threads=1) as engine:
        rows = engine.score(images, TEXTS, metrics=["core", "glare"])
    for row, text in zip(rows, TEXTS, strict=True):
        assert row.error is None and list(row.values) == [*COLUMNS, "glare"]
        described = text is not None and bool(text.strip())
        width = SURE["interval"]["with_text" if described else "image_only"]
        realness = np.clip(RATING["offset"] + RATING["slope"] * row.mos, 0, 100)
        assert row.realness == pytest.approx(realness, abs=1e-9)
        assert row.interval("realness") == (row.realness_low, row.realness_high)
        np.testing.assert_allclose(
            row.interval("realness"), np.clip([realness - width, realness + width], 0, 100), atol=1e-9
        )
        assert row.interval("mos") is None and row.interval("nothing") is None
        for name, curves in SURE["curves"].items():
            curve = curves.get("any") or curves["with_text" if described else "image_only"]
            assert row[name] == pytest.approx(np.interp(row.mos, curve["x"], curve["y"]), abs=1e-9)
    assert [row.flags for row in rows] == [()] * 4 + [("glare",)]
    assert len({row.percentile_photographs for row in rows}) > 2  # not the ends of the curve alone


def test_other_columns_are_what_they_were(bundle_path, sure, images) -> None:
    found = []
    for bundle in (bundle_path, sure):
        with Engine.open(bundle, device="cpu", threads=1) as engine:
            found.append(engine.score(images, TEXTS))
    for old, new in zip(*found, strict=True):
        assert (
            list(old.values) == ["mos", "realness"] and old.flags == () and old.interval("realness") is None
        )
        assert {name: new[name] for name in old.values} == old.values


def test_ends_are_clipped_and_bound_each_other(sure) -> None:
    columns = {column.name: column for column in Contents(Bundle.open(sure)).measures.all[0].columns}
    for mos in (-9.0, 9.0):
        low, middle, high = (columns[f"realness{end}"].value(mos) for end in ("_low", "", "_high"))
        assert 0 <= low <= middle <= high <= 100 and high - low == 16.5
    assert columns["realness_low"].decimals == columns["realness"].decimals
    assert "90%" in columns["realness_low"].meaning


@pytest.mark.parametrize("points", [1, 2, 3, 40])
def test_curve_is_numpys(points) -> None:
    rng = np.random.default_rng(points)
    x, y = np.cumsum(rng.uniform(1e-3, 1, points)), rng.normal(size=points) * 50
    curve = Curve(tuple(map(float, x)), tuple(map(float, y)))
    for at in [*rng.uniform(x[0] - 1, x[-1] + 1, 200), *x, -np.inf, np.inf]:
        assert curve.value(float(at)) == pytest.approx(np.interp(at, x, y), abs=1e-10)
    assert np.isnan(curve.value(float("nan")))


def test_text_or_none() -> None:
    assert ByText(1, 2).of(True) == 1 and ByText(1, 2).of(False) == 2


def test_a_measure_without_text_has_looked_at_pictures_alone(sure, tmp_path, images) -> None:
    manifest = read_manifest(sure)
    interval = {"share": 0.5, "with_text": 0.1, "image_only": 0.2}
    manifest["measures"]["glare"]["columns"][0]["interval"] = interval
    folder = shutil.copytree(sure, tmp_path / "sure")
    write_manifest(folder, manifest)
    with Engine.open(folder, device="cpu", threads=1) as engine:
        (row,) = engine.score(images[0], "the face is melted", metrics="glare")
    # without a line nothing is clipped, as the value itself is not
    assert row.interval("glare") == pytest.approx((row.glare - 0.2, row.glare + 0.2)) and row.glare < 0.2


def _column(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest["measures"]["core"]["columns"][1]


def _curve(**points: Any) -> Any:
    def change(manifest: dict[str, Any]) -> None:
        manifest["measures"]["core"]["more_columns"][0]["curve"]["image_only"] = points

    return change


WRONG = {
    "share": lambda m: _column(m)["interval"].update(share=1),
    "no share": lambda m: _column(m)["interval"].pop("share"),
    "half width": lambda m: _column(m)["interval"].update(image_only=0),
    "half of it": lambda m: _column(m)["interval"].pop("with_text"),
    "no object": lambda m: _column(m).update(interval=[]),
    "flag": lambda m: _column(m).update(flag_above="high"),
    "name of a bound": lambda m: m["measures"]["core"]["columns"][0].update(name="realness_low"),
    "with a line": lambda m: m["measures"]["core"]["more_columns"][0].update(line=RATING),
    "with an interval": lambda m: m["measures"]["core"]["more_columns"][0].update(interval=SURE["interval"]),
    "falls": _curve(x=[0.0, 0.0], y=[1.0, 2.0]),
    "lengths": _curve(x=[0.0, 1.0], y=[1.0]),
    "empty": _curve(x=[], y=[]),
    "no number": _curve(x=[0.0, "1"], y=[1.0, 2.0]),
    "not finite": _curve(x=[0.0, float("inf")], y=[1.0, 2.0]),
    "no list": _curve(x=0.0, y=1.0),
    "list": lambda m: m["measures"]["core"].update(more_columns={}),
    "output": lambda m: m["measures"]["core"]["more_columns"][0].update(output="nothing"),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_refused_in_one_line(bundle_path, tmp_path, change) -> None:
    folder = build_sure(bundle_path, tmp_path / "sure")
    manifest = copy.deepcopy(read_manifest(folder))
    change(manifest)
    write_manifest(folder, manifest)
    with pytest.raises(BundleError) as caught:
        Contents(Bundle.open(folder))
    assert "\n" not in str(caught.value) and "export" in str(caught.value)
