"""`realm-engine score` as a user meets it."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import interrupted, many_pictures

from realm_engine.pictures.decode import load_image

NAMES = ["a.png", "b.jpg", "d.bmp", "sub/c.webp"]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_rows_on_stdout_agree_with_the_reference(cli, pictures, reference) -> None:
    result = cli("score", pictures)
    assert result.exit_code == 0
    table = rows(result.stdout)
    assert [row["filename"] for row in table] == NAMES
    texts = ["Yes, the face is melted", "", "", "a doubled hand"]  # the last one by its stem
    assert [row["description"] for row in table] == texts
    for row, text in zip(table, texts, strict=True):
        mos = reference.mos(load_image(pictures / row["filename"]), text or None)
        assert float(row["mos"]) == pytest.approx(mos, abs=1e-4)
        assert float(row["realness"]) == pytest.approx(
            np.clip(64.010578 + 17.3499064 * mos, 0, 100), abs=2e-3
        )
        assert row["error"] == ""
    assert f"descriptions: {pictures / 'image_descriptions.csv'} (2 of 4 images have one)" in result.stderr
    assert "ONNX Runtime" in result.stderr and "cpu, fp32" in result.stderr


def test_console_script(script, pictures) -> None:
    done = script("score", pictures)
    assert done.returncode == 0
    assert [row["filename"] for row in rows(done.stdout)] == NAMES
    assert "Traceback" not in done.stderr


def test_batch_size_changes_nothing(cli, pictures) -> None:
    assert (
        cli("score", pictures, "--batch-size", 1).stdout == cli("score", pictures, "--batch-size", 3).stdout
    )


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_output_file(cli, pictures, tmp_path, suffix) -> None:
    path = tmp_path / "new" / f"scores.{suffix}"
    result = cli("score", pictures, "--output", path)
    assert result.exit_code == 0 and result.stdout == ""
    assert f"wrote {path}" in result.stderr
    assert {entry.name for entry in path.parent.iterdir()} == {path.name, f"{path.name}.run.json"}
    if suffix == "csv":
        assert path.read_text(encoding="utf-8") == cli("score", pictures).stdout
    if suffix == "jsonl":
        assert [json.loads(line)["filename"] for line in path.read_text().splitlines()] == NAMES


def test_single_files_and_several_folders(cli, pictures) -> None:
    result = cli("score", pictures / "d.bmp", pictures / "sub", pictures / "a.png")
    assert [row["filename"] for row in rows(result.stdout)] == ["d.bmp", "sub/c.webp", "a.png"]
    # sub finds the file beside it, single files the one in their folder
    assert [row["description"] for row in rows(result.stdout)] == [
        "",
        "a doubled hand",
        "Yes, the face is melted",
    ]


def test_one_bad_image_never_stops_a_run(cli, pictures) -> None:
    content = (pictures / "a.png").read_bytes()
    (pictures / "b0.png").write_bytes(content[: len(content) // 2])
    (pictures / "b1.png").write_bytes(b"")
    (pictures / "b2.jpg").write_text("not an image")
    good = {row["filename"]: row for row in rows(cli("score", *(pictures / name for name in NAMES)).stdout)}
    result = cli("score", pictures)
    assert result.exit_code == 1
    table = rows(result.stdout)
    assert [row["filename"] for row in table] == [
        "a.png",
        "b.jpg",
        "b0.png",
        "b1.png",
        "b2.jpg",
        "d.bmp",
        "sub/c.webp",
    ]
    for row, problem in zip(table[2:5], ["truncated", "empty", "not an image"], strict=True):
        assert row["mos"] == row["realness"] == "" and problem in row["error"] and "\n" not in row["error"]
    for row in [*table[:2], table[5]]:
        assert row == good[row["filename"]]
    assert "3 of 7 images failed" in result.stderr


def test_missing_text(cli, pictures) -> None:
    result = cli("score", pictures, "--missing-text", "error")
    assert result.exit_code == 1
    assert [bool(row["error"]) for row in rows(result.stdout)] == [False, True, True, False]
    (pictures / "image_descriptions.csv").unlink()
    result = cli("score", pictures, "--missing-text", "error")
    assert result.exit_code == 2 and result.stdout == "" and "give --descriptions" in result.stderr


def test_no_descriptions(cli, pictures, reference) -> None:
    table = rows(cli("score", pictures, "--no-descriptions").stdout)
    assert [row["description"] for row in table] == [""] * 4
    assert float(table[0]["mos"]) == pytest.approx(
        reference.mos(load_image(pictures / "a.png"), None), abs=1e-4
    )


def test_interrupt_keeps_the_rows(pictures, tmp_path, bundle_path, photo) -> None:
    """A real Ctrl-C in the middle of a real run, then --resume."""
    names = [*NAMES, *many_pictures(pictures, photo(1200, 1600))]
    path = tmp_path / "scores.csv"
    command = [
        str(Path(sys.executable).with_name("realm-engine")),
        "score",
        str(pictures),
        "--output",
        str(path),
    ]
    command += ["--bundle", str(bundle_path), "--threads", "1", "--batch-size", "1"]
    journal = tmp_path / "scores.csv.partial"
    stderr = interrupted(command, lambda: journal.exists() and journal.read_text().count("\n") > 4)
    assert f"kept in {journal}" in stderr
    assert not path.exists()
    kept = journal.read_text().count("\n") - 1
    assert 4 <= kept < len(names)
    for name in names[kept + 3 :]:  # the rest would take long
        (pictures / name).unlink()
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and f"{kept} of {kept + 3} images are scored already" in done.stderr
    assert [row["filename"] for row in rows(path.read_text())] == names[: kept + 3] and not journal.exists()


def test_closed_pipe_is_quiet(pictures, bundle_path) -> None:
    script = Path(sys.executable).with_name("realm-engine")
    line = f"'{script}' score '{pictures}' --bundle '{bundle_path}' --threads 1 --batch-size 1 | head -n 1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout == "filename,mos,realness,description,error\n"
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_file_names_that_are_not_unicode(script, pictures) -> None:
    (pictures / "a.png").rename(pictures / os.fsdecode(b"caf\xe9.png"))
    done = script("score", pictures, errors="surrogateescape")
    assert done.returncode == 0
    assert [row["filename"] for row in rows(done.stdout)] == [
        "b.jpg",
        os.fsdecode(b"caf\xe9.png"),
        *NAMES[2:],
    ]


def test_fp16(cli, pictures) -> None:
    result = cli("score", pictures, "--fp16")
    assert result.exit_code == 0 and "warning: fp16 was asked for, but" in result.stderr
    result = cli("score", pictures, "--precision", "fp16")
    assert result.exit_code == 0 and "fp16" in result.stderr
    result = cli("score", pictures, "--precision", "int8")
    assert result.exit_code == 2 and "int8" in result.stderr
    result = cli("score", pictures, "--fp16", "--precision", "fp32")
    assert result.exit_code == 2 and "contradicts" in result.stderr


def test_long_text_warns_once(cli, pictures) -> None:
    long = " ".join(["the face is melted"] * 40)
    (pictures / "image_descriptions.csv").write_text(
        "filename,description\n" + "".join(f"{name},{long} {name}\n" for name in NAMES)
    )
    result = cli("score", pictures)
    assert result.exit_code == 0
    assert result.stderr.count("warning:") == 1 and "is cut to the first" in result.stderr


def mistakes(pictures: Path, tmp_path: Path) -> dict[str, tuple[list[object], str]]:
    empty, taken = tmp_path / "empty", tmp_path / "taken"
    empty.mkdir(), taken.write_text("x")
    tables = {}
    for name, text in {
        "no_filename": "name,description\na.png,x\n",
        "no_description": "filename,text\na.png,x\n",
        "nothing": "",
        "twice": "filename,description\na.png,x\nb.jpg,y\na.png,z\n",
        "ragged": "filename,description\na.png,x,y\n",
        "unquoted": 'filename,description\na.png,"x\n',
    }.items():
        tables[name] = tmp_path / f"{name}.csv"
        tables[name].write_text(text)
    (tmp_path / "latin.csv").write_bytes("filename,description\na.png,caf\xe9\n".encode("latin-1"))
    return {
        "no such path": ([tmp_path / "absent"], "absent: no such file or directory"),
        "empty directory": ([empty], "empty: no images found"),
        "no filename": ([pictures, "--descriptions", tables["no_filename"]], "no column 'filename'"),
        "no description": ([pictures, "--descriptions", tables["no_description"]], "no column 'description'"),
        "empty csv": ([pictures, "--descriptions", tables["nothing"]], "no column"),
        "duplicate": ([pictures, "--descriptions", tables["twice"]], "stands twice, on lines 2 and 4"),
        "ragged": ([pictures, "--descriptions", tables["ragged"]], "line 2: 3 fields"),
        "unquoted": ([pictures, "--descriptions", tables["unquoted"]], "unquoted.csv"),
        "not utf-8": ([pictures, "--descriptions", tmp_path / "latin.csv"], "not UTF-8"),
        "absent csv": ([pictures, "--descriptions", tmp_path / "absent.csv"], "absent.csv: cannot be read"),
        "csv is a folder": ([pictures, "--descriptions", empty], "empty: cannot be read"),
        "output is a folder": ([pictures, "--output", tmp_path / "empty.csv" / ".."], "must end in"),
        "output under a file": ([pictures, "--output", taken / "s.csv"], "cannot be written"),
        "output of unknown kind": (
            [pictures, "--output", tmp_path / "s.xls"],
            "must end in .csv, .jsonl, .parquet",
        ),
        "output is the input": (
            [pictures, "--output", pictures / "image_descriptions.csv"],
            "is the file of descriptions",
        ),
        "resume nothing": ([pictures, "--resume"], "--resume continues a table"),
        "restart nothing": ([pictures, "--resume=restart"], "--resume continues a table"),
        "resume how": ([pictures, "--resume=again"], "'again' is not one of 'continue', 'restart'"),
        "contradiction": (
            [pictures, "--no-descriptions", "--descriptions", tables["twice"]],
            "contradicts --descriptions",
        ),
        "device that is not here": ([pictures, "--device", "cuda"], "cuda"),
        "no path": ([], "there is nothing to look at; give pictures"),
        "unknown option": ([pictures, "--colour"], "no such option --colour; "),
        "batch of none": ([pictures, "--batch-size", "0"], "--batch-size: 0 is not in the range"),
    }


MISTAKES = [
    "no such path", "empty directory", "no filename", "no description", "empty csv", "duplicate", "ragged",
    "unquoted", "not utf-8", "absent csv", "csv is a folder", "output is a folder", "output under a file",
    "output of unknown kind", "output is the input", "resume nothing", "restart nothing", "resume how", "contradiction",
    "device that is not here", "no path", "unknown option", "batch of none",
]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_two(cli, pictures, tmp_path, mistake) -> None:
    cases = mistakes(pictures, tmp_path)
    assert set(cases) == set(MISTAKES)
    arguments, message = cases[mistake]
    if mistake == "device that is not here" and "CUDAExecutionProvider" in _providers():
        pytest.skip("this machine has CUDA")
    result = cli("score", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line.lower().startswith("error: ")]
    assert len(lines) == 1 and message in lines[0], result.stderr


def _providers() -> list[str]:
    import onnxruntime

    return onnxruntime.get_available_providers()


def test_bundles_that_are_wrong(cli, pictures, tmp_path) -> None:
    from bundles import build_bundle

    broken = build_bundle(tmp_path / "broken")
    with (broken / "core.onnx").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff")
    only_dream = build_bundle(tmp_path / "only-dream", core=False)
    for bundle, message in [
        ("no-such-bundle", "bundle 'no-such-bundle' not found"),
        (pictures, "no bundle.json in this directory"),
        (broken, "core.onnx: wrong checksum"),
        (only_dream, "has no measure and cannot score"),
    ]:
        output = tmp_path / "scores.csv"
        result = cli("score", pictures, "--output", output, bundle=bundle)
        assert result.exit_code == 2 and message in result.stderr.splitlines()[-1]
        assert result.stderr.count("error:") == 1
        assert not output.exists() and not Path(f"{output}.partial").exists()


def test_the_script_shows_no_traceback(script, pictures, tmp_path) -> None:
    done = script("score", tmp_path / "absent")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {tmp_path / 'absent'}: no such file or directory\n"
