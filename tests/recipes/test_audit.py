"""`make audit` reads what the tools write: a hole, nothing, and above all that nothing could be looked up."""

from __future__ import annotations

import importlib.util
import json
import sys

from repository import ROOT

spec = importlib.util.spec_from_file_location("audit", ROOT / "recipes" / "audit.py")
audit = importlib.util.module_from_spec(spec)
sys.modules["audit"] = audit
spec.loader.exec_module(audit)


def pip_report(*packages: dict) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


GOOD = {"name": "click", "version": "8.5.1", "vulns": []}
HOLE = {"name": "pillow", "version": "10.2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["10.3.0"]}]}
# As pip-audit writes it where a mirror has no data: it ends well all the same.
SKIPPED = {
    "name": "rich",
    "skip_reason": "Dependency not found on PyPI and could not be audited: rich (15.0.0)",
}


def npm_report(**vulnerabilities: dict) -> str:
    return json.dumps({"vulnerabilities": vulnerabilities, "metadata": {"dependencies": {"total": 7}}})


def test_nothing_known():
    found = [audit.of_pip_audit(pip_report(GOOD), ""), audit.of_npm_audit(npm_report(), "")]
    assert audit.exit_code(found) == 0
    assert [each.looked_up for each in found] == [1, 7]


def test_something_known_is_named_and_fails():
    python = audit.of_pip_audit(pip_report(GOOD, HOLE), "")
    assert python.holes == ("pillow 10.2.0: PYSEC-1, mended in 10.3.0",)
    page = audit.of_npm_audit(npm_report(vite={"range": "<8.3.9", "severity": "high"}), "")
    assert page.holes == ("vite <8.3.9: high",)
    for each in (python, page):
        assert audit.exit_code([each]) == 1


def test_what_was_not_looked_up_is_not_well():
    skipped = audit.of_pip_audit(pip_report(GOOD, SKIPPED, SKIPPED), "")
    assert "NOT AUDITED: 2 of 3 packages" in "\n".join(skipped.lines())
    for output, said in (
        ("", "Traceback...\nConnectionError: no route"),
        ("{}", ""),
        (json.dumps({"message": "405 Method Not Allowed"}), "npm error audit endpoint returned an error\n"),
    ):
        for read in (audit.of_pip_audit, audit.of_npm_audit):
            found = read(output, said)
            assert audit.exit_code([found]) == 2 and found.looked_up == 0
            assert "NOT AUDITED: its data cannot be reached" in found.lines()[0]
    assert (
        audit.exit_code([skipped, audit.of_npm_audit(npm_report(vite={"range": "*", "severity": "low"}), "")])
        == 1
    )
