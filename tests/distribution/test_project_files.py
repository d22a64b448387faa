"""Files about the project agree with each other: versions, citations, the tools of pre-commit."""

from __future__ import annotations

import re
import tomllib

import yaml
from repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    headings = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert str(citation["version"]) == PROJECT["version"] == headings[0]


def test_the_citation_names_the_paper_and_the_software():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    paper = citation["preferred-citation"]
    assert paper["url"] == PROJECT["urls"]["Paper"] and paper["year"] == 2025
    assert [author["family-names"] for author in paper["authors"]] == ["Biswas", "Kaushik", "Paul"]
    assert citation["authors"][0]["name"] == PROJECT["authors"][0]["name"]


def test_the_changelog_groups_what_changed():
    text = (ROOT / "CHANGELOG.md").read_text()
    groups = re.findall(r"^### (.+)$", text, flags=re.MULTILINE)
    assert groups and set(groups) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def hooks() -> dict[str, dict]:
    found = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert all(repo["repo"] == "local" for repo in found["repos"])
    return {hook["id"]: hook for repo in found["repos"] for hook in repo["hooks"]}


def test_pre_commit_runs_the_versions_that_are_tested():
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    tools = {need for hook in hooks().values() for need in hook.get("additional_dependencies", [])}
    assert all("==" in tool for tool in tools)
    versions = dict(tool.split("==") for tool in tools)
    assert len(versions) == len(tools) and "ruff" in versions
    assert all(version == pins.get(name, version) for name, version in versions.items())


def test_pre_commit_runs_what_make_lint_runs():
    by_id = hooks()
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert lint
    programs = {line.split("/")[-1].split()[0] for line in lint[1].splitlines()}
    assert programs == {"ruff", "mypy"}
    assert by_id["mypy"]["entry"] == ".venv/bin/mypy" and by_id["mypy"]["language"] == "system"
    assert {"ruff-check", "ruff-format"} <= set(by_id)
