"""The repository keeps its promises: commands and links of the README exist, pins are complete, paths are nobody's."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
import warnings
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from repository import ROOT

from realm_engine.cli.main import main as engine_cli

PAGES = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
PINS = [
    line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")
]


def visible(page: Path) -> str:
    return re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def shell_commands() -> list[list[str]]:
    commands = []
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", visible(page), flags=re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    commands.append(words)
    return commands


def command_line(words: list[str]) -> tuple[click.Command, list[str]] | None:
    """The click command that a shell line runs, and its arguments; None for other programs."""
    if words[:3] == ["python", "-m", "export"]:
        from export.__main__ import export

        return export, words[3:]
    if words[0] not in ("realm-engine", "realm-train"):
        return None
    if words[0] == "realm-engine":
        command: click.Command = engine_cli
    else:
        from realm_train.cli.main import main as train_cli

        command = train_cli
    rest = words[1:]
    while isinstance(command, click.Group) and rest:
        found = command.get_command(click.Context(command), rest[0])
        assert found is not None, f"no command {rest[0]} in {' '.join(words)}"
        command, rest = found, rest[1:]
    return command, rest


@pytest.mark.parametrize("words", shell_commands(), ids=" ".join)
def test_commands_of_the_documentation_exist(words):
    if words[0] == "make":
        targets = re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert words[1] in targets
    found = command_line(words)
    if found is not None:
        command, arguments = found
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of click: an option that stands for two
                command.make_context(command.name or "", list(arguments))
        except click.BadParameter as error:  # only that a reader's own files are not here is fine
            assert "does not exist" in str(error.message), error.message


def test_the_documentation_shows_every_program():
    programs = {words[0] for words in shell_commands()}
    assert {"make", "realm-engine", "realm-train", "python"} <= programs


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)", visible(page))
    missing = [
        target for target in targets if "://" not in target and not (page.parent / target).resolve().exists()
    ]
    assert not missing


def test_no_two_files_of_tests_have_one_name():
    """pytest imports them by that alone, and loses one."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_every_dependency_is_pinned_within_its_range():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", pin) for pin in PINS)
    pinned = dict(pin.split("==") for pin in PINS)
    assert len(pinned) == len(PINS)
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(line for extra, lines in extras.items() if extra != "gpu" for line in lines),
    ]
    for line in wanted:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if name != project["name"]:
            assert name in pinned, f"{name} has no pin in constraints.txt"
            assert pinned[name] in requirement.specifier


def test_no_tracked_file_names_a_developers_machine():
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    # Written in pieces, or this file would find itself.
    places = re.compile("|".join(re.escape(f"/{first}/") + rest for first, rest in (
        ("root", ""), ("work", "(main|shared)"), ("home", r"[a-z]\w*/"), ("Users", r"\w+/"), ("tmp", "proto"),
    )).encode())  # fmt: skip
    found = []
    for name in filter(None, listing.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and places.search(path.read_bytes()):
            found.append(name)
    assert not found


def locked(name: str) -> dict[str, tuple[str, int]]:
    """Packages of a lock with their version and how many checksums it has."""
    found, current = {}, ""
    for line in (ROOT / "locks" / f"{name}.txt").read_text().splitlines():
        if match := re.match(r"([a-z0-9-]+)(?:\[[\w,-]+\])?==(\S+)", line):
            current = match[1]
            assert current not in found or found[current][0] == match[2], line
            found.setdefault(current, (match[2], 0))
        elif re.match(r"    --hash=sha256:[0-9a-f]{64}", line):
            found[current] = (found[current][0], found[current][1] + 1)
        else:
            assert line.startswith("#"), f"no package, no checksum: {line}"
    return found


@pytest.mark.parametrize(
    ("name", "extras"), [("engine", ["cpu"]), ("all", ["train", "export", "dev", "hub", "parquet"])]
)
def test_locks_hold_the_pinned_versions_with_checksums(name, extras):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    packages, pins = locked(name), dict(pin.split("==") for pin in PINS)
    assert all(count for _, count in packages.values())
    for package, (version, _) in packages.items():
        assert pins.get(package, version) == version, f"{package}: run make lock"
    for line in [
        *project["dependencies"],
        *(each for extra in extras for each in project["optional-dependencies"][extra]),
    ]:
        package = canonicalize_name(Requirement(line).name)
        assert package in packages or package == project["name"], f"{package}: run make lock"


def test_actions_are_pinned_by_commit():
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        for action in re.findall(r"uses:\s*(\S+)", workflow.read_text()):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), f"{workflow.name}: {action}"
