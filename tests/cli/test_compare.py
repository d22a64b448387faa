"""`realm-engine compare`: folders, tables and scores to a page, a kill in the middle, and what bad input gets."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from measures import build_guests
from pages import check_page
from PIL import Image

FILES = ("report.html", "report.json", "scores.csv")
HOSTILE = "<script>alert('x')</script>"


@pytest.fixture
def folders(tmp_path: Path, photo) -> Path:
    """Three generators of 22 small pictures each, with prompts: `b` is noisier, `c` is `a` a little brighter."""
    rng = np.random.default_rng(0)
    lines = ["filename,prompt"]
    for name in "abc":
        (tmp_path / name).mkdir()
    for index in range(22):
        base = photo(40, 48, index).astype(float)
        pictures = {"a": base, "b": base + rng.normal(0, 60, base.shape), "c": base + 6}
        for name, picture in pictures.items():
            Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(tmp_path / name / f"{index:02}.png")
        lines.append(f'{index:02}.png,"a  picture,\tnumber {index}"')
    (tmp_path / "prompts.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def guests(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_guests(bundle_path, tmp_path_factory.mktemp("guests") / "guests")


def read(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# ------------------------------------------------------------------ the page


def test_patterns_stand_for_generators(cli, folders):
    """One folder of several generators' pictures, told apart by their names."""
    mixed = folders / "mixed"
    mixed.mkdir()
    for name in "ab":
        for path in (folders / name).iterdir():
            (mixed / f"{path.stem}-{name}.png").write_bytes(path.read_bytes())
    done = cli(
        "compare", f"one={mixed}/*-a.png", f"two={mixed}/*-b.png", "--output", folders / "out", "--maps", 0
    )
    assert done.exit_code == 0, done.stderr
    rows = table(folders / "out" / "scores.csv")
    assert [row["generator"] for row in rows] == ["one"] * 22 + ["two"] * 22
    assert rows[0]["filename"] == "00-a.png" and rows[-1]["filename"] == "21-b.png"
    done = cli("compare", f"one={mixed}/*-a.png", f"two={mixed}/*-c.png", "--output", folders / "out2")
    assert done.exit_code == 2 and "-c.png: nothing is called so" in done.stderr


