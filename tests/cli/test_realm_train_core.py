"""`realm-train` as a user runs it, in processes of its own."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from train_data import write_data, write_text_tower

from realm_train.cli.main import main

TINY = (
    "image_tower=test_efficientnet",
    "image_weights=none",
    "image_height_px=32",
    "image_width_px=48",
    "stages=1,3",
    "max_tokens=16",
    "hidden=8",
    "batch_size=4",
    "epochs=2",
    "freeze_image=none",
    "mixed_precision=no",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    write_data(folder / "data", 12, test=5)
    write_text_tower(folder / "bert")
    return folder


def core_arguments(folder: Path, output: Path, *extra: str) -> list[str]:
    settings = [argument for setting in TINY for argument in ("--set", setting)]
    places = ["--data", str(folder / "data"), "--text-tower", str(folder / "bert"), "--output", str(output)]
    return ["core", *places, *settings, "--device", "cpu", *extra]


def invoke(*arguments: str):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(main, list(arguments))


def test_train_and_evaluate(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained = invoke(*core_arguments(folder, run))
    assert trained.exit_code == 0, trained.output
    assert "kept epoch" in trained.stdout and "validation, image only: SROCC" in trained.stdout
    assert "epoch 2  loss" in trained.stderr

    evaluated = invoke(
        "evaluate", "core", str(run), "--data", str(folder / "data"), "--split", "test", "--device", "cpu"
    )
    assert evaluated.exit_code == 0, evaluated.output
    assert "5 images" in evaluated.stdout and "with text" in evaluated.stdout
    metrics = json.loads((run / "evaluation-test" / "metrics.json").read_text())
    assert (
        metrics["text"]["rmse"]["low"] <= metrics["text"]["rmse"]["value"] <= metrics["text"]["rmse"]["high"]
    )

    again = invoke(*core_arguments(folder, run))
    assert again.exit_code == 2
    assert again.stderr.splitlines()[-1].startswith("error: ") and "--resume" in again.stderr


def test_cross_validation(folder: Path, tmp_path: Path) -> None:
    result = invoke(
        *core_arguments(folder, tmp_path / "cv", "--cross-validate", "2", "--quiet", "--set", "epochs=1"),
        *("--photographs", "f1*"),
    )
    assert result.exit_code == 0, result.output
    assert "12 images" in result.stdout and "mean of 2 folds" in result.stdout
    assert (tmp_path / "cv" / "fold-1" / "checkpoint.safetensors").is_file()
    scale = json.loads((tmp_path / "cv" / "scale.json").read_text())
    assert (scale["images"], scale["share"], scale["photographs"]) == (12, 0.9, "f1*")
    with (tmp_path / "cv" / "predictions.csv").open() as file:
        found = list(csv.DictReader(file))
    errors = [abs(float(row["predicted_image_only"]) - float(row["mos"])) for row in found]
    assert scale["half_width"]["image_only"] == pytest.approx(sorted(errors)[11], abs=2e-6)
    # f1, f10 and f11 are too few to rank; so are nine others
    assert scale["percentiles"] == {}
    pooled = invoke(
        "evaluate", "core", str(tmp_path / "cv"), "--data", str(folder / "data"), "--folds", "--device", "cpu"
    )
    assert pooled.exit_code == 0 and pooled.stdout == result.stdout


def test_one_fold_and_no_validation(folder: Path, tmp_path: Path) -> None:
    one = invoke(
        *core_arguments(folder, tmp_path / "one", "--folds", "3", "--fold", "2", "--set", "epochs=1")
    )
    assert one.exit_code == 0, one.output
    split = json.loads((tmp_path / "one" / "split.json").read_text())
    assert len(split["train"]) == 8 and len(split["validation"]) == 4
    every = invoke(
        *core_arguments(folder, tmp_path / "all", "--no-validation", "--set", "epochs=1", "--limit", "6")
    )
    assert every.exit_code == 0 and every.stdout == f"kept epoch 1 in {tmp_path / 'all'}\n"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--set", "epoch=3"), "unknown setting 'epoch'; did you mean 'epochs'?"),
        (("--set", "epochs=many"), "epochs=many: expected int, found 'many'"),
        (("--set", "schedule=step"), "schedule is 'step', expected one of constant, cosine"),
        (("--folds", "3"), "--folds K and --fold I belong together"),
        (("--folds", "3", "--fold", "3"), "fold is 3, expected 0 to 2"),
        (("--folds", "3", "--fold", "0", "--no-validation"), "give only one of"),
        (("--cross-validate", "1"), "at least 2 folds"),
        (("--cross-validate", "40"), "12 rows cannot be split into 40 folds"),
        (("--image-weights", "nowhere.safetensors"), "nowhere.safetensors: no such weights file"),
        (("--text-tower", "./nowhere"), "no such folder"),
        (("--data", "./nowhere"), "nowhere: no such folder"),
    ],
)
def test_errors_are_one_line(folder: Path, tmp_path: Path, extra: tuple[str, ...], message: str) -> None:
    result = invoke(*core_arguments(folder, tmp_path / "run", *extra))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_import_of_a_file_that_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1)}, tmp_path / "best_model.pth")
    result = invoke("import-core", str(tmp_path / "best_model.pth"), "--output", str(tmp_path / "run"))
    assert result.exit_code == 2
    assert "not a REALM checkpoint" in result.stderr and not (tmp_path / "run").exists()


def test_help_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "from realm_train.cli.main import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    print('torch' in sys.modules)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "evaluate" in found.stdout and found.stdout.endswith("False\n")


def read_numbers(path: Path) -> list[float]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [float(cell) for row in rows for key, cell in row.items() if key != "filename"]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def test_kill_and_resume(folder: Path, tmp_path: Path) -> None:
    """SIGKILL between two epochs; the resumed run ends with the weights of an uninterrupted one."""
    settings = ("--set", "epochs=12", "--set", "keep=last", "--quiet")
    command = [
        sys.executable,
        "-m",
        "realm_train.cli.main",
        *core_arguments(folder, tmp_path / "killed", *settings),
    ]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (tmp_path / "killed" / "last.state").is_file() and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    killed_after = len((tmp_path / "killed" / "metrics.csv").read_text().splitlines()) - 1
    assert 1 <= killed_after < 12 and not (tmp_path / "killed" / "summary.json").exists()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        resumed = invoke(*core_arguments(folder, tmp_path / "killed", *settings, "--resume"))
        assert resumed.exit_code == 0, resumed.output
        straight = invoke(*core_arguments(folder, tmp_path / "straight", *settings))
        assert straight.exit_code == 0, straight.output
    finally:
        torch.set_num_threads(threads)
    expected, found = (
        load_file(tmp_path / name / "checkpoint.safetensors") for name in ("straight", "killed")
    )
    assert all(torch.equal(expected[key], found[key]) for key in expected)


@pytest.mark.parametrize(
    "settings",
    [
        ("text_dropout=0", "dropout=0", "loss=mse", "freeze_batch_norm=true"),
        ("head=kernel", "image_pooling=stages", "missing_text=none", "freeze_text=true", "freeze_image=all"),
    ],
    ids=["gradient", "kernel"],
)
def test_two_processes(folder: Path, tmp_path: Path, settings: tuple[str, ...]) -> None:
    """torchrun: work is shared out, one process writes, and the result is close to that of one process."""
    # 10 rows leave 8 to train on, which both ways make batches of 4.
    extra = [*(part for setting in settings for part in ("--set", setting)), "--limit", "10"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command = [*launch, "-m", "realm_train.cli.main", *core_arguments(folder, tmp_path / "two", *extra)]
    process = subprocess.Popen(
        command,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=240)
    finally:
        if process.poll() is None:  # the launcher and its children
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, stderr[-3000:]
    assert stdout.count("kept epoch") == 1
    one = invoke(*core_arguments(folder, tmp_path / "one", *extra))
    assert one.exit_code == 0, one.output
    for name, tolerance in (("metrics.csv", 1e-3), ("predictions.csv", 0.02)):
        expected, found = (read_numbers(tmp_path / run / name) for run in ("one", "two"))
        assert found == pytest.approx(expected, abs=tolerance, nan_ok=True)
