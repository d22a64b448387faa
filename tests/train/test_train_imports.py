"""Modules of training depend on each other in one direction."""

import ast
import graphlib
from pathlib import Path

import realm_train

PACKAGE = Path(realm_train.__file__).parent


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


FILES = {name_of(path): path for path in PACKAGE.rglob("*.py")}


def imported(path: Path) -> set[str]:
    """Modules that a file names, inside functions too; of `from a import b`, a.b where that is a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & FILES.keys()) or {node.module}
    return found & FILES.keys()


def test_no_circle() -> None:
    arrows = {name: imported(path) for name, path in FILES.items()}
    assert "realm_train.loop" in arrows["realm_train.core.gradient"]
    graphlib.TopologicalSorter(arrows).prepare()  # a CycleError names the circle


def test_the_loop_knows_none_of_its_users() -> None:
    for name in ("loop", "optimise", "runs"):
        users = [f"realm_train.{part}" for part in ("core", "clip", "defects", "cli")]
        assert not [
            module for module in imported(FILES[f"realm_train.{name}"]) if module.startswith(tuple(users))
        ]
