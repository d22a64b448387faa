"""Results as columns, dicts and JSON, held against the table that `realm-engine score` writes."""

from __future__ import annotations

import csv
import io
import json

import pandas
import polars
import pyarrow
import pytest

from realm_engine import table
from realm_engine.errors import UsageError
from realm_engine.tables.rows import Measured, csv_text


@pytest.fixture
def results(engine, photo, tmp_path):
    return engine.score([photo(), tmp_path / "none.png", photo(seed=1)], ["melted", "x", None])


def test_columns_are_those_of_the_written_table(engine, results):
    columns = engine.chosen().columns
    written = csv_text(results, columns, first=True)
    found = table(results)
    assert list(found) == next(csv.reader(io.StringIO(written)))
    for row, index in zip(csv.DictReader(io.StringIO(written)), range(3), strict=True):
        assert found["filename"][index] == row["filename"]
        assert (found["description"][index] or "") == row["description"]
        for column in columns:
            value = found[column.name][index]
            assert (value is None) == (row[column.name] == "")
            if value is not None:
                assert value == pytest.approx(float(row[column.name]), abs=10**-column.decimals)


def test_data_frames_take_them(results):
    for frame in (pandas.DataFrame(table(results)), polars.DataFrame(table(results))):
        assert frame.shape[0] == 3
        assert frame["mos"].mean() == pytest.approx((results[0].mos + results[2].mos) / 2)
    assert pandas.DataFrame(table(results))["mos"].dtype == "float64"
    assert polars.DataFrame(table(results)).schema["mos"] == polars.Float64
    assert pyarrow.table(table(results)).column("mos").null_count == 1


def test_results_of_different_measures_leave_gaps():
    one = Measured("a", {"x": 1.0}, words={"verdict": "real"})
    found = table(iter([one, Measured("b", {"y": 2.0}, error="why")]))
    assert found == {
        "filename": ["a", "b"],
        "x": [1.0, None],
        "verdict": ["real", None],
        "y": [None, 2.0],
        "description": [None, None],
        "error": [None, "why"],
    }
    assert table([]) == {"filename": [], "description": [], "error": []}


def test_what_is_no_result_is_refused():
    with pytest.raises(UsageError, match="not str"):
        table(["a"])


def test_json_holds_everything_of_a_result(results):
    for row in results:
        read = json.loads(row.to_json())
        assert read == row.to_dict() and read["filename"] == row.name and read["mos"] == row.mos
    odd = Measured("\udcff.png", {"mos": None}, "Zo\u00eb", flags=("unlike",), words={"verdict": "real"})
    assert odd.to_json().isascii() and json.loads(odd.to_json()) == odd.to_dict()
    assert odd.to_dict()["flags"] == ["unlike"] and odd.to_dict()["verdict"] == "real"