def test_folders_to_a_page_that_needs_nothing(cli, guests, folders):
    out = folders / "out"
    done = cli(
        "compare", folders / "a", folders / "b", f"bright={folders / 'c'}", "--prompts", folders / "prompts.csv",
        "--metric", "core,brightness", "--output", out, "--maps", 1, bundle=guests,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    page = check_page((out / "report.html").read_bytes())
    for section in ("What was compared", "Measure by measure", "Pair by pair", "Ranking by wins", "Gallery"):
        assert (2, section) in page.headings
    assert {"a", "b", "bright"} <= set(page.text.split())
    assert "Paired by prompt: the 22 prompts" in page.text and "a picture, number " in page.text
    rows = table(out / "scores.csv")
    assert list(rows[0]) == ["generator", "filename", "prompt", "mos", "realness", "brightness", "error"]
    assert [row["generator"] for row in rows] == ["a"] * 22 + ["b"] * 22 + ["bright"] * 22
    assert rows[0]["prompt"] == "a picture, number 0"
    found = read(out)
    assert found["headline"] == "core" and found["pairing"]["by"] == "prompt"
    brightness = found["measures"][1]
    means = {each["generator"]: each["mean"] for each in brightness["generators"]}
    for name in means:
        values = [float(row["brightness"]) for row in rows if row["generator"] == name]
        assert means[name] == pytest.approx(np.mean(values), abs=1e-9)
    (pair,) = [p for p in brightness["pairs"] if (p["first"], p["second"]) == ("a", "bright")]
    assert pair["better"] == "bright" and pair["corrected"] < 0.05 and pair["games"] == 22
    assert len(brightness["ranking"]) == 3 and len(found["correlations"]) == 1
    assert "wrote scores.csv, report.json, report.html" in done.stderr
    assert "--resume" not in found["command"] and found["command"].startswith("realm-engine compare ")
    assert [each.name for each in out.iterdir() if each.name.startswith(".")] == []


def test_the_numbers_of_finished_scores_are_those_of_the_pictures(cli, guests, folders):
    out, again = folders / "out", folders / "again"
    metrics = ("--metric", "core,brightness")
    paths = [folders / name for name in "abc"]
    assert cli("compare", *paths, *metrics, "--output", out, "--no-gallery", bundle=guests).exit_code == 0
    assert "data:image" not in (out / "report.html").read_text(encoding="utf-8")
    done = cli("compare", "--scores", out / "scores.csv", *metrics, "--output", again, bundle=guests)
    assert done.exit_code == 0, done.stderr
    first, second = read(out), read(again)
    for key in ("headline", "summary", "correlations"):
        assert first[key] == second[key]
    for one, two in zip(first["measures"], second["measures"], strict=True):
        assert one["pairs"] == two["pairs"] and one["ranking"] == two["ranking"]
    check_page((again / "report.html").read_bytes())


def test_a_table_names_files_generators_and_prompts(cli, folders):
    lines = ["filename;generator;prompt;seed"]
    for name in "ab":
        lines += [f"{name}/{index:02}.png;model {name};prompt {index};{index}" for index in range(22)]
    (folders / "all.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = cli("compare", "--table", folders / "all.csv", "--output", folders / "out")
    assert done.exit_code == 0, done.stderr
    found = read(folders / "out")
    assert [each["name"] for each in found["generators"]] == ["model a", "model b"]
    assert found["pairing"]["by"] == "prompt" and found["pairing"]["shared"] == 22


def test_a_column_of_ones_own_needs_a_direction(cli, tmp_path):
    lines = ["generator,filename,taste"]
    lines += [f"{g},{index}.png,{index % 7 + (g == 'b')}" for g in "ab" for index in range(25)]
    (tmp_path / "s.csv").write_text("\n".join(lines), encoding="utf-8")
    done = cli("compare", "--scores", tmp_path / "s.csv", "--output", tmp_path / "out")
    assert done.exit_code == 2 and "--better taste=high" in done.stderr
    done = cli(
        "compare", "--scores", tmp_path / "s.csv", "--better", "taste=low", "--output", tmp_path / "out"
    )
    assert done.exit_code == 0 and read(tmp_path / "out")["measures"][0]["pairs"][0]["better"] == "a"


# -------------------------------------------------------------------- resume


def test_a_further_folder_costs_only_itself(cli, folders):
    out = folders / "out"
    assert cli("compare", folders / "a", folders / "b", "--output", out).exit_code == 0
    done = cli("compare", folders / "a", folders / "b", folders / "c", "--output", out, "--resume")
    assert done.exit_code == 0 and "44 of 66 images are scored already" in done.stderr
    fresh = folders / "fresh"
    assert cli("compare", folders / "a", folders / "b", folders / "c", "--output", fresh).exit_code == 0
    assert (out / "scores.csv").read_bytes() == (fresh / "scores.csv").read_bytes()
    Image.new("RGB", (40, 48), (200, 30, 30)).save(folders / "a" / "03.png")
    done = cli("compare", folders / "a", folders / "b", "--output", out, "--resume")
    assert "43 of 44 images are scored already" in done.stderr  # and the third folder is no part of it
    assert [each["name"] for each in read(out)["generators"]] == ["a", "b"]


def test_rows_of_another_run_are_never_mixed_in(cli, guests, folders):
    out = folders / "out"
    assert cli("compare", folders / "a", folders / "b", "--output", out).exit_code == 0
    again = ("compare", folders / "a", folders / "b", "--metric", "brightness", "--output", out, "--resume")
    done = cli(*again, bundle=guests)
    assert done.exit_code == 2 and "not a score table to resume" in done.stderr


@pytest.mark.slow
def test_killed_at_any_moment_and_resumed_gives_the_same_bytes(bundle_path, folders):
    command = [
        sys.executable, "-m", "realm_engine", "compare", "a", "b", "c", "--prompts", "prompts.csv",
        "--bundle", str(bundle_path), "--device", "cpu", "--threads", "1", "--batch-size", "1", "--output", "out",
    ]  # fmt: skip

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, "--resume"], cwd=folders, capture_output=True, text=True, check=False, timeout=300
        )

    started = time.monotonic()
    assert run().returncode == 0
    whole = time.monotonic() - started
    wanted = {name: (folders / "out" / name).read_bytes() for name in FILES}
    shutil.rmtree(folders / "out")
    draw = random.Random(5)
    for _ in range(10):
        process = subprocess.Popen([*command, "--resume"], cwd=folders, stderr=subprocess.DEVNULL)
        time.sleep(draw.uniform(0, whole))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for name in FILES:  # whole or not there
            left = folders / "out" / name
            assert not left.exists() or left.read_bytes() == wanted[name]
    done = run()
    assert done.returncode == 0, done.stderr
    assert {name: (folders / "out" / name).read_bytes() for name in FILES} == wanted


