"""Score tables: content, atomicity, resuming, and refusals before work."""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from repository import SUPPORT
from rows import COLUMNS, NUMBERS, row

import realm_engine
from realm_engine.errors import OutputError, UsageError
from realm_engine.tables.journal import ResultFile, check_output, journal_path
from realm_engine.tables.record import Picture, picture_of, record_path
from realm_engine.tables.rows import Measured, read_rows, rounded
from realm_engine.tables.through import ResultStream

RUN = {"bundle": "b", "precision": "fp32"}
OLD, NEW = (1000, 1_700_000_000_123_456_789), (1000, 1_700_000_000_123_456_790)
ROWS = [
    row("a.png", -1.23456789, 42.6001, 'Yes, the "hand" is melted,\nand doubled', ""),
    row("sub/ü ’b.png", 0.5, 72.7, "", ""),
    row("c.png", None, None, "No.", "c.png: broken or truncated image"),
]


def pictures(*names: str) -> dict[str, Picture]:
    return dict.fromkeys(names, OLD)


def write(path: Path, rows: list[Measured], resume: bool = False, run: dict[str, str] = RUN) -> None:
    with ResultFile(path, pictures(*(row.name for row in rows)), run, NUMBERS, resume) as table:
        for row in rows:
            table.write(row)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".CSV"])
def test_rows_come_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scores{suffix}"
    write(path, ROWS)
    assert read_rows(path, NUMBERS) == [rounded(row, NUMBERS) for row in ROWS]
    # no journal, no temporary file
    assert {entry.name for entry in tmp_path.iterdir()} == {path.name, f"{path.name}.run.json"}


def test_csv_text(tmp_path: Path) -> None:
    write(tmp_path / "s.csv", ROWS)
    text = (tmp_path / "s.csv").read_bytes().decode("utf-8")
    assert text.startswith("filename,mos,realness,description,error\na.png,-1.234568,42.6001,")
    records = list(csv.reader(io.StringIO(text, newline="")))
    assert records[0] == list(COLUMNS)
    assert records[1][3] == ROWS[0].description
    assert records[3] == ["c.png", "", "", "No.", "c.png: broken or truncated image"]


def test_json_lines_have_nulls(tmp_path: Path) -> None:
    write(tmp_path / "s.jsonl", ROWS)
    entries = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [list(entry) for entry in entries] == [list(COLUMNS)] * 3
    assert entries[2]["mos"] is None and entries[1]["filename"] == "sub/ü ’b.png"


def test_parquet_types(tmp_path: Path) -> None:
    import pyarrow.parquet

    write(tmp_path / "s.parquet", ROWS)
    table = pyarrow.parquet.read_table(tmp_path / "s.parquet")
    assert table.schema.names == list(COLUMNS)
    assert [str(field.type) for field in table.schema] == ["string", "double", "double", "string", "string"]
    assert table["mos"].null_count == 1


