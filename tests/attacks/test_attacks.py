"""Every script of `attacks/`, against the real command line and, where it is built, against the C++ program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

from attacks.attack import Attack, all_attacks
from attacks.mutated import mutated
from attacks.run import problems

ATTACKS = all_attacks()
PROGRAM = ROOT / "out" / "hosts" / "cpp" / "release" / "realm_host"
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_python(name: str, tmp_path: Path) -> None:
    ((done, problem),) = problems(ATTACKS[name], tmp_path, None).values()
    assert problem is None, f"{problem}\n{done.stdout}{done.stderr}"[-3000:]
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) <= 1, "one line"


@pytest.mark.parametrize("number", range(12))
def test_mutated_bundles(number: int, tmp_path: Path) -> None:
    ((done, problem),) = problems(mutated(7, number), tmp_path, None).values()
    assert problem is None, f"{problem}\n{done.stderr}"[-3000:]


def test_a_mutation_is_the_same_every_time(tmp_path: Path) -> None:
    from attacks.run import build

    for number in range(6):
        one, two = (build(mutated(3, number), tmp_path / f"{number}{side}")[0] for side in "ab")
        for path in one.iterdir():
            assert path.read_bytes() == (two / path.name).read_bytes(), path.name


def test_every_attack_says_what_must_happen() -> None:
    assert len(ATTACKS) > 100
    scripts = {path.stem for path in (ROOT / "attacks" / "scripts").glob("*.py")}
    assert {
        "path_traversal",
        "links",
        "external_data",
        "shapes",
        "operators",
        "large",
        "not_numbers",
        "numbers",
    } < scripts
    assert {"json", "tokenizers", "names", "pickles", "tuned_record", "modules", "swapped"} < scripts
    assert any(attack.cpp is not None for attack in ATTACKS.values() if isinstance(attack, Attack))


def test_the_table(tmp_path: Path) -> None:
    """`python -m attacks NAME`: one line each, and an exit code."""
    command = [sys.executable, "-m", "attacks", "--cpp", str(tmp_path / "none")]
    done = subprocess.run(
        [*command, "path up"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0 and done.stdout.startswith("ok     path up "), done.stdout + done.stderr
    done = subprocess.run(
        [*command, "nothing"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2 and "no attack 'nothing'" in done.stderr
