"""Score tables: content, atomicity, resuming, and refusals before work."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from realm_engine import results
from realm_engine.errors import OutputError, UsageError
from realm_engine.results import COLUMNS, ResultFile, ResultStream, Row, check_output, journal_path, read_rows

RUN = {"bundle": "b", "precision": "fp32"}
ROWS = [
    Row("a.png", -1.23456789, 42.6001, 'Yes, the "hand" is melted,\nand doubled', ""),
    Row("sub/ü ’b.png", 0.5, 72.7, "", ""),
    Row("c.png", None, None, "No.", "c.png: broken or truncated image"),
]


def write(path: Path, rows: list[Row], resume: bool = False, run: dict[str, str] = RUN) -> None:
    with ResultFile(path, [row.filename for row in rows], run, resume) as table:
        for row in rows:
            table.write(row)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".CSV"])
def test_rows_come_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scores{suffix}"
    write(path, ROWS)
    assert read_rows(path) == ROWS
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]  # no journal, no temporary file


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
    for suffix in (".csv", ".jsonl"):
        write(tmp_path / f"s{suffix}", [Row(name, 0.0, 64.0)])
        assert read_rows(tmp_path / f"s{suffix}")[0].filename == name
    assert b"caf\xe9.png" in (tmp_path / "s.csv").read_bytes()
    write(tmp_path / "s.parquet", [Row(name, 0.0, 64.0)])
    assert read_rows(tmp_path / "s.parquet")[0].filename == "caf�.png"


def test_output_is_absent_until_complete(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    with ResultFile(path, ["a.png"], RUN) as table:
        table.write(ROWS[0])
        assert not path.exists()
        lines = journal_path(path).read_text(encoding="utf-8").splitlines()
        assert json.loads(lines[1])["filename"] == "a.png"  # on disk before the run ends
    assert path.exists() and not journal_path(path).exists()


def test_a_failed_run_keeps_journal_and_earlier_output(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("precious\n")
    with pytest.raises(KeyboardInterrupt), ResultFile(path, ["a.png", "b.png"], RUN) as table:
        table.write(ROWS[0])
        raise KeyboardInterrupt
    assert path.read_text() == "precious\n"
    assert journal_path(path).exists()


def test_a_run_that_made_no_row_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError), ResultFile(tmp_path / "s.csv", ["a.png"], RUN):
        raise OSError
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, sys
from pathlib import Path
from realm_engine.results import ResultFile, Row
run = {"bundle": "b", "precision": "fp32"}
with ResultFile(Path(sys.argv[1]), ["a.png", "b.png", "c.png"], run) as table:
    table.write(Row("b.png", 1.0, 80.0, "text"))
    table.write(Row("a.png", None, None, "", "unreadable"))
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_resume_after_a_kill(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"s{suffix}"
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == -9
    assert not path.exists()
    with journal_path(path).open("a") as journal:
        journal.write('{"filename": "c.p')  # the kill came in the middle of a line
    with ResultFile(path, ["a.png", "b.png", "c.png"], RUN, resume=True) as table:
        assert list(table.done) == ["b.png"]  # the failed one is tried again
        table.write(Row("a.png", 0.5, 72.0))
        table.write(Row("c.png", 0.25, 68.0))
    rows = read_rows(path)
    assert [(row.filename, row.mos) for row in rows] == [("a.png", 0.5), ("b.png", 1.0), ("c.png", 0.25)]
    assert not journal_path(path).exists()


def test_resume_from_a_finished_table(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    write(path, ROWS)
    names = ["0.png", "a.png", "c.png", "sub/ü ’b.png"]
    with ResultFile(path, names, RUN, resume=True) as table:
        assert set(table.done) == {"a.png", "sub/ü ’b.png"}
        table.write(Row("0.png", 0.0, 64.0))
        table.write(Row("c.png", 0.0, 64.0))
    assert [row.filename for row in read_rows(path)] == names
    assert read_rows(path)[1] == ROWS[0]


def test_resume_keeps_rows_of_other_images(tmp_path: Path) -> None:
    write(tmp_path / "s.csv", ROWS)
    write(tmp_path / "s.csv", [Row("new.png", 0.0, 64.0)], resume=True)
    assert [row.filename for row in read_rows(tmp_path / "s.csv")] == [row.filename for row in ROWS] + [
        "new.png"
    ]


def test_without_resume_everything_is_new(tmp_path: Path) -> None:
    write(tmp_path / "s.csv", ROWS)
    write(tmp_path / "s.csv", [Row("new.png", 0.0, 64.0)])
    assert [row.filename for row in read_rows(tmp_path / "s.csv")] == ["new.png"]


def test_resume_refuses_another_run(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    with pytest.raises(KeyboardInterrupt), ResultFile(path, ["a.png", "b.png"], RUN) as table:
        table.write(ROWS[0])
        raise KeyboardInterrupt
    with pytest.raises(OutputError, match="precision fp32 then, fp16 now"):
        ResultFile(path, ["a.png"], {**RUN, "precision": "fp16"}, resume=True)


@pytest.mark.parametrize(
    "content", ["a,b\n1,2\n", "filename,mos,realness,description,error\na.png,x,,,\n", "\x00\x01"]
)
def test_resume_refuses_a_table_of_others(tmp_path: Path, content: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(content)
    with pytest.raises(OutputError, match=r"s\.csv: not a score table") as caught:
        ResultFile(path, ["a.png"], RUN, resume=True)
    assert "\n" not in str(caught.value)
    (tmp_path / "s.parquet").write_text("no parquet")
    with pytest.raises(OutputError, match=r"s\.parquet: not a score table"):
        ResultFile(tmp_path / "s.parquet", ["a.png"], RUN, resume=True)


def test_stream_writes_rows_as_they_come() -> None:
    stream = io.StringIO()
    with ResultStream(stream) as table:
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
        "from realm_engine.results import check_output\n"
        "from realm_engine.errors import OutputError\n"
        "try: check_output(sys.argv[1])\n"
        "except OutputError as error: print(error)\n"
    )
    path = tmp_path / "s.parquet"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == ("Parquet needs pyarrow: pip install 'pyarrow>=16', or write .csv or .jsonl\n")
    code = "import sys, realm_engine.results; print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    journal_path(tmp_path / "s.csv").symlink_to("/dev/full")
    table = ResultFile(tmp_path / "s.csv", ["a.png"], RUN)
    table._journal = journal_path(tmp_path / "s.csv").open("a")
    with pytest.raises(OutputError, match=r"s\.csv\.partial: cannot be written \(No space left"):
        table.write(ROWS[0])


def test_write_atomically_cleans_up(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()  # a rename cannot replace a folder
    with pytest.raises(OutputError, match="target: cannot be written"):
        results.write_atomically(tmp_path / "target", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