def test_names_that_are_not_unicode(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    for suffix in (".csv", ".jsonl", ".parquet"):
        write(tmp_path / f"s{suffix}", [row(name, 0.0, 64.0)])
        read = read_rows(tmp_path / f"s{suffix}", NUMBERS)[0].name
        assert os.fsencode(read) == b"caf\xe9.png"  # as bytes: a failure must be printable
    assert b"caf\xe9.png" in (tmp_path / "s.csv").read_bytes()


def test_output_is_absent_until_complete(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    with ResultFile(path, pictures("a.png"), RUN, NUMBERS) as table:
        table.write(ROWS[0])
        assert not path.exists()
        lines = journal_path(path).read_text(encoding="utf-8").splitlines()
        assert json.loads(lines[1])["filename"] == "a.png"  # on disk before the run ends
    assert path.exists() and not journal_path(path).exists()


def test_a_failed_run_keeps_journal_and_earlier_output(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("precious\n")
    with (
        pytest.raises(KeyboardInterrupt),
        ResultFile(path, pictures("a.png", "b.png"), RUN, NUMBERS) as table,
    ):
        table.write(ROWS[0])
        raise KeyboardInterrupt
    assert path.read_text() == "precious\n"
    assert journal_path(path).exists()


def test_a_run_that_made_no_row_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError), ResultFile(tmp_path / "s.csv", pictures("a.png"), RUN, NUMBERS):
        raise OSError
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from realm_engine.tables.journal import ResultFile
from rows import NUMBERS, row
run = {"bundle": "b", "precision": "fp32"}
pictures = dict.fromkeys(["a.png", "b.png", "c.png"], (1000, 1_700_000_000_123_456_789))
with ResultFile(Path(sys.argv[1]), pictures, run, NUMBERS) as table:
    table.write(row("b.png", 1.0, 80.0, "text"))
    table.write(row("a.png", None, None, "", "unreadable"))
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_resume_after_a_kill(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"s{suffix}"
    assert (
        subprocess.run([sys.executable, "-c", KILLED, str(path), str(SUPPORT)], check=False).returncode == -9
    )
    assert not path.exists()
    with journal_path(path).open("a") as journal:
        journal.write('{"filename": "c.p')  # the kill came in the middle of a line
    with ResultFile(path, pictures("a.png", "b.png", "c.png"), RUN, NUMBERS, resume=True) as table:
        assert list(table.done) == ["b.png"]  # the failed one is tried again
        table.write(row("a.png", 0.5, 72.0))
        table.write(row("c.png", 0.25, 68.0))
    rows = read_rows(path, NUMBERS)
    assert [(row.name, row.mos) for row in rows] == [("a.png", 0.5), ("b.png", 1.0), ("c.png", 0.25)]
    assert not journal_path(path).exists()


def test_resume_from_a_finished_table(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    write(path, ROWS)
    names = ["0.png", "a.png", "c.png", "sub/ü ’b.png"]
    with ResultFile(path, pictures(*names), RUN, NUMBERS, resume=True) as table:
        assert set(table.done) == {"a.png", "sub/ü ’b.png"}
        table.write(row("0.png", 0.0, 64.0))
        table.write(row("c.png", 0.0, 64.0))
    assert [row.name for row in read_rows(path, NUMBERS)] == names
    assert read_rows(path, NUMBERS)[1] == rounded(ROWS[0], NUMBERS)


def test_resume_keeps_rows_of_other_images(tmp_path: Path) -> None:
    write(tmp_path / "s.csv", ROWS)
    write(tmp_path / "s.csv", [row("new.png", 0.0, 64.0)], resume=True)
    assert [row.name for row in read_rows(tmp_path / "s.csv", NUMBERS)] == [row.name for row in ROWS] + [
        "new.png"
    ]


def test_a_table_stands_where_nothing_would_change(tmp_path: Path) -> None:
    path, names = tmp_path / "s.csv", ["a.png", "b.png"]
    write(path, [row("a.png", 1.0, 80.0), row("b.png", 2.0, 90.0)])

    def stands(*given: str, **changed: Picture) -> bool:
        now = {**pictures(*given), **changed}
        return ResultFile(path, now, RUN, NUMBERS, resume=True).stands

    assert stands(*names) and stands("b.png")  # a row of another image stays in front
    assert not stands("b.png", "a.png") and not stands("a.png")  # another order
    assert not stands(*names, "c.png") and not stands(*names, **{"b.png": NEW})
    assert not ResultFile(path, pictures(*names), RUN, NUMBERS).stands
    whole = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + whole.replace(b"\n", b"\r\n"))  # saved by a spreadsheet: the same rows
    assert not stands(*names)
    path.write_bytes(whole)
    interrupted(path, row("a.png", 1.0, 80.0), row("b.png", 2.0, 90.0))
    assert not stands(*names)


def test_without_resume_everything_is_new(tmp_path: Path) -> None:
    write(tmp_path / "s.csv", ROWS)
    write(tmp_path / "s.csv", [row("new.png", 0.0, 64.0)])
    assert [row.name for row in read_rows(tmp_path / "s.csv", NUMBERS)] == ["new.png"]


@pytest.mark.parametrize("finished", [True, False])
def test_resume_refuses_another_run(tmp_path: Path, finished: bool) -> None:
    path = tmp_path / "s.csv"
    interrupted(path, ROWS[0])
    if finished:
        write(path, ROWS)
    with pytest.raises(OutputError, match=r"\(precision fp32 then, fp16 now\); --resume=restart begins anew"):
        ResultFile(path, pictures("a.png"), {**RUN, "precision": "fp16"}, NUMBERS, resume=True)
    with pytest.raises(OutputError, match=r"\(weights None then, w now, bundle b then, None now\)"):
        ResultFile(path, pictures("a.png"), {"precision": "fp32", "weights": "w"}, NUMBERS, resume=True)


def interrupted(path: Path, *rows: Measured) -> None:
    """An unfinished run that made `rows` and was to make more."""
    with (
        pytest.raises(KeyboardInterrupt),
        ResultFile(path, pictures(*(row.name for row in rows), "z.png"), RUN, NUMBERS) as table,
    ):
        for row in rows:
            table.write(row)
        raise KeyboardInterrupt


def test_the_journal_alone_is_continued(tmp_path: Path) -> None:
    """A run that began anew and was killed meant to replace the table: its rows do not come back."""
    path = tmp_path / "s.csv"
    write(path, ROWS, run={**RUN, "precision": "fp16"})
    interrupted(path, row("a.png", 7.0, 100.0))
    with ResultFile(path, pictures("a.png", "sub/ü ’b.png"), RUN, NUMBERS, resume=True) as table:
        assert list(table.done) == ["a.png"] and table.done["a.png"].mos == 7.0
        table.write(row("sub/ü ’b.png", 8.0, 100.0))
    assert [row.mos for row in read_rows(path, NUMBERS)] == [7.0, 8.0]
    with pytest.raises(OutputError, match="precision fp32 then, fp16 now"):
        ResultFile(path, {}, {**RUN, "precision": "fp16"}, NUMBERS, resume=True)


def test_an_empty_journal_hides_no_table(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    write(path, ROWS)
    journal_path(path).touch()
    assert list(ResultFile(path, pictures("a.png"), RUN, NUMBERS, resume=True).done) == ["a.png"]


@pytest.mark.parametrize("finished", [True, False])
def test_a_row_is_of_its_picture(tmp_path: Path, finished: bool) -> None:
    """The identity stays with the row through runs that are not given the picture, and through unfinished ones."""
    path = tmp_path / "s.csv"
    write(path, [row("a.png", 1.0, 80.0), row("b.png", 2.0, 90.0)])
    with ResultFile(path, pictures("c.png"), RUN, NUMBERS, resume=True) as table:
        table.write(row("c.png", 3.0, 100.0))
    if not finished:
        with pytest.raises(OSError), ResultFile(path, {"a.png": NEW}, RUN, NUMBERS, resume=True) as table:
            raise OSError  # before the changed picture was scored
    now = {"a.png": NEW, "b.png": (OLD[0] + 1, OLD[1]), "c.png": OLD}
    with ResultFile(path, now, RUN, NUMBERS, resume=True) as table:
        assert list(table.done) == ["c.png"]
        table.write(row("a.png", 4.0, 100.0))
        table.write(row("b.png", None, None, "", "broken"))
    assert [row.mos for row in read_rows(path, NUMBERS)] == [4.0, None, 3.0]
    assert set(ResultFile(path, now, RUN, NUMBERS, resume=True).done) == {"a.png", "c.png"}


def test_a_picture_that_is_gone_is_never_done(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    assert picture_of(tmp_path / "absent.png") is None
    with ResultFile(path, {"a.png": None}, RUN, NUMBERS) as table:
        table.write(row("a.png", 1.0, 80.0))
    assert ResultFile(path, {"a.png": None}, RUN, NUMBERS, resume=True).done == {}


def test_the_record(tmp_path: Path) -> None:
    path, name = tmp_path / "s.jsonl", os.fsdecode(b"caf\xe9.png")
    write(path, [row("ü.png", 0.0, 64.0), row(name, 0.0, 64.0)])
    record = json.loads(record_path(path).read_bytes())
    assert record == {
        "format_version": 1,
        "engine": realm_engine.__version__,
        "run": RUN,
        "table_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "pictures": {"ü.png": list(OLD), name: list(OLD)},
    }
    record_path(path).write_text(json.dumps(record | {"engine": "0.0.1"}))  # for information only
    assert set(ResultFile(path, pictures("ü.png", name), RUN, NUMBERS, resume=True).done) == {"ü.png", name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, r"s\.csv\.run\.json: has format 2, this engine reads 1"),
        ({"table_sha256": "0" * 64}, r"s\.csv: changed since s\.csv\.run\.json was written"),
        ({"run": ["b"]}, r"s\.csv\.run\.json: cannot be read"),
        ({"pictures": {"a.png": 1000}}, r"s\.csv\.run\.json: cannot be read"),
        ({"pictures": None}, r"s\.csv\.run\.json: cannot be read"),
    ],
)
def test_resume_refuses_a_table_of_unknown_origin(tmp_path: Path, change: dict, message: str) -> None:
    path = tmp_path / "s.csv"
    write(path, ROWS)
    record = json.loads(record_path(path).read_bytes())
    record_path(path).write_text(json.dumps(record | change))
    with pytest.raises(OutputError, match=message + r".*; --resume=restart begins anew$"):
        ResultFile(path, pictures("a.png"), RUN, NUMBERS, resume=True)


def test_resume_refuses_a_journal_of_an_older_engine(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    for header in (json.dumps({"run": RUN}), "[]", "not JSON"):
        journal_path(path).write_text(header + '\n{"filename": "a.png"}\n')
        with pytest.raises(OutputError, match=r"s\.csv\.partial: not a journal .*; --resume=restart"):
            ResultFile(path, pictures("a.png"), RUN, NUMBERS, resume=True)


@pytest.mark.parametrize(
    "content", ["a,b\n1,2\n", "filename,mos,realness,description,error\na.png,x,,,\n", "\x00\x01"]
)
def test_resume_refuses_a_table_of_others(tmp_path: Path, content: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(content)
    with pytest.raises(OutputError, match=r"s\.csv: not a score table") as caught:
        ResultFile(path, pictures("a.png"), RUN, NUMBERS, resume=True)
    assert "\n" not in str(caught.value)
    (tmp_path / "s.parquet").write_text("no parquet")
    with pytest.raises(OutputError, match=r"s\.parquet: not a score table"):
        ResultFile(tmp_path / "s.parquet", pictures("a.png"), RUN, NUMBERS, resume=True)


def test_stream_writes_rows_as_they_come() -> None:
    stream = io.StringIO()
    with ResultStream(stream, NUMBERS) as table:
        assert stream.getvalue() == ""
        table.write(ROWS[1])
        assert (
            stream.getvalue() == "filename,mos,realness,description,error\nsub/ü ’b.png,0.500000,72.7000,,\n"
        )


def test_check_output_makes_folders_and_leaves_no_file(tmp_path: Path) -> None:
    assert check_output(tmp_path / "new" / "deep" / "s.csv") == tmp_path / "new" / "deep" / "s.csv"
    assert (tmp_path / "new" / "deep").is_dir()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    (tmp_path / "s.csv").write_text("x")
    check_output(tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text() == "x"


def test_check_output_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.csv").mkdir()
    for path, message in [
        (tmp_path / "s.xlsx", "must end in"),
        (tmp_path / "s", "must end in"),
        (tmp_path / "folder.csv", "is a directory"),
        (tmp_path / "file" / "s.csv", "cannot be written"),
    ]:
        with pytest.raises((OutputError, UsageError), match=message):
            check_output(path)


def test_check_output_protects_what_the_run_reads(tmp_path: Path) -> None:
    texts = tmp_path / "image_descriptions.csv"
    texts.write_text("filename,description\n")
    with pytest.raises(UsageError, match="is the file of descriptions"):
        check_output(tmp_path / "." / "image_descriptions.csv", keep=[texts])


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write to")
def test_check_output_tries_to_write() -> None:
    with pytest.raises(OutputError, match="/proc/self: cannot be written"):
        check_output("/proc/self/s.csv")


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_check_output_respects_permissions(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("x")
    (tmp_path / "s.csv").chmod(0o444)
    with pytest.raises(OutputError, match="write-protected"):
        check_output(tmp_path / "s.csv")
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match="cannot be written"):
        check_output(tmp_path / "t.csv")
    tmp_path.chmod(0o755)


def test_parquet_without_pyarrow_names_the_cure(tmp_path: Path) -> None:
    """In a process where pyarrow cannot be imported, as in a lean install."""
    code = (
        "import sys, importlib.abc\n"
        "class Absent(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name.partition('.')[0] == 'pyarrow': raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from realm_engine.tables.journal import check_output\n"
        "from realm_engine.errors import OutputError\n"
        "try: check_output(sys.argv[1])\n"
        "except OutputError as error: print(error)\n"
    )
    path = tmp_path / "s.parquet"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == ("Parquet needs pyarrow: pip install 'pyarrow>=16', or write .csv or .jsonl\n")
    code = "import sys, realm_engine.tables.journal; print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    journal_path(tmp_path / "s.csv").symlink_to("/dev/full")
    table = ResultFile(tmp_path / "s.csv", pictures("a.png"), RUN, NUMBERS)
    table._journal = journal_path(tmp_path / "s.csv").open("ab")
    with pytest.raises(OutputError, match=r"s\.csv\.partial: cannot be written \(No space left"):
        table.write(ROWS[0])
