"""`realm-engine score` where a bundle says how sure it is: files hold everything, a terminal what is supported."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from measures import build_sure
from PIL import Image

COLUMNS = [
    "mos",
    "realness",
    "realness_low",
    "realness_high",
    "percentile_photographs",
    "percentile_generated",
]
SAID = "1 of 5 images have glare above 0.5 (the glare): distrust their scores"


@pytest.fixture(scope="module")
def sure(bundle_path, tmp_path_factory) -> Path:
    return build_sure(bundle_path, tmp_path_factory.mktemp("sure") / "sure")


@pytest.fixture
def mixed(pictures) -> Path:
    for path in pictures.rglob("*"):
        if path.suffix in (".png", ".jpg", ".bmp", ".webp"):
            with Image.open(path) as image:
                dark = Image.fromarray(np.asarray(image.convert("RGB")) // 4)
            dark.save(path)
    Image.new("RGB", (3, 3), (250, 250, 250)).save(pictures / "z.png")
    return pictures


def values(path: Path) -> list[dict[str, float | str]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".parquet":
        import pyarrow.parquet

        return list(pyarrow.parquet.read_table(path).to_pylist())
    table = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
    return [
        {key: float(value) if key in (*COLUMNS, "glare") else value for key, value in row.items()}
        for row in table
    ]


def test_files_hold_every_digit_and_agree(cli, mixed, tmp_path, sure) -> None:
    tables = []
    for suffix in (".csv", ".jsonl", ".parquet"):
        path = tmp_path / f"scores{suffix}"
        done = cli("score", mixed, "--metric", "core,glare", "--output", path, bundle=sure)
        assert done.exit_code == 0 and SAID in done.stderr
        tables.append(values(path))
    assert tables[0] == tables[1] == tables[2]
    assert list(tables[0][0]) == ["filename", *COLUMNS, "glare", "description", "error"]
    for row in tables[0]:
        assert 0 <= row["realness_low"] < row["realness"] < row["realness_high"] <= 100
        width = 4.0 if row["description"] else 16.5
        assert (
            row["realness"] - row["realness_low"] == pytest.approx(width, abs=2e-4)
            or row["realness_low"] == 0
        )
    assert any(round(row["realness"], 1) != row["realness"] for row in tables[0])


def test_resume_keeps_the_columns_and_counts_the_flags_of_the_whole_table(cli, mixed, tmp_path, sure) -> None:
    path = tmp_path / "scores.csv"
    arguments = ["score", mixed, "--metric", "core,glare", "--output", path]
    cli(*arguments, bundle=sure)
    before = path.read_text(encoding="utf-8")
    with Image.open(mixed / "a.png") as image:
        image.rotate(180).save(mixed / "a.png")
    done = cli(*arguments, "--resume", bundle=sure)
    assert "4 of 5 images are scored already" in done.stderr and SAID in done.stderr
    after = path.read_text(encoding="utf-8")
    assert before.splitlines()[2:] == after.splitlines()[2:] and before != after


def test_a_pipe_gets_what_a_file_gets(cli, mixed, tmp_path, sure) -> None:
    path = tmp_path / "scores.csv"
    cli("score", mixed, "--metric", "core,glare", "--output", path, bundle=sure)
    piped = cli("score", mixed, "--metric", "core,glare", bundle=sure)
    assert piped.stdout == path.read_text(encoding="utf-8") and SAID in piped.stderr


def on_a_terminal(*arguments: object) -> str:
    """What `realm-engine` writes to a terminal on stdout."""
    ours, theirs = pty.openpty()
    command = [str(Path(sys.executable).with_name("realm-engine")), *map(str, arguments)]
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL) as process:
        os.close(theirs)
        text = b""
        while True:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # Linux: the other end is closed
                break
            if not part:
                break
            text += part
    os.close(ours)
    assert process.returncode == 0
    return text.decode().replace("\r\n", "\n")


def test_a_terminal_gets_the_digits_that_are_supported(cli, mixed, sure, bundle_path) -> None:
    exact = list(
        csv.DictReader(io.StringIO(cli("score", mixed, "--metric", "core,glare", bundle=sure).stdout))
    )
    shown = on_a_terminal(
        "score", mixed, "--metric", "core,glare", "--bundle", sure, "--threads", 1
    ).splitlines()
    assert shown[0].split() == ["filename", "mos", "realness", *COLUMNS[4:], "glare"]
    for row, line in zip(exact, shown[1:], strict=True):
        value, low, high = (float(row[name]) for name in COLUMNS[1:4])
        assert line.startswith(row["filename"]) and f" {value:.0f} ({low:.0f}-{high:.0f}) " in line
        assert line.endswith(" !") == (row["filename"] == "z.png")
    # A bundle that does not say how sure it is: as ever.
    plain = on_a_terminal("score", mixed, "--bundle", bundle_path, "--threads", 1)
    assert plain == cli("score", mixed).stdout


def test_measures_and_info_say_it(cli, sure) -> None:
    interval = "90% of pictures never seen within +- 4 with a description, 16.5 without"
    listed = cli("measures", sure).stdout
    assert f"  column realness: the realness (0 to 100, high = better; {interval})" in listed
    assert "column glare: the glare (0 to 1, low = better; above 0.5: distrust the scores)" in listed
    assert "realness_low" not in listed
    assert interval in cli("info", sure).stdout
    (core, glare) = json.loads(cli("measures", sure, "--json").stdout)
    assert [column["certainty"] for column in core["columns"]] == [[], [interval], [], []]
    assert glare["columns"][0]["certainty"] == ["above 0.5: distrust the scores"]
