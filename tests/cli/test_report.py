"""`realm-engine report`: a folder, or a table of scores, on one page."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from measures import build_guests
from pages import check_page
from PIL import Image


def read(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_a_folder_is_sorted_with_its_best_and_worst_and_their_maps(cli, pictures, tmp_path):
    (pictures / "cut.png").write_bytes((pictures / "a.png").read_bytes()[:700])
    out = tmp_path / "out"
    done = cli("report", pictures, "--output", out)
    assert done.exit_code == 1, done.stderr
    assert "1 of 5 images failed; the page says why" in done.stderr
    assert "descriptions: " in done.stderr and f"open {out / 'report.html'}" in done.stderr
    found = read(out)
    scores = [each["mos"] for each in found["pictures"]]
    assert len(scores) == 4 and scores == sorted(scores, reverse=True)
    assert [each["filename"] for each in found["failed"]] == ["cut.png"]
    summary = found["measures"][0]["summary"]
    assert (summary["n"], summary["failed"]) == (4, 1)
    assert summary["mean"] == pytest.approx(sum(scores) / 4)
    page = check_page((out / "report.html").read_bytes())
    for section in ("What was run", "Best and worst", "Scores, sorted", "Pictures that failed"):
        assert (2, section) in page.headings
    names = [each["filename"] for each in found["pictures"]]
    for name in names:
        assert name in page.alternatives and f"map of {name}" in page.alternatives
    at = [page.text.index(f"\n{rank}{name}") for rank, name in enumerate(names, start=1)]
    assert at == sorted(at)
    with (out / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["generator"] for row in rows} == {"pictures"} and len(rows) == 5


def test_a_table_of_score_gives_the_same_numbers(cli, pictures, tmp_path):
    table = tmp_path / "scores.csv"
    assert cli("score", pictures, "--output", table).exit_code == 0
    assert cli("report", pictures, "--output", tmp_path / "a", "--no-gallery").exit_code == 0
    assert cli("report", table, "--output", tmp_path / "b").exit_code == 0
    first, second = read(tmp_path / "a"), read(tmp_path / "b")
    assert first["pictures"] == second["pictures"]
    keys = ("mean", "low", "high", "median", "p5", "p95")
    one, two = (found["measures"][0]["summary"] for found in (first, second))
    assert {key: one[key] for key in keys} == {key: two[key] for key in keys}
    assert "data:image" not in (tmp_path / "b" / "report.html").read_text(encoding="utf-8")
    done = cli("report", table, "--images", pictures, "--output", tmp_path / "c", "--maps", 1)
    assert done.exit_code == 0
    page = check_page((tmp_path / "c" / "report.html").read_bytes())
    assert sum(text.startswith("map of ") for text in page.alternatives) == 2


def test_a_report_goes_on_where_it_was_killed(cli, pictures, tmp_path):
    assert cli("report", pictures, "--output", tmp_path / "out", "--maps", 0).exit_code == 0
    first = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir() if p.name != "rows.jsonl.run.json"}
    done = cli("report", pictures, "--output", tmp_path / "out", "--maps", 0, "--resume")
    assert "4 of 4 images are scored already" in done.stderr
    again = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir() if p.name != "rows.jsonl.run.json"}
    assert first == again


def test_a_bundle_without_maps_shows_the_pictures_alone(cli, bundle_path, pictures, tmp_path):
    from bundles import build_bundle

    bundle = build_bundle(tmp_path / "scores-only", dream=False)
    done = cli("report", pictures, "--output", tmp_path / "out", bundle=bundle)
    assert done.exit_code == 0 and "makes no maps; the page shows the pictures alone" in done.stderr
    page = check_page((tmp_path / "out" / "report.html").read_bytes())
    assert "a.png" in page.alternatives and "map of a.png" not in page.alternatives
    done = cli("report", pictures, "--output", tmp_path / "out", "--maps", 2, bundle=bundle)
    assert done.exit_code == 2 and "cannot map" in done.stderr


def test_several_measures_and_another_headline(cli, bundle_path, pictures, tmp_path):
    bundle = build_guests(bundle_path, tmp_path / "guests")
    done = cli(
        "report", pictures, "--metric", "core,brightness,red", "--headline", "brightness", "--output", tmp_path / "o",
        bundle=bundle,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    found = read(tmp_path / "o")
    values = [each["brightness"] for each in found["pictures"]]
    assert values == sorted(values, reverse=True) and len(found["correlations"]) == 3
    check_page((tmp_path / "o" / "report.html").read_bytes())


def test_a_long_list_shows_its_ends(cli, tmp_path):
    lines = ["filename,mos,description,error", *(f"{i:04}.png,{i / 1000:.3f},," for i in range(900))]
    (tmp_path / "s.csv").write_text("\n".join(lines), encoding="utf-8")
    assert cli("report", tmp_path / "s.csv", "--output", tmp_path / "out").exit_code == 0
    page = check_page((tmp_path / "out" / "report.html").read_bytes())
    assert "The first and the last 200 of 900 pictures, all are in scores.csv" in page.text
    assert "0899.png" in page.text and "0450.png" not in page.text and "\n9000000.png" in page.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere: no such file or directory"),
        (["nowhere.csv"], "nowhere.csv: cannot be read"),
        (
            ["pictures", "--images", "pictures"],
            "--images says where the pictures of a table lie; pictures is no table",
        ),
        (["two.csv"], "two.csv: holds 2 generators; realm-engine compare --scores two.csv is for them"),
        (["own.csv"], "no bundle here knows one of the columns taste"),
        (["two.csv", "--resume"], "--resume is for a folder of pictures"),
        (["pictures", "--headline", "cor"], "did you mean 'core'?"),
        (["pictures", "--maps", "1", "--no-gallery"], "--maps contradicts --no-gallery"),
    ],
)
def test_what_cannot_be_done_is_one_line(cli, pictures, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    Path("two.csv").write_text("generator,filename,mos\na,1.png,1\nb,1.png,2\n", encoding="utf-8")
    Path("own.csv").write_text("filename,taste\n1.png,1\n", encoding="utf-8")
    done = cli("report", *arguments, "--output", "out")
    assert done.exit_code == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and said in errors[0], done.stderr


def test_pictures_that_are_gone_are_not_shown_and_one_picture_is_enough(cli, pictures, tmp_path):
    table = tmp_path / "scores.csv"
    assert cli("score", pictures, "--output", table).exit_code == 0
    (tmp_path / "moved").mkdir()
    shutil.copy(pictures / "a.png", tmp_path / "moved" / "a.png")
    done = cli("report", table, "--images", tmp_path / "moved", "--output", tmp_path / "out")
    assert done.exit_code == 0
    page = check_page((tmp_path / "out" / "report.html").read_bytes())
    assert "a.png" in page.alternatives and "b.jpg" not in page.alternatives and "not shown" in page.text
    (tmp_path / "one").mkdir()
    Image.new("RGB", (64, 64), (120, 90, 60)).save(tmp_path / "one" / "only.png")
    assert cli("report", tmp_path / "one", "--output", tmp_path / "single").exit_code == 0
    check_page((tmp_path / "single" / "report.html").read_bytes())
