"""Known holes in the dependencies: pip-audit and npm audit, and a plain word where they could not ask.

Exit codes: 0 everything was looked up and nothing is known; 1 something is known; 2 not everything could be looked up.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "locks" / "all.txt"
PATIENCE_S = 600


@dataclass(frozen=True)
class Findings:
    """Of one ecosystem: lines about known holes, how many packages were looked up, and why others were not."""

    what: str
    holes: tuple[str, ...] = ()
    looked_up: int = 0
    not_looked_up: str | None = None

    def lines(self) -> list[str]:
        """For people."""
        found = [f"{self.what}: {hole}" for hole in self.holes]
        if self.not_looked_up is not None:
            found.append(f"{self.what}: NOT AUDITED: {self.not_looked_up}")
        return [*found, f"{self.what}: {self.looked_up} packages looked up, {len(self.holes)} known holes"]


def exit_code(all_findings: list[Findings]) -> int:
    """See the module."""
    if any(each.holes for each in all_findings):
        return 1
    return 2 if any(each.not_looked_up is not None for each in all_findings) else 0


def of_pip_audit(output: str, said: str) -> Findings:
    """What `pip-audit --format json` wrote. It skips what its service does not know, and ends well."""
    try:
        packages = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Findings("pip-audit", not_looked_up=f"its data cannot be reached ({_last_line(said)})")
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    holes = tuple(
        f"{each['name']} {each['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no version'}"
        for each in packages
        for hole in each.get("vulns", ())
    )
    why = (
        f"{len(skipped)} of {len(packages)} packages are unknown to the index that was asked"
        if skipped
        else None
    )
    return Findings("pip-audit", holes, len(packages) - len(skipped), why)


def of_npm_audit(output: str, said: str) -> Findings:
    """What `npm audit --json` wrote."""
    try:
        report: dict[str, Any] = json.loads(output)
        holes = tuple(
            f"{name} {each['range']}: {each['severity']}" for name, each in report["vulnerabilities"].items()
        )
        return Findings("npm audit", holes, int(report["metadata"]["dependencies"]["total"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Findings("npm audit", not_looked_up=f"its data cannot be reached ({_last_line(said)})")


def _last_line(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip() and "complete log" not in line]
    return lines[-1].strip() if lines else "no answer"


def _run(command: list[str], folder: Path) -> tuple[str, str]:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer in {PATIENCE_S} s"
    except OSError as error:
        return "", f"{command[0]}: {error.strerror}"
    return done.stdout, done.stderr


def main() -> None:
    """Run both and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pip-audit", default="pip-audit", help="the program")
    program = parser.parse_args().pip_audit
    if shutil.which(program) is not None:
        program = str(Path(shutil.which(program) or program).absolute())
    options = ["--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json"]
    found = [
        of_pip_audit(*_run([program, *options, "-r", str(LOCK)], ROOT)),
        of_npm_audit(*_run(["npm", "audit", "--package-lock-only", "--json"], ROOT / "hosts" / "web")),
    ]
    for each in found:
        print("\n".join(each.lines()))
    sys.exit(exit_code(found))


if __name__ == "__main__":
    main()
