"""`realm-train clip` and `realm-train evaluate map` as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from clip_data import write_native_config, write_pictures

from realm_train.cli.main import main

SMALL = (
    "steps=3",
    "steps_per_epoch=2",
    "precision=fp32",
    "workers=0",
    "validation_photographs=2",
    "test_photographs=2",
    "pairs.images=2",
    "pairs.described=1",
    "pairs.windows_px=32,48",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    write_pictures(folder / "data", 6)
    write_native_config(folder)
    return folder


def script(
    *arguments: object, cwd: Path | None = None, timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """The installed console script in a process of its own."""
    path = Path(sys.executable).with_name("realm-train")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [str(path), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=timeout, env=environment, cwd=cwd
    )


def train(folder: Path, output: Path, *extra: object) -> list[object]:
    settings = [argument for setting in SMALL for argument in ("--set", setting)]
    model = ["--model", folder / "native.json"]
    return ["clip", "--data", folder / "data", "--output", output, *model, *settings, *extra]


def invoke(*arguments: object):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    done = script(*train(folder, folder / "run"))
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == ["epoch", "loss", "lr", "logit_scale", "auc", "auc_wrong_text", "flatness"]
    assert "epoch 2  loss" in done.stderr
    return folder / "run"


def test_train(folder: Path, run: Path) -> None:
    settings = json.loads((run / "config.json").read_text())
    assert settings["photographs"] == "r*"
    assert settings["config"]["pairs"]["windows_px"] == [32, 48]
    assert settings["config"]["model"] == str(folder / "native.json")
    again = invoke(*train(folder, run, "--quiet"))
    assert again.exit_code == 2
    assert again.stderr.startswith("error: ") and "--resume" in again.stderr
    resumed = invoke(*train(folder, run, "--quiet", "--resume"))
    assert resumed.exit_code == 0, resumed.output
    assert resumed.stdout.startswith("epoch 2\nloss ") and resumed.stderr == ""


def test_evaluate_map_of_a_run(folder: Path, run: Path, tmp_path: Path) -> None:
    result = tmp_path / "maps.json"
    places = ["evaluate", "map", run, "--data", folder / "data", "--split", "test", "--output", result]
    done = script(*places, "--window", "48", "--stride", "24", "--per-photograph", "2")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    quality = json.loads(result.read_text())
    assert 1 <= quality["images"] <= 4
    assert 0 <= quality["auc"] <= 1 and 0 <= quality["auc_centre"] <= 1
    printed = dict(line.rsplit(maxsplit=1) for line in done.stdout.splitlines() if "AUC" not in line)
    assert float(printed["auc"]) == pytest.approx(quality["auc"], rel=1e-3)
    assert sum(" AUC " in line for line in done.stdout.splitlines()) == len(quality["by_kind"])

    held_out = invoke(*places[:-2], "--window", "48", "--stride", "24", "--kinds", "held-out")
    assert held_out.exit_code == 0, held_out.output
    kinds = [line for line in held_out.stdout.splitlines() if " AUC " in line]
    assert kinds and all(line.endswith("(never trained on)") for line in kinds)
    again = invoke(*places[:-2], "--window", "48", "--stride", "24", "--kinds", "held-out")
    assert again.stdout == held_out.stdout


def test_a_run_is_judged_on_data_it_never_saw(folder: Path, run: Path, bundle_path: Path) -> None:
    """As many photographs as usual are held out of them, whatever the run held out of its own."""
    places = ("--data", folder / "data", "--per-photograph", "1")
    few = invoke("evaluate", "map", run, *places, "--unseen")
    assert few.exit_code == 2 and "6 images match 'r*', but 39 are to be held out" in few.stderr
    bundle = invoke("evaluate", "map", bundle_path, *places, "--unseen")
    assert bundle.exit_code == 2 and "--unseen belongs to a run" in bundle.stderr


def test_evaluate_map_of_a_bundle(folder: Path, bundle_path: Path) -> None:
    done = invoke(
        *("evaluate", "map", bundle_path, "--data", folder / "data", "--per-photograph", "1"),
        *("--preset", "released", "--photographs", "r0*"),
    )
    assert done.exit_code == 2  # one photograph: none could be held out
    assert "1 images match 'r0*', but 39 are to be held out" in done.stderr


def write_exam(path: Path, *boxes: tuple[str, int]) -> Path:
    """An exam with one box of 30 x 40 px in each picture, by name and left edge."""
    pictures = [
        {"name": name, "boxes": [{"top": 9, "left": left, "height": 30, "width": 40}]} for name, left in boxes
    ]
    path.write_text(json.dumps({"pictures": pictures}), encoding="utf-8")
    return path


def test_evaluate_map_on_an_exam(folder: Path, run: Path, tmp_path: Path) -> None:
    result = tmp_path / "maps.json"
    exam = write_exam(tmp_path / "exam.json", ("g6", 20), ("r0", 130))
    places = ["evaluate", "map", run, "--data", folder / "data", "--exam", exam]
    done = invoke(*places, "--window", "48", "--stride", "24", "--output", result)
    assert done.exit_code == 0, done.output
    quality = json.loads(result.read_text())
    assert quality["images"] == 2 and list(quality["by_picture"]) == ["g6", "r0"]
    assert quality["auc"] == pytest.approx(sum(quality["by_picture"].values()) / 2)
    assert 0 <= quality["auc_low"] <= quality["auc"] <= quality["auc_high"] <= 1
    printed = dict(line.rsplit(maxsplit=1) for line in done.stdout.splitlines())
    assert printed.keys() == quality.keys() - {"by_picture"}
    assert float(printed["auc"]) == pytest.approx(quality["auc"], rel=1e-3)
    assert invoke(*places, "--window", "48", "--stride", "24").stdout == done.stdout


@pytest.mark.parametrize(
    ("boxes", "extra", "message"),
    [
        ([("g6", 0)], ("--kinds", "all"), "--kinds is about planted flaws, --exam about real ones"),
        ([("g6", 0)], ("--split", "test"), "--split is about planted flaws, --exam about real ones"),
        ([("g6", 0)], ("--photographs", "r*"), "--photographs is about planted flaws"),
        ([("g6", 0)], ("--per-photograph", "2"), "--per-photograph is about planted flaws"),
        ([("g6", 0)], ("--exam", "nowhere.json"), "nowhere.json: no such file; give the JSON file of an exam"),
        ([], (), "exam.json: has no pictures"),
        ([("g6", 0), ("g9", 0)], (), "exam.json: g9 is not in"),
        ([("g6", 140), ("r0", 0)], (), "exam.json: g6: the box of rows 9 to 38, columns 140 to 179 leaves the picture"),
    ],
)  # fmt: skip
def test_errors_of_an_exam_are_one_line(
    folder: Path,
    run: Path,
    tmp_path: Path,
    boxes: list[tuple[str, int]],
    extra: tuple[str, ...],
    message: str,
) -> None:
    exam = write_exam(tmp_path / "exam.json", *boxes)
    result = invoke("evaluate", "map", run, "--data", folder / "data", "--exam", exam, *extra)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--data", "./nowhere"), "nowhere: no such folder"),
        (("--photographs", "g*"), "2 images match 'g*', but 4 are to be held out"),
        (("--set", "step=3"), "unknown setting 'step'; did you mean 'steps'?"),
        (("--set", "steps=0"), "steps must be at least 1"),
        (("--set", "steps=many"), "steps=many: expected int, found 'many'"),
        (("--model", "ViT-B-33"), "open_clip has no model 'ViT-B-33'"),
        (("--weights", "nowhere.pt"), "nowhere.pt: no such weights file"),
        (("--set", "precision=fp8"), "precision 'fp8'"),
    ],
)
def test_errors_of_training_are_one_line(
    folder: Path, tmp_path: Path, extra: tuple[str, ...], message: str
) -> None:
    result = invoke(*train(folder, tmp_path / "run", "--quiet", *extra))
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--preset", "released"), "--preset belongs to a bundle"),
        (("--data", "./nowhere"), "nowhere: no such folder"),
        (("--photographs", "g*"), "2 images match 'g*', but 4 are to be held out"),
        (("--window", "600"), "a window of 600 px does not fit an image of 176 x 144 px"),
        (("--output", "nowhere/maps.json"), "nowhere: no such folder"),
    ],
)
def test_errors_of_evaluation_are_one_line(
    folder: Path, run: Path, extra: tuple[str, ...], message: str
) -> None:
    result = invoke("evaluate", "map", run, "--data", folder / "data", *extra)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_what_is_neither_run_nor_bundle(folder: Path, tmp_path: Path, bundle_path: Path) -> None:
    nothing = invoke("evaluate", "map", tmp_path / "nowhere", "--data", folder / "data")
    assert nothing.exit_code == 2 and len(nothing.stderr.splitlines()) == 1
    assert str(tmp_path / "nowhere") in nothing.stderr
    window = invoke("evaluate", "map", bundle_path, "--data", folder / "data", "--window", "64")
    assert window.exit_code == 2 and "--window belongs to a run" in window.stderr
    preset = invoke("evaluate", "map", bundle_path, "--data", folder / "data", "--preset", "none")
    assert preset.exit_code == 2 and "has no preset 'none'; it has" in preset.stderr


def test_workers_run_nothing_of_the_working_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    names = ("pickle", "socket", "runpy", "signal", "json", "numpy", "torch")
    for name in names:
        (tmp_path / "downloads" / f"{name}.py").write_text(f"open({str(tmp_path / name)!r}, 'w').close()\n")
    more = [word for one in ("workers=1", "steps=1", "steps_per_epoch=1") for word in ("--set", one)]
    done = script(*train(folder, tmp_path / "run", *more), cwd=tmp_path / "downloads", timeout=180)
    assert [name for name in names if (tmp_path / name).exists()] == []
    assert done.returncode == 0, done.stderr
