"""`realm-train active` as a user runs it: a pool that is asked about and labelled, and a simulation."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from measures import NATIVE, add_graph, add_measures, column, measure
from PIL import Image

from realm_train.active.pool import Pool
from realm_train.cli.main import main
from realm_train.probe.data import read_labelled

PICTURES = 30


def active(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["active", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def one_line(*arguments: object) -> str:
    (line,) = active(*arguments, code=2).stderr.strip().splitlines()
    return line


@pytest.fixture(scope="module")
def bundle(bundle_path, tmp_path_factory) -> Path:
    """A bundle with a tower that gives features: the mean of each channel."""
    folder = shutil.copytree(bundle_path, tmp_path_factory.mktemp("active") / "listed")
    add_graph(folder, "tower")
    red = measure("graph", [column("red", "calls", 0, 255)], graph="tower", view=NATIVE)
    return add_measures(folder, {"red": red})


def is_fake(name: str) -> bool:
    """Every third picture, which is redder than the others."""
    return int(Path(name).stem) % 3 == 0


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pool") / "pool"
    (folder / "sub").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(PICTURES):
        name = f"sub/{number}.png" if number % 2 else f"{number}.png"
        colour = rng.integers(60, 160, 3) + np.array([40 * is_fake(name), 0, 0])
        Image.fromarray(np.full((20, 30, 3), colour, np.uint8)).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def started(bundle, pictures, tmp_path_factory) -> Path:
    """A run that has looked at the pool. Read only: copy it to label."""
    run = tmp_path_factory.mktemp("runs") / "run"
    result = active("start", "--pool", pictures, "--output", run, "--bundle", bundle, "--set", "count=4")
    assert f"{PICTURES} pictures" in result.stdout and f"looked at {PICTURES} of {PICTURES}" in result.stderr
    return run


@pytest.fixture
def run(started, tmp_path) -> Path:
    return shutil.copytree(started, tmp_path / "run")


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def answer(table: Path, most: int = 10**6) -> Path:
    """Write labels into a query's table, as a person would."""
    found = rows(table)
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, found[0].keys())
        writer.writeheader()
        for row in found:
            known = int(row["number"]) <= most
            writer.writerow(
                {**row, "label": ("fake" if is_fake(row["filename"]) else "real") if known else ""}
            )
    return table


def test_a_pool_is_asked_about_and_labelled_until_nothing_is_left(run, tmp_path, pictures):
    first = active("query", run, "--count", 12, "--output", tmp_path / "a.csv")
    assert "no labels of both kinds yet: drawn at random" in first.stderr
    asked = rows(tmp_path / "a.csv")
    assert len(asked) == 12 and list(asked[0]) == ["number", "filename", "label"]
    assert all((pictures / row["filename"]).is_file() and not row["label"] for row in asked)
    with Image.open(tmp_path / "a.jpg") as sheet:
        assert sheet.format == "JPEG" and sheet.width > 8 * 160 and sheet.height > 2 * 160

    learnt = active("learn", run, answer(tmp_path / "a.csv", most=10))
    assert "10 new labels; 2 rows have no label yet" in learnt.stdout
    second = active("query", run, "--count", 50, "--output", tmp_path / "b.csv")
    assert second.stderr == ""
    asked = rows(tmp_path / "b.csv")
    known = set(Pool(run).labels)
    assert len(asked) == PICTURES - 10 and not known & {row["filename"] for row in asked}
    active("learn", run, answer(tmp_path / "b.csv"))
    assert f"all {PICTURES} pictures of the pool are labelled" in one_line(
        "query", run, "--output", tmp_path / "c.csv"
    )

    labelled = read_labelled(run / "labels.csv")  # what realm-train probe takes
    assert len(labelled) == PICTURES
    assert all(each.fake == is_fake(each.path.name) and each.source == "pool" for each in labelled)


