"""The house: which room may know which, and that no wall knows a measure by its name (docs/house.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from repository import ROOT

PACKAGE = ROOT / "realm_engine"
GROUND = {"errors", "arrays"}

# Room -> the rooms that it may import. `errors` and `arrays` are open to all.
ARROWS = {
    "__main__": {"cli"},
    "cli": {"verbs", "doctor", "triton"},
    "verbs": {"engine", "opened", "measures", "maps", "tables", "pictures", "runtimes", "bundle", "machine"},
    "doctor": {"opened", "runtimes", "bundle", "machine"},
    "triton": {"engine", "opened", "maps", "pictures", "runtimes", "bundle"},
    "__init__": {"engine", "verbs"},
    "engine": {"opened", "measures", "maps", "tables", "pictures", "runtimes", "bundle", "machine"},
    "opened": {"measures", "maps", "text", "runtimes", "bundle", "machine"},
    "measures": {"text", "tables", "pictures", "runtimes", "bundle", "machine"},
    "maps": {"text", "pictures", "runtimes", "bundle", "machine"},
    "text": {"runtimes", "bundle"},
    "tables": {"bundle", "machine"},
    "runtimes": {"bundle", "machine"},
    "bundle": {"machine"},
    "pictures": {"machine"},
    "machine": set(),
    "errors": set(),
    "arrays": set(),
}
# Packages -> the packages that they may import.
PACKAGES = {
    "realm_engine": set(),
    "realm_train": {"realm_engine"},
    "export": {"realm_engine", "realm_train"},
    "benchmarks": {"realm_engine", "realm_train", "export"},
    "attacks": {"realm_engine"},
}


def modules_of(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def files(room: str) -> list[Path]:
    path = PACKAGE / room
    return sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def rooms() -> set[str]:
    found = {path.stem for path in PACKAGE.glob("*.py")}
    return found | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def imported_rooms(room: str) -> set[str]:
    names = {name for file in files(room) for name in modules_of(file) if name.startswith("realm_engine")}
    return {name.split(".")[1] if "." in name else "__init__" for name in names} - {room}


def test_every_room_is_in_the_table():
    assert rooms() == set(ARROWS)


@pytest.mark.parametrize("room", sorted(ARROWS))
def test_a_room_knows_only_those_below_it(room):
    assert imported_rooms(room) - GROUND == ARROWS[room]


def test_measures_and_maps_never_know_each_other_and_runtimes_know_neither():
    assert "maps" not in imported_rooms("measures") and "measures" not in imported_rooms("maps")
    assert not imported_rooms("runtimes") & {"measures", "maps", "engine"}


def test_the_table_has_no_circle():
    left = {room: set(below) for room, below in ARROWS.items()}
    while left:
        ground = {room for room, below in left.items() if not below & set(left)}
        assert ground, f"a circle among {sorted(left)}"
        left = {room: below for room, below in left.items() if room not in ground}


def test_the_house_stays_small():
    assert len(ARROWS) <= 18
    assert sum(len(imported_rooms(room)) for room in ARROWS) <= 81


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_packages_know_only_those_below_them(package):
    names = {name.split(".")[0] for file in (ROOT / package).rglob("*.py") for name in modules_of(file)}
    assert names & set(PACKAGES) - {package} <= PACKAGES[package]


def test_no_wall_knows_a_measure_by_its_name():
    """A new measure is a room of its own: what is outside reads names from bundles."""
    found = set()
    for room in set(ARROWS) - {"measures", "maps", "triton"}:
        for path in files(room):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and node.value in ("core", "dream"):
                    found.add(path.relative_to(PACKAGE).as_posix())
    assert len(found) <= 3, found
