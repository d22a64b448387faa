"""The Dockerfile where no container can be built: its COPY and RUN lines, in order, give an engine that scores."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from repository import ROOT, SAMPLES

Step = tuple[str, str]


def steps() -> list[Step]:
    """Every instruction, (word, rest), comments gone and lines joined."""
    text = "\n".join(
        line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")
    )
    lines = text.replace("\\\n", " ").splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.strip().partition(" ") for line in lines) if word]


def stages() -> dict[str, list[Step]]:
    """The instructions of each stage, by its name; the last is ""."""
    found: dict[str, list[Step]] = {}
    name = None
    for word, rest in steps():
        if word == "FROM":
            name = rest.rpartition(" AS ")[2] if " AS " in rest else ""
            found[name] = []
        elif name is not None:
            found[name].append((word, rest))
    return found


def copied(stage: list[Step]) -> list[tuple[list[str], str]]:
    """What a stage copies from the clone: sources and target."""
    lines = [rest.split() for word, rest in stage if word == "COPY" and not rest.startswith("--from")]
    return [(words[:-1], words[-1]) for words in lines]


def shell(rest: str) -> str:
    """A RUN line without what only a builder understands."""
    return re.sub(r"--mount=\S+\s*", "", rest)


def test_one_image_for_each_device():
    found = stages()
    assert list(found) == ["source", "cpu", "cuda", "installed", ""]
    extras = {
        name: re.findall(r"'\.\[([\w,]+)\]'", " ".join(rest for _, rest in found[name])) for name in found
    }
    assert extras["cpu"] == ["cpu,compare,parquet,serve"] and extras["cuda"] == ["gpu,compare,parquet,serve"]


def test_the_image_runs_as_nobody_that_may_do_harm():
    last = dict(stages()[""])
    user = last["USER"].split(":")[0]
    assert user.isdigit() and int(user) > 0
    assert list(dict(stages()[""]))[-2:] == ["ENTRYPOINT", "CMD"]


def test_dockerignore_lets_in_what_is_copied_and_little_else():
    allowed = [
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    sources = {source for copy, _ in copied(stages()["source"]) for source in copy}
    assert sources == set(allowed)
    assert all((ROOT / source).exists() for source in sources)
    assert any(fnmatch.fnmatch("anything", line) for line in (ROOT / ".dockerignore").read_text().split())


@pytest.mark.slow
def test_its_steps_install_an_engine_that_scores(tmp_path):
    """Offline: pip may take nothing but what is here, and what REALM needs is lent by this environment."""
    places = {"/opt/realm": tmp_path / "opt", "/cache": tmp_path / "cache"}
    source = tmp_path / "src"
    for sources, target in copied(stages()["source"]):
        for each in sources:
            to = source / target / (Path(each).name if target.endswith("/") or target == "./" else "")
            to.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / each).is_dir():
                shutil.copytree(ROOT / each, source / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / each, to)
    offline = {
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_IGNORE_INSTALLED": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PYTHONPATH": sysconfig.get_path("purelib"),
    }
    for name in ("source", "cpu", ""):
        for word, rest in stages()[name]:
            if word == "RUN":
                command = shell(rest)
                for here, there in places.items():
                    command = command.replace(here, str(there))
                run(command, source, offline)
    assert oct(places["/cache"].stat().st_mode)[-4:] == "1777"
    command = f"{places['/opt/realm']}/bin/realm-engine score {SAMPLES / 'cat.jpg'} --no-descriptions"
    said = run(command, tmp_path, {"PYTHONPATH": sysconfig.get_path("purelib")})
    assert said.startswith("filename,mos,realness") and "cat.jpg" in said


def run(command: str, folder: Path, environment: dict[str, str]) -> str:
    result = subprocess.run(
        ["sh", "-euc", command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    return result.stdout