def test_a_query_is_the_same_until_more_is_learnt_whatever_was_killed(run, started, tmp_path):
    active("query", run, "--count", 8, "--output", tmp_path / "a.csv")
    active("query", started, "--count", 8, "--output", tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    active("learn", run, answer(tmp_path / "a.csv"))
    tables = []
    for name in ("c.csv", "d.csv"):
        active("query", run, "--count", 8, "--output", tmp_path / name)
        tables.append((tmp_path / name).read_bytes())
    assert tables[0] == tables[1] != (tmp_path / "a.csv").read_bytes()
    # Labels in another order, over two tables, leave no trace in what is asked next.
    other = shutil.copytree(started, tmp_path / "other")
    lines = answer(tmp_path / "a.csv").read_text().splitlines()
    for part, chosen in (("1.csv", lines[5:]), ("2.csv", lines[1:5])):
        (tmp_path / part).write_text("\n".join([lines[0], *reversed(chosen)]) + "\n")
        active("learn", other, tmp_path / part)
    active("query", other, "--count", 8, "--output", tmp_path / "e.csv")
    assert (tmp_path / "e.csv").read_bytes() == tables[0]


def test_a_start_that_failed_goes_on(bundle, pictures, tmp_path):
    pool = shutil.copytree(pictures, tmp_path / "pool")
    good = (pool / "28.png").read_bytes()
    (pool / "28.png").write_bytes(b"no picture")
    arguments = ("start", "--pool", pool, "--output", tmp_path / "run", "--bundle", bundle, "--quiet")
    assert "28.png" in one_line(*arguments)
    assert "its start did not come to an end" in one_line(
        "query", tmp_path / "run", "--output", tmp_path / "a.csv"
    )
    (pool / "28.png").write_bytes(good)
    assert "already holds a run; add --resume" in one_line(*arguments)
    active(*arguments, "--resume")
    assert len(Pool(tmp_path / "run").names) == PICTURES
    other = one_line(*arguments, "--resume", "--acquisition", "uniform")
    assert "was started with other settings (choose.acquisition)" in other


def test_what_is_wrong_is_one_line(run, started, pictures, bundle, tmp_path):
    asked = tmp_path / "labelled.csv"
    active("query", run, "--count", 3, "--output", asked)
    lines = answer(asked).read_text().splitlines()
    asked.write_text("\n".join([*lines[:-1], lines[-1].replace("real", "maybe").replace("fake", "maybe")]))
    assert one_line("learn", run, asked) == f"error: {asked}, line 4: label 'maybe'; write real or fake"
    assert not Pool(run).labels
    assert "give a .csv file in a folder that is there" in one_line(
        "query", run, "--output", tmp_path / "x.txt"
    )
    new = ("start", "--pool", pictures, "--output", tmp_path / "new", "--bundle", bundle)
    for more, words in (
        (("--acquisition", "loss-bald"), "the loss needs labels that nobody has given"),
        (("--acquisition", "best"), "choose one of uniform, max-entropy"),
        (("--set", "passes=noise"), "choose one of bootstrap, views, dropout"),
    ):
        assert words in one_line(*new, *more)
    (run / "features.npy").unlink()
    assert "not a complete pool" in one_line("query", run, "--output", asked)


def test_a_correction_has_to_be_said(run, tmp_path):
    table = tmp_path / "a.csv"
    active("query", run, "--count", 3, "--output", table)
    active("learn", run, answer(table))
    name = rows(table)[0]["filename"]
    table.write_text(f"filename,label\n{name},{'real' if is_fake(name) else 'fake'}\n")
    assert "--correct changes it" in one_line("learn", run, table)
    active("learn", run, table, "--correct")
    assert Pool(run).labels[name] == ("real" if is_fake(name) else "fake") and len(Pool(run).labels) == 3


@pytest.mark.parametrize("passes", ["views", "dropout"])
def test_a_pool_with_other_passes(passes, bundle, pictures, tmp_path):
    run = tmp_path / "run"
    more = ("--set", f"passes={passes}", "--set", "count=3", "--balanced", "--quiet")
    active("start", "--pool", pictures, "--output", run, "--bundle", bundle, *more)
    active("query", run, "--count", 10, "--output", tmp_path / "a.csv")
    active("learn", run, answer(tmp_path / "a.csv"))
    active("query", run, "--count", 6, "--output", tmp_path / "b.csv")
    assert Pool(run).features.shape == (4 if passes == "views" else 1, PICTURES, 3)
    assert len(rows(tmp_path / "b.csv")) == 6


@pytest.mark.parametrize("profile", ["default", "published"])
def test_a_simulation_is_written_as_curves(profile, bundle, pictures, tmp_path):
    data = tmp_path / "labels.csv"
    names = sorted(path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png"))
    lines = [f"{pictures / name},{'fake' if is_fake(name) else 'real'},test" for name in names]
    data.write_text("\n".join(["filename,label,source", *lines]) + "\n")
    settings = (
        "folds=2",
        "seeds=1",
        "start=4",
        "query=4",
        "most=12",
        "choose.count=3",
        "epochs=1",
        "warm_up=1",
    )
    result = active(
        *("simulate", "--data", data, "--output", tmp_path / "run", "--bundle", bundle, "--profile", profile),
        *(argument for setting in settings for argument in ("--set", setting)),
    )
    assert "area under AUC" in result.stdout and "better than asking at random: " in result.stdout
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["cells"] == 2 and len(metrics["acquisitions"]) == 9
    assert metrics["acquisitions"]["uniform"]["gain"] is None
    curves = rows(tmp_path / "run" / "curves.csv")
    assert [row["labels"] for row in curves[:3]] == ["4", "8", "12"] and len(curves) == 27
    assert (tmp_path / "run" / "curves.png").stat().st_size > 10_000
