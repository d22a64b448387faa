"""What the doctor finds: findings, the report they make, and how it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from realm_engine.machine.packages import install_command

OK, ABSENT, BROKEN, WARNING = "ok", "not here", "broken", "warning"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `state`: ok, not here, broken or warning. `cure`: one command, or None."""

    name: str
    state: str
    detail: str
    cure: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """All findings by section. `auto`: the device that `--device auto` takes, None where nothing works.

    `packages`: every installed distribution of a runtime or of NVIDIA's with its version; the section of that
    name holds the runtimes alone.
    """

    engine: Mapping[str, str]
    auto: str | None
    sections: Mapping[str, tuple[Finding, ...]]
    packages: Mapping[str, str] = field(default_factory=dict)

    def to_cure(self) -> list[Finding]:
        """What does not work although it could."""
        return [
            finding
            for findings in self.sections.values()
            for finding in findings
            if finding.state in (BROKEN, WARNING)
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything, for `json.dumps`."""
        return {"works": self.auto is not None, **asdict(self)}


def split_cure(message: str) -> tuple[str, str | None]:
    """An error of ours as what happened and what to do: the engine's messages end with "; CURE"."""
    what, separator, cure = message.rpartition("; ")
    return (what, cure) if separator else (message, None)


def report_lines(report: Report) -> list[str]:
    """The report as text: one line per finding, its cure below it, the verdict last."""
    engine = report.engine
    lines = [f"realm-engine {engine['version']}, Python {engine['python']}, {engine['platform']}"]
    for title, findings in report.sections.items():
        if not findings:
            continue
        lines += ["", title]
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            chosen = "  (auto)" if title == "devices" and finding.name == report.auto else ""
            lines.append(f"  {finding.state:<8}  {finding.name:<{width}}  {finding.detail}{chosen}")
            if finding.cure is not None:
                lines.append(f"  {'':<8}  {'':<{width}}  cure: {finding.cure}")
    return [*lines, "", verdict(report)]


def verdict(report: Report) -> str:
    """The whole report in one line."""
    bad = [finding.name for finding in report.to_cure()]
    worth = f"; worth a cure: {', '.join(bad)}" if bad else ""
    if report.auto is None:
        return f"nothing works{worth}" if bad else f"nothing works; {install_command('cpu')}"
    return f"works: --device auto takes {report.auto}{worth}"
