"""Every hostile bundle of `attacks/`, and some that are mutated at random, against the C++ program."""

from __future__ import annotations

from pathlib import Path

import cpp_host
import pytest

from attacks.attack import Attack, all_attacks
from attacks.mutated import mutated
from attacks.run import problems

release = cpp_host.release
ATTACKS = {
    name: attack
    for name, attack in all_attacks().items()
    if isinstance(attack, Attack) and attack.cpp is not None
}
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_cpp(name: str, release: Path, tmp_path: Path) -> None:
    ((done, problem),) = problems(ATTACKS[name], tmp_path, release / "realm_host", hosts=("cpp",)).values()
    assert problem is None, f"{problem}\n{done.stdout}{done.stderr}"[-3000:]


@pytest.mark.parametrize("number", range(40))
def test_mutated_bundles(number: int, release: Path, tmp_path: Path) -> None:
    ((done, problem),) = problems(
        mutated(7, number), tmp_path, release / "realm_host", hosts=("cpp",)
    ).values()
    assert problem is None, f"{problem}\n{done.stderr}"[-3000:]
