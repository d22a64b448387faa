"""`realm-train probe` on backbones as a user runs it, by both recipes: from pictures to a measure of a bundle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from bundles import read_manifest
from click.testing import CliRunner, Result
from command_line import run_export
from PIL import Image
from safetensors.torch import load_file

from export.parts.probe_tower import PublishedTower
from realm_engine import Engine
from realm_train.cli.main import main
from realm_train.probe.checkpoint import open_probe

BACKBONE = ("--arch", "lcnet_035", "--weights", "none")
# A tenth of the recipe: two folds, one strength.
LITTLE = ("--set", "views=2", "--set", "seeds=1", "--set", "outer_folds=2", "--set", "choice.folds=2",
          "--set", "choice.c=0.01", "--set", "choice.wrong=0.2")  # fmt: skip
TERMS = ("--licence", "MIT", "--training-data", "16 pictures of a test")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """So small a network waits for its threads, where other tests run beside it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 pictures: photographs of noise by two cameras, all JPEG, and smooth fakes, all PNG, which is a shortcut."""
    folder = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    for number in range(16):
        source = ("real/nikon", "fake/sdxl", "real/canon", "fake/sdxl")[number % 4]
        (folder / source).mkdir(parents=True, exist_ok=True)
        noise = rng.normal(rng.uniform(90, 160), 50 if number % 2 == 0 else 4, (100, 130, 3))
        kind = "jpg" if number % 2 == 0 else "png"
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(folder / source / f"{number}.{kind}")
    return folder


@pytest.fixture(scope="module")
def linear(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    run = tmp_path_factory.mktemp("linear") / "run"
    return run, train("probe", "--data", data, *BACKBONE, *LITTLE, "--output", run, "--quiet")


@pytest.mark.slow
def test_a_linear_probe_on_a_backbone_becomes_a_bundle(
    linear: tuple[Path, Result], data: Path, tmp_path: Path
) -> None:
    run, result = linear
    assert result.exit_code == 0, result.output
    assert load_file(run / "checkpoint.safetensors").keys() > {"weight", "backbone.conv_stem.weight"}
    assert json.loads((run / "probe.json").read_text())["tower"]["backbone"] == "lcnet_035"
    done = run_export(
        "--real-fake", run, *TERMS, "--output", tmp_path / "b", "--verify-images", data / "real" / "nikon"
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(tmp_path / "b")
    assert manifest["towers"]["real_fake_tower"]["view"]["kind"] == "centre-crop"
    assert manifest["measures"]["real-fake"]["metrics"]["fitted_to"] == {
        "fake/sdxl": 8, "real/canon": 4, "real/nikon": 4,
    }  # fmt: skip
    with Engine.open(tmp_path / "b", device="cpu", threads=1) as engine:
        rows = engine.score(
            sorted(data.rglob("*.png"))[:3] + sorted(data.rglob("*.jpg"))[:3], metrics="real-fake"
        )
    assert all(row.error is None and 0 <= row["p_fake"] <= 1 for row in rows)
    assert {row["verdict"] for row in rows} <= {"real", "uncertain", "fake"}


@pytest.mark.slow
def test_shortcuts_are_reported(linear: tuple[Path, Result]) -> None:
    run, result = linear
    found = json.loads((run / "metrics.json").read_text())["shortcuts"]
    assert found["the file's type"] > 0.75
    assert "warning: the file's type alone tells real from fake with an AUC of" in result.stderr


@pytest.mark.slow
def test_the_published_recipe(data: Path, tmp_path: Path) -> None:
    little = ("--set", "epochs=1", "--set", "batch_size=8")
    arguments = (
        "probe",
        "--recipe",
        "published",
        "--data",
        data,
        *BACKBONE,
        *little,
        "--output",
        tmp_path / "run",
    )
    result = train(*arguments, "--test", data, "--select", "test", "--quiet")
    assert result.exit_code == 0, result.output
    assert "epoch 1, chosen on these very pictures; of 16 test pictures" in result.stdout
    assert "a hint, not a proof" in result.stdout
    again = train(*arguments, "--quiet")
    assert again.exit_code == 2 and "already holds a run; add --resume" in again.stderr
    part = PublishedTower(open_probe(tmp_path / "run"))
    assert "its epoch chosen on test pictures" in part.measures()["real-fake"].columns[0].meaning
    assert part.metrics["selected_on"] == "test" and part.metrics["pictures"] == 16


def test_an_imported_probe(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1, 512), "bias": torch.zeros(1)}, tmp_path / "fc.pth")
    result = train("import-probe", tmp_path / "fc.pth", "--arch", "resnet18", "--weights", "none",
                   "--output", tmp_path / "run")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "python -m export --real-fake" in result.stdout
    result = train("import-probe", tmp_path / "fc.pth", "--arch", "vgg11", "--weights", "none",
                   "--output", tmp_path / "other")  # fmt: skip
    assert result.exit_code == 2
    assert "its head takes 512 features ([1, 512], [1]), vgg11 gives 4096" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recipe", "published"), "--recipe published has no core; name a backbone"),
        (
            ("--recipe", "published", *BACKBONE, "--no-validation"),
            "--no-validation is of --recipe linear; leave it out",
        ),
        (("--resume",), "--resume is of --recipe published; leave it out"),
        (("--weights", "none"), "--weights is of backbones, and core has those of its bundle"),
        ((*BACKBONE, "--bundle", "realm-tiny"), "--bundle is of --arch core, and lcnet_035 is in none"),
        (("--arch", "resnet51"), "did you mean resnet"),
    ],
)
def test_what_does_not_go_together(
    arguments: tuple[str, ...], message: str, data: Path, tmp_path: Path
) -> None:
    result = train("probe", "--data", data, "--output", tmp_path / "run", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
