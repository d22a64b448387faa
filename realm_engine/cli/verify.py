"""`realm-engine verify`: is a bundle complete, undamaged and able to answer?"""

from dataclasses import asdict

import click

from realm_engine.cli.command import Verb
from realm_engine.cli.options import device_options, json_option, show, show_json
from realm_engine.cli.progress import TERMINAL


@click.command(cls=Verb)
@click.argument("bundle", metavar="BUNDLE")
@json_option("One JSON object per check, a line each.")
@device_options
def verify(bundle: str, as_json: bool, device: str, threads: int | None) -> None:
    """Check a bundle: files and checksums, tokenizers, graphs against the manifest, and real inferences.

    One line per check. Exit code 2 when one failed.
    """
    from realm_engine.verbs.verify import verify_bundle

    failed = 0
    for check in verify_bundle(bundle, device, threads):
        failed += not check.ok
        if as_json:
            show_json(asdict(check), indent=None)
            continue
        show(f"{'ok    ' if check.ok else 'FAILED'}  {check.name}: {check.detail}")
    if failed:
        TERMINAL.error(f"error: {bundle}: {failed} check{'s' * (failed > 1)} failed; do not use this bundle")
        click.get_current_context().exit(2)
