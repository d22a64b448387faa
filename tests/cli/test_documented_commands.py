"""What README and docs/ tell a reader to type is typed: page by page, in a folder of a reader's files.

`NOT_RUN` names what is not, each with the reason. That every documented option exists is tests/test_repository.py's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from repository import ROOT, SAMPLES

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OWN = r"(realm-engine|python -m export|realm-train) "

# By how a command begins: why it is not run here.
NOT_RUN = {
    r"(?!realm-engine|realm-train|python -m export)": "no program that we install: make, docker, pip, recipes",
    r"realm-train (core|clip|evaluate|import-core) ": "minutes to hours: test_realm_train_core.py, _clip.py, small",
    r"realm-train (ridge|active|probe|import-probe) ": "the same: test_realm_train_ridge.py, _active.py, _probe.py",
    r"python -m export .*(--core|--clip|--real-fake|--ridge) ": "of what training makes: the same, and tests/export",
    r"python -m export --graph FILE\.onnx ": "the command of docs/scores.md with other values",
    r"python -m export --into BUNDLE ": "of a bundle without niqe and brisque: tests/cli/test_scene_statistics_cli.py",
    r"realm-engine score .*--bundle (bundles/)?(mine|probe)\b": "of bundles that the lines before it make",
    r"realm-engine map samples --bundle bundles/realm ": "the same",
    r"realm-engine models (pull|push|remove) ": "other machines: test_models.py, with a server of its own",
    r"realm-engine tune ": "a minute of every core: tests/cli/test_tune.py",
    r"realm-engine serve ": "ends when it is told to: tests/cli/test_serve_documented.py",
    r"realm-engine build ": "minutes of TensorRT: tests/cli/test_build.py",
}


def commands(page: Path) -> list[str]:
    """The lines of a page's shell blocks, continued ones joined, without comments."""
    visible = re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = []
    for block in re.findall(r"```sh\n(.*?)```", visible, flags=re.DOTALL):
        lines = re.sub(r"\\\n\s*", "", block).splitlines()
        found += [re.sub(r"\s+#.*", "", line).strip() for line in lines if line.strip() and line[0] != "#"]
    return found


def reason(command: str) -> str | None:
    return next((pattern for pattern in NOT_RUN if re.match(pattern, f"{command} ")), None)


RUN = {page.name: wanted for page in PAGES if (wanted := [c for c in commands(page) if not reason(c)])}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A reader's working directory: the samples, and files of the names that the pages use."""
    import onnx
    from own_graphs import MEAN_LEVEL, parsed

    desk = tmp_path_factory.mktemp("desk")
    (desk / "samples").symlink_to(SAMPLES)
    rng = np.random.default_rng(0)
    folders = ("out/a", "out/b", "out/c", "DIR", "PICTURES")
    for seed, folder in enumerate(folders):
        (desk / folder).mkdir(parents=True)
        for index in range(3):
            with Image.open(SAMPLES / "coffee.jpg") as sample:
                pixels = np.asarray(sample.resize((208, 200)), np.int16)
            noise = rng.normal(0, 4 * seed + index, pixels.shape)
            Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(
                desk / folder / f"{index}.png"
            )
    names = [f"{index}.png" for index in range(3)]
    (desk / "prompts.csv").write_text(
        "\n".join(["filename,prompt", *(f"{n},a cup {n}" for n in names)]) + "\n"
    )
    rows = [f"out/{generator}/{n},{generator}" for generator in "ab" for n in names]
    (desk / "pictures.csv").write_text("\n".join(["filename,generator", *rows]) + "\n")
    rows = [f"{n},{generator},{index}" for index, generator in enumerate("ab") for n in names]
    (desk / "finished.csv").write_text("\n".join(["filename,generator,taste", *rows]) + "\n")
    (desk / "list.txt").write_text("samples/cat.jpg\nout/a/0.png\n")
    onnx.save(parsed(MEAN_LEVEL), desk / "brightness.onnx")
    run(desk, "realm-engine score samples --output out/scores.csv")
    yield desk
    shutil.rmtree(desk)


def run(desk: Path, command: str) -> None:
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "REALM_CACHE_DIR": str(desk / "cache"),
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=desk,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_the_commands_of_a_page_work_in_their_order(page: str, desk: Path) -> None:
    for command in RUN[page]:
        run(desk, command)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/compare.md", "docs/pictures.md"])
def test_the_programs_of_a_page_work_in_their_order(page: str, desk: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    (desk / "program.py").write_text("\n".join(blocks), encoding="utf-8")
    run(desk, "python program.py")


def test_every_reason_is_still_needed() -> None:
    everything = [command for page in PAGES for command in commands(page)]
    assert {reason(command) for command in everything} - {None} == set(NOT_RUN)
    assert sum(map(len, RUN.values())) > 30
