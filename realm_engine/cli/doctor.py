"""`realm-engine doctor`: what works on this machine, and the cure for what does not."""

import click

from realm_engine.cli.command import Verb
from realm_engine.cli.options import json_option, show, show_json
from realm_engine.cli.progress import TERMINAL


@click.command(cls=Verb)
@json_option()
def doctor(as_json: bool) -> None:
    """Look at this machine: runtimes (each by a real inference), NVIDIA driver and libraries, cache, bundles.

    Exit code 0 when the device that --device auto takes works, 2 when none does.
    """
    from realm_engine.doctor.examine import examine
    from realm_engine.doctor.findings import report_lines

    report = examine()
    TERMINAL.warned += [f"{finding.name}: {finding.detail}" for finding in report.to_cure()]
    if as_json:
        show_json(report.as_json())
    else:
        show(*report_lines(report))
    if report.auto is None:
        click.get_current_context().exit(2)
