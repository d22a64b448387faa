"""What a cross-validation says of scores: scale.json, against plain loops."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from export.errors import ExportError
from export.measures import Measure, column_entry
from export.parts.core_columns import RATING, core_columns, percentile_columns, read_scale
from realm_engine.bundle.columns import parse_columns
from realm_engine.bundle.manifest import Section
from realm_train.core.predict import Predictions
from realm_train.core.scale import LEAST_TO_RANK, SHARE, half_width, scale
from realm_train.raise_td import Row


def rows_and_predictions(count: int = 200, described: bool = True) -> tuple[list[Row], Predictions]:
    rng = np.random.default_rng(count)
    mos = rng.normal(size=count)
    rows = [
        Row(
            f"{'r' if index % 4 == 0 else 'f'}{index}.png",
            Path("x"),
            float(value),
            "words" if described else " ",
        )
        for index, value in enumerate(mos)
    ]
    with_text, image_only = mos + 0.3 * rng.normal(size=count), mos / 2 + 0.6 * rng.normal(size=count)
    return rows, Predictions(with_text.astype(np.float32), image_only.astype(np.float32))


@pytest.mark.parametrize("count", [1, 2, 9, 10, 19, 20, 101])
def test_half_width_holds_at_least_its_share(count) -> None:
    errors = np.random.default_rng(count).exponential(size=count)
    width = half_width(errors, SHARE)
    wanted = min(math.ceil((count + 1) * 0.9), count)
    assert (errors <= width + 1e-6).sum() == wanted >= min(count, 0.9 * count)


def test_scale_by_plain_loops() -> None:
    rows, found = rows_and_predictions()
    data = json.loads(json.dumps(scale(rows, found, "r*")))
    assert data["images"] == 200 and data["share"] == 0.9
    for name, predicted in (("with_text", found.text), ("image_only", found.image_only)):
        inside = [
            abs(p - row.mos) <= data["half_width"][name] + 1e-6
            for row, p in zip(rows, predicted, strict=True)
        ]
        assert 0.9 <= sum(inside) / 200 < 0.92
        for kind, letter in (("photographs", "r"), ("generated", "f")):
            curve = data["percentiles"][kind][name]
            own = [float(p) for row, p in zip(rows, predicted, strict=True) if row.filename[0] == letter]
            assert data["percentiles"][kind]["images"] == len(own)
            assert all(a < b for a, b in zip(curve["x"], curve["x"][1:], strict=False))
            assert curve["y"][0] == 0 and curve["y"][-1] == 100
            for at in np.linspace(min(own) - 0.1, max(own) + 0.1, 50):
                below = 100 * sum(p < at for p in own) / len(own)
                assert np.interp(at, curve["x"], curve["y"]) == pytest.approx(below, abs=5)


def test_what_there_is_nothing_to_say_of_is_absent() -> None:
    rows, found = rows_and_predictions(4 * (LEAST_TO_RANK - 1))
    assert set(scale(rows, found, "r*")["percentiles"]) == {"generated"}
    assert set(scale(rows, found, "*")["percentiles"]) == {"photographs"}
    equal = Predictions(np.zeros(len(rows), np.float32), found.image_only)
    assert scale(rows, equal, "*")["percentiles"] == {}
    rows, found = rows_and_predictions(described=False)  # no text anywhere: all count for both
    alone = scale(rows, Predictions(found.image_only, found.image_only), "r*")
    assert alone["half_width"]["with_text"] == alone["half_width"]["image_only"]


def test_columns_of_a_bundle_come_back_as_they_went_in(tmp_path) -> None:
    path = tmp_path / "scale.json"
    rows, found = rows_and_predictions()
    data = scale(rows, found, "r*")
    path.write_text(json.dumps(data), encoding="utf-8")
    read = read_scale(path)
    written = Measure("core", "?", core_columns(True, read, True), more=tuple(percentile_columns(read)))
    section = Section(written.manifest({}, {}), "m")
    columns = {column.name: column for column in parse_columns(section)}
    assert list(columns) == [
        *("mos", "realness", "realness_low", "realness_high", "unlike"),
        *("percentile_photographs", "percentile_generated"),
    ]
    width = RATING["slope"] * data["half_width"]["image_only"]
    assert columns["realness"].interval is not None
    assert columns["realness"].interval.half_width.image_only == pytest.approx(width, abs=1e-6)
    assert columns["realness_high"].value(0.0) == pytest.approx(RATING["offset"] + width, abs=1e-5)
    assert columns["unlike"].flags(1.001) and not columns["unlike"].flags(1.0)
    curve = data["percentiles"]["photographs"]["with_text"]
    assert columns["percentile_photographs"].value(0.3, True) == pytest.approx(
        np.interp(0.3, curve["x"], curve["y"])
    )
    # without the 0-100 scale of RAISE-TD's ratings the interval is that of the z-score
    (mos,) = core_columns(False, read, False)
    assert mos.interval is not None and mos.interval.half_width == read.half_width
    assert [column_entry(column) for column in core_columns(True, None, False)] == [
        {key: value for key, value in entry.items() if key != "interval"}
        for entry in map(column_entry, core_columns(True, read, False))
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"share": 0.9}', '{"share": 1, "half_width": {"with_text": "a"}}']
)
def test_another_file_is_refused_in_one_line(tmp_path, text) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ExportError, match=r"is no scale.json of realm-train core --cross-validate") as caught:
        read_scale(path)
    assert "\n" not in str(caught.value)
