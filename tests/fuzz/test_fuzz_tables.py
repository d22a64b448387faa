"""Descriptions, tables, records and journals: read, or one line; what is written is what is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fuzzing import TEXTS, as_json, broken, mutated, result_or_line
from hypothesis import example, given
from hypothesis import strategies as st

from realm_engine.bundle.columns import Column
from realm_engine.errors import OutputError
from realm_engine.pictures.descriptions import Descriptions, read_descriptions
from realm_engine.tables.journal import ResultFile, journal_path
from realm_engine.tables.made import NAME, Made, MapsMade
from realm_engine.tables.record import record_path
from realm_engine.tables.rows import Measured, read_rows, table_parts

COLUMNS = (Column("mos", "mos", -3.0, 2.0, "high", "score"),)
RUN = {"bundle": "b", "manifest": "m", "precision": "fp32", "measures": "core"}
PICTURES = {"a.png": (12, 34), "b.png": (56, 78), "c.png": None}
ROWS = [
    Measured("a.png", {"mos": 0.5}, "a seam, and more"),
    Measured("b.png", {"mos": None}, None, "b.png: broken"),
]
DESCRIPTIONS = b'filename,description\na.png,"melted, edges"\nsub/b.png,"two\nlines"\n'


def cells() -> st.SearchStrategy[str]:
    return TEXTS.filter(lambda text: text.encode("utf-8", "ignore").decode() == text)


@given(
    content=st.binary(max_size=300) | broken(DESCRIPTIONS) | broken(DESCRIPTIONS.decode().encode("utf-16"))
)
@example(b"filename,description\n" + b'"' * 200_000)
@example(b"filename;description\r\n\xff;x\r\n")
def test_descriptions_of_any_bytes(tmp_path, content):
    path = tmp_path / "image_descriptions.csv"
    path.write_bytes(content)
    found = result_or_line(lambda: read_descriptions(path))
    for name in [] if found is None else [*found.by_name, "other.png"]:
        result_or_line(lambda name=name, found=found: found.lookup(name))


@given(st.dictionaries(TEXTS, TEXTS, max_size=5), TEXTS)
def test_any_name_is_looked_up(by_name, name):
    result_or_line(lambda: Descriptions("d.csv", by_name).lookup(name or "x"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> dict[str, Path]:
    """A finished table of every format with its record."""
    found = {}
    for suffix in (".csv", ".jsonl", ".parquet"):
        folder = tmp_path_factory.mktemp("finished")
        with ResultFile(folder / f"t{suffix}", PICTURES, RUN, COLUMNS) as table:
            for row in ROWS:
                table.write(row)
        found[suffix] = folder
    return found


def resumed(path: Path) -> None:
    """What `--resume` does with what it finds, and that what it writes then can be read again."""
    with ResultFile(path, PICTURES, RUN, COLUMNS, resume=True) as table:
        for name in PICTURES:
            if name not in table.done:
                table.write(Measured(name, {"mos": 1.0}))
    assert {row.name for row in read_rows(path, COLUMNS)} >= set(PICTURES)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@given(data=st.data())
def test_a_table_or_record_that_changed(finished, tmp_path_factory, suffix, data):
    folder = tmp_path_factory.mktemp("changed") / "t"
    shutil.copytree(finished[suffix], folder)
    path = folder / f"t{suffix}"
    record, table = record_path(path), path.read_bytes()
    if data.draw(st.booleans()):
        changed = mutated(json.loads(record.read_bytes())).map(as_json) | broken(record.read_bytes())
        record.write_bytes(data.draw(changed))
    else:
        path.write_bytes(data.draw(broken(table)))
        result_or_line(lambda: read_rows(path, COLUMNS))
    result_or_line(lambda: resumed(path))
    shutil.rmtree(folder)


@given(data=st.data())
def test_a_journal_that_changed(finished, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("journal") / "t.csv"
    with pytest.raises(KeyboardInterrupt), ResultFile(path, PICTURES, RUN, COLUMNS) as table:
        for row in ROWS:
            table.write(row)
        raise KeyboardInterrupt
    journal = journal_path(path)
    lines = journal.read_bytes().splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    changed = b"\n".join(
        [*lines[:at], data.draw(mutated(json.loads(lines[at])).map(as_json)), *lines[at + 1 :]]
    )
    journal.write_bytes(data.draw(st.just(changed + b"\n") | broken(journal.read_bytes())))
    result_or_line(lambda: resumed(path))


@given(data=st.data())
def test_a_record_of_maps_that_changed(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("maps")
    with MapsMade(folder, RUN, resume=False) as made:
        for name in PICTURES:
            made.add(name, Made((1, 2), ("a seam",), name[0]))
    lines = (folder / NAME).read_bytes().splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    changed = b"\n".join(
        [*lines[:at], data.draw(mutated(json.loads(lines[at])).map(as_json)), *lines[at + 1 :]]
    )
    (folder / NAME).write_bytes(data.draw(st.just(changed + b"\n") | broken((folder / NAME).read_bytes())))

    def go_on() -> None:
        with MapsMade(folder, RUN, resume=True) as made:
            made.add("z.png", Made((1, 2), None, "z"))
        assert "z.png" in MapsMade(folder, RUN, resume=True).earlier

    result_or_line(go_on)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@example([("a\rb.png", "two\rlines", "\r"), ("b.png", "\n", "\r\n")])  # a lone \r was not quoted
@given(rows=st.lists(st.tuples(cells(), cells(), cells()), max_size=5, unique_by=lambda row: row[0]))
def test_what_is_written_is_what_is_read(tmp_path, suffix, rows):
    path = tmp_path / f"t{suffix}"
    given_rows = [
        Measured(name, {"mos": 0.25}, text or None, error or None)
        for name, text, error in rows
        if name.strip("\r\n") == name
    ]
    path.write_bytes(b"".join(table_parts(path, given_rows, COLUMNS)))
    try:
        found = read_rows(path, COLUMNS)
    except OutputError as error:
        raise AssertionError(error) from error
    assert [(row.name, row.description, row.error) for row in found] == [
        (row.name, row.description, row.error) for row in given_rows
    ]