# ------------------------------------------------------------------ bad input


def test_a_broken_picture_fails_alone(cli, folders):
    (folders / "b" / "05.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    done = cli("compare", folders / "a", folders / "b", "--output", folders / "out")
    assert done.exit_code == 1 and "1 of 44 images failed; the page says why" in done.stderr
    found = read(folders / "out")
    assert [each["filename"] for each in found["failed"]] == ["05.png"]
    assert found["measures"][0]["pairs"][0]["games"] == 21
    assert "Pictures that failed" in check_page((folders / "out" / "report.html").read_bytes()).text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a"], "a comparison needs two folders or more, 1 given; realm-engine report is for one"),
        (["a", "a"], "two generators are called 'a' (a and a); name them: NAME=FOLDER"),
        (["a", "x=a"], "x and a are the same folder (a); a comparison needs two"),
        (["a", "nowhere"], "nowhere: no such file or directory"),
        (
            ["a", "b/01.png"],
            "b/01.png: is a file; a generator is a folder or a pattern ('a/*.png'), or give --table CSV",
        ),
        (["a", "x="], "'x=': give a folder, or NAME=FOLDER"),
        (["a", "=b"], "'=b': give a folder, or NAME=FOLDER"),
        ([], "give folders, or --table CSV, or --scores CSV: one of the three"),
        (["a", "b", "--scores", "prompts.csv"], "one of the three"),
        (
            ["a", "b", "--headline", "cor"],
            "--headline: has no measure 'cor', only core; did you mean 'core'?",
        ),
        (["a", "b", "--metric", "cora"], "did you mean 'core'?"),
        (["a", "b", "--better", "mos=high"], "--better is for --scores"),
        (["a", "b", "--maps", "2", "--no-gallery"], "--maps contradicts --no-gallery"),
        (["a", "b", "--set", "fd"], "--set compares with a folder of photographs; give --reference DIR"),
        (["a", "b", "--reference", "c"], "none of its graphs gives 'features'"),
        (["a", "b", "--prompts", "nowhere.csv"], "nowhere.csv: cannot be read"),
        (["a", "b", "--paired", "yes", "--prompts", "none.csv"], "--paired yes: only"),
        (["--table", "prompts.csv"], "no column 'generator' (found filename, prompt); add it to line 1"),
        (["--scores", "prompts.csv"], "no column 'generator'"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_a_cure(cli, folders, monkeypatch, arguments, said):
    monkeypatch.chdir(folders)
    (folders / "none.csv").write_text("filename,prompt\nz.png,nothing\n", encoding="utf-8")
    if "none.csv" in arguments:  # names do not match either
        for index in range(22):
            (folders / "b" / f"{index:02}.png").rename(folders / "b" / f"other{index}.png")
    done = cli("compare", *arguments, "--output", "out")
    assert done.exit_code == 2 and not (folders / "out" / "report.html").exists()
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and said in errors[0], done.stderr


def test_one_generator_twice_and_pictures_in_common_are_found_by_content(cli, folders):
    shutil.copytree(folders / "a", folders / "copy")
    done = cli("compare", folders / "a", folders / "copy", "--output", folders / "out")
    assert (
        done.exit_code == 2
        and "all pictures of a are in both a and copy; that is one generator twice" in done.stderr
    )
    shutil.copy(folders / "a" / "00.png", folders / "b" / "07.png")
    done = cli("compare", folders / "a", folders / "b", "--output", folders / "out")
    words = "a and b have 1 picture in common (00.png = 07.png); nothing can differ there"
    assert done.exit_code == 0 and words in done.stderr
    assert words in check_page((folders / "out" / "report.html").read_bytes()).text


def test_few_pictures_are_a_warning_and_folders_without_partners_are_counted(cli, folders):
    for index in range(8, 22):
        (folders / "a" / f"{index:02}.png").unlink()
    done = cli("compare", folders / "a", folders / "b", "--output", folders / "out")
    assert done.exit_code == 0
    assert "a has 8 pictures; with fewer than 20 little can be found" in done.stderr
    found = read(folders / "out")
    assert found["pairing"]["by"] is None and "at most 36% of a folder" in found["pairing"]["why"]
    done = cli("compare", folders / "a", folders / "b", "--paired", "yes", "--output", folders / "out")
    assert read(folders / "out")["generators"][1]["left_out"] == 14


def test_lines_of_tables_are_named(cli, tmp_path):
    def run(text: str, kind: str) -> str:
        (tmp_path / "t.csv").write_text(text, encoding="utf-8")
        done = cli("compare", kind, tmp_path / "t.csv", "--output", tmp_path / "out")
        assert done.exit_code == 2
        return done.stderr

    assert "t.csv, line 3: 2 fields, the header has 3" in run(
        "generator,filename,mos\na,1.png,1\nb,2.png\n", "--scores"
    )
    assert "'1.png' of a stands twice, on lines 2 and 4; keep one" in run(
        "generator,filename,mos\na,1.png,1\nb,1.png,2\na,1.png,3\n", "--scores"
    )
    assert "line 3: the generator is empty" in run("filename,generator\n1.png,a\n2.png,\n", "--table")
    assert "names 1 generator, a comparison needs two or more" in run(
        "filename,generator\n1.png,a\n2.png,a\n", "--table"
    )
    assert "holds no rows" in run("generator,filename,mos\n", "--scores")


@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows does not allow")
def test_names_and_prompts_of_strangers_are_texts(cli, folders):
    nasty = [
        f"{HOSTILE} & \"quoted\" 'single'",
        "\u202egnp.exe \u2066 \u2069\u2069 isolate",
        "x" * 120 + "é" + "y" * 120,
        '=HYPERLINK("http://example.com")',
        "{{ 7 * 7 }} {% raw %} $x^2$ _{a}",
        "line\nbreak\ttab \x1b[31m",
    ]
    prompts = ["filename,prompt"]
    for index, text in enumerate(nasty):
        name = text.replace("/", "_").encode()[:200].decode(errors="ignore") + ".png"
        for folder in "ab":
            (folders / folder / f"{index:02}.png").rename(folders / folder / name)
        quoted = name.replace('"', '""')
        prompts.append(f'"{quoted}","{(text * 2)[:300].replace(chr(34), chr(34) * 2)}"')
    prompts += [f"{index:02}.png,prompt {index}" for index in range(len(nasty), 22)]
    (folders / "prompts.csv").write_text("\n".join(prompts) + "\n", encoding="utf-8", newline="")
    out = folders / "out"
    evil = HOSTILE.replace("/", "")
    done = cli(
        "compare", f"{evil}\u202e={folders / 'a'}", f'"&amp;\'={folders / "b"}', "--prompts", folders / "prompts.csv",
        "--output", out,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    content = (out / "report.html").read_bytes()
    page = check_page(content)
    assert "<script" not in page.html and "49" not in {word.strip() for word in page.text.split("{{ 7")}
    assert "\u202e" not in page.html and "\\u202e" in page.text and "\u2066" not in page.html
    assert f"<bdi>{'&lt;script&gt;alert'}" in page.html and "{{ 7 * 7 }}" in page.text
    assert "\x1b" not in page.html and "&#34;&amp;amp;&#39;" in page.html
    rows = table(out / "scores.csv")
    assert rows[0]["generator"].startswith(evil)
    assert any(row["filename"].startswith("'=HYPERLINK") for row in rows)  # no formula in a spreadsheet
    assert (
        json.loads((out / "report.json").read_text(encoding="utf-8"))["generators"][0]["name"]
        == f"{evil}\u202e"
    )


# ----------------------------------------------------------------------- sets


def test_sets_are_compared_with_photographs(cli, guests, folders):
    out = folders / "out"
    paths = (folders / "a", folders / "b", "--reference", folders / "c")
    done = cli("compare", *paths, "--set", "kd", "--set", "fd", "--output", out, bundle=guests)
    assert done.exit_code == 0, done.stderr
    distances = {(each["kind"], each["generator"]): each for each in read(out)["distances"]}
    assert set(distances) == {("kd", "a"), ("kd", "b"), ("fd", "a"), ("fd", "b")}
    features = {
        name: np.array(
            [
                np.asarray(Image.open(path), dtype=np.float64).mean(axis=(0, 1))
                for path in sorted((folders / name).iterdir())
            ]
        )
        for name in "abc"
    }
    centre, width = features["c"].mean(axis=0), features["c"].std(axis=0)
    a, c = ((features[name] - centre) / width for name in "ac")
    kernel = lambda x, y: (x @ y / 3 + 1) ** 3  # noqa: E731
    own, other = (
        np.mean([kernel(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j]) for s in (a, c)
    )
    wanted = own + other - 2 * np.mean([kernel(x, y) for x in a for y in c])
    assert distances["kd", "a"]["value"] == pytest.approx(wanted, abs=1e-3)
    assert distances["kd", "a"]["n"] == distances["kd", "a"]["reference_n"] == 22
    assert "Distance from the photographs" in check_page((out / "report.html").read_bytes()).text


def test_a_frechet_distance_of_too_few_pictures_is_refused_with_what_is_missing(cli, guests, folders):
    for path in sorted((folders / "b").iterdir())[4:]:
        path.unlink()
    paths = (folders / "a", folders / "b", "--reference", folders / "c", "--set", "fd")
    done = cli("compare", *paths, "--output", folders / "out", bundle=guests)
    assert done.exit_code == 2
    assert (
        "--set fd: b has 4 pictures, 6 are needed for 3 features (2 more); --set kd needs fewer"
        in done.stderr
    )


# -------------------------------------------------------------------- library


def test_the_library_compares_as_the_command_does(cli, bundle_path, folders):
    import realm_engine

    with realm_engine.Engine.open(bundle_path, device="cpu", threads=1) as engine:
        found = realm_engine.compare(
            engine, {"a": folders / "a", "b": str(folders / "b")}, ["core"], prompts=folders / "prompts.csv"
        )
    written = found.write(folders / "library")
    assert {path.name for path in written} == set(FILES)
    check_page((folders / "library" / "report.html").read_bytes())
    paths = (folders / "a", folders / "b", "--prompts", folders / "prompts.csv", "--no-gallery")
    assert cli("compare", *paths, "--output", folders / "out").exit_code == 0
    assert (folders / "library" / "scores.csv").read_bytes() == (folders / "out" / "scores.csv").read_bytes()
    assert found.pairs[0].p == read(folders / "out")["measures"][0]["pairs"][0]["p"]
    assert found.ranking == () and len(found.table) == 44


def test_without_the_extra_it_is_one_line(folders, bundle_path):
    code = (
        "import sys\nsys.modules['jinja2'] = None\nfrom realm_engine.cli.main import main\n"
        f"main(['compare', 'a', 'b', '--output', 'out', '--bundle', {str(bundle_path)!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folders, capture_output=True, text=True, timeout=120, env=os.environ
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: realm-engine compare needs jinja2, which is not installed; run: pip install 'jinja2>=3.1' "
        "'matplotlib>=3.9' 'scipy>=1.15'"
    ]
