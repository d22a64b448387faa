"""What is said where packages are missing: one line with a command that works, and bugs stay bugs."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
from repository import ROOT

from realm_engine.machine.packages import MODULES, REQUIREMENTS, MissingPackageError, install_command, needs

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]

# The environment of `make demo`, seen from within the full one.
BLOCKER = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(scope="module")
def lean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables of a Python where only the engine's own packages can be imported."""
    folder = tmp_path_factory.mktemp("lean")
    absent = MODULES["all"] - {"onnxruntime"}
    (folder / "sitecustomize.py").write_text(f"ABSENT = {sorted(absent)}\n{BLOCKER}", encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(folder)}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    ("arguments", "program", "extra"),
    [
        (["-m", "realm_train.cli.main", "core", "--data", "x", "--output", "y"], "realm-train", "train"),
        (["-m", "realm_train.cli.main", "clip", "--data", "x", "--output", "y"], "realm-train", "train"),
        (["-m", "realm_train.cli.main", "evaluate", "core", "x", "--data", "y"], "realm-train", "train"),
        (["-m", "realm_train.cli.main", "evaluate", "map", "x", "--data", "y"], "realm-train", "train"),
        (["-m", "export", "--core", "x", "--output", "OUT"], "python -m export", "export"),
        (["-m", "export", "--clip", "ViT-B-32", "--output", "OUT"], "python -m export", "export"),
        (["-m", "benchmarks", "--quick", "--output", "OUT"], "python -m benchmarks", "all"),
    ],
)
def test_a_lean_environment_gets_one_line_with_the_cure(lean, tmp_path, arguments, program, extra) -> None:
    done = run(lean, *(word.replace("OUT", str(tmp_path / "out")) for word in arguments))
    assert done.returncode == 2 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {program} needs ")
    assert line.endswith(f"; in a clone of REALM run: pip install -c constraints.txt '.[{extra}]'")


def test_help_needs_no_packages(lean) -> None:
    for module in ("realm_train.cli.main", "export", "benchmarks", "realm_engine"):
        done = run(lean, "-m", module, "--help")
        assert done.returncode == 0 and "Usage: " in done.stdout and not done.stderr


def test_the_engine_works_there_and_parquet_is_one_line(lean, tmp_path) -> None:
    table, picture = tmp_path / "scores.csv", str(ROOT / "samples" / "cat.jpg")
    done = run(lean, "-m", "realm_engine", "score", picture, "--no-descriptions", "--output", str(table))
    assert done.returncode == 0 and "cat.jpg" in table.read_text(encoding="utf-8")
    done = run(lean, "-m", "realm_engine", "score", picture, "--output", str(tmp_path / "scores.parquet"))
    assert done.returncode == 2
    assert done.stderr == "error: Parquet needs pyarrow: pip install 'pyarrow>=16', or write .csv or .jsonl\n"


def test_python_m_realm_engine_is_realm_engine() -> None:
    done = run(dict(os.environ), "-m", "realm_engine", "--version")
    assert done.stdout.startswith("realm-engine, version ") and done.returncode == 0
    assert run(dict(os.environ), "-m", "realm_engine", "score", "nowhere").returncode == 2


@pytest.mark.parametrize("name", ["realm_train.missing", "torch.missing", "sympy", None])
def test_other_modules_that_are_missing_stay_bugs(name) -> None:
    with pytest.raises(ModuleNotFoundError), needs("program", "train"):
        raise ModuleNotFoundError("gone", name=name)


def test_a_missing_package_of_the_extra_is_an_error_of_the_user() -> None:
    with (
        pytest.raises(
            MissingPackageError, match=r"^program needs torch, which is not installed; .*'\.\[all\]'$"
        ),
        needs("program", "all"),
    ):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")


def test_commands_are_those_of_pyproject() -> None:
    for extra, requirements in REQUIREMENTS.items():
        assert tuple(EXTRAS[extra]) == requirements
    assert install_command("tensorrt") == "pip install 'tensorrt>=10.0,<12' 'cuda-bindings>=12.6'"


def test_modules_are_those_of_the_packages() -> None:
    """Every package that an extra asks for is known by what it is imported as."""
    provided: dict[str, set[str]] = {}
    for module, packages in metadata.packages_distributions().items():
        for package in packages:
            provided.setdefault(package.lower().replace("_", "-"), set()).add(module)
    own = {name.split(">")[0].lower().replace("_", "-") for name in (*EXTRAS["train"], *EXTRAS["export"][1:])}
    missing = [name for name in own if not provided[name] & MODULES["export"]]
    assert not missing
    assert MODULES["train"] < MODULES["export"] < MODULES["all"]
