"""`realm-engine tune`: which device and precision is fastest here, and good enough."""

from pathlib import Path

import click

from realm_engine.cli.command import Verb
from realm_engine.cli.options import BUNDLE, device_options, json_option, show, show_json
from realm_engine.cli.progress import TERMINAL
from realm_engine.verbs.paths import GivenPath


@click.command(cls=Verb)
@click.argument("paths", nargs=-1, metavar="IMAGE...", type=GivenPath(path_type=Path))
@BUNDLE
@device_options
@json_option("One JSON object per measurement, a line each.")
@click.option("--forget", is_flag=True, help="Remove what was measured; needs no image.")
def tune(
    paths: tuple[Path, ...], bundle: str, device: str, threads: int | None, as_json: bool, forget: bool
) -> None:
    """Measure every device and precision on IMAGEs of yours and remember the best for --device auto.

    A few images (or a folder of them) do, best of the kind you will score. Each way to run is compared with
    float32 on them and timed; auto takes the fastest whose difference is within its gate. Once per machine
    and bundle; a table goes to stdout.
    """
    from realm_engine.verbs.tune import forget_bundle, tune_bundle

    if forget:
        forget_bundle(bundle, TERMINAL)
        return
    for measured in tune_bundle(paths, bundle, device, threads, TERMINAL):
        if as_json:
            show_json(measured.facts, indent=None)
        else:
            show(measured.line)
