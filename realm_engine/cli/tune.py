"""`realm-engine tune`: which device and precision is fastest here, and good enough."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realm_engine.cli.options import BUNDLE, device_options, say
from realm_engine.errors import UsageError

if TYPE_CHECKING:
    from realm_engine.runtimes.measured import Measured


@click.command()
@click.argument("paths", nargs=-1, metavar="IMAGE...", type=click.Path(path_type=Path))
@BUNDLE
@device_options
@click.option("--forget", is_flag=True, help="Remove what was measured; needs no image.")
def tune(paths: tuple[Path, ...], bundle: str, device: str, threads: int | None, forget: bool) -> None:
    """Measure every device and precision on IMAGEs of yours and remember the best for --device auto.

    A few images (or a folder of them) do, best of the kind you will score. Each way to run is compared with
    float32 on them and timed; auto takes the fastest whose difference is within its gate. Once per machine
    and bundle; a table goes to stdout.
    """
    from realm_engine.bundle.bundle import Bundle
    from realm_engine.opened import Contents
    from realm_engine.runtimes.measured import forget_tuned, save_tuned
    from realm_engine.verbs.fidelity import make_trial
    from realm_engine.verbs.tune import images_for_tuning
    from realm_engine.verbs.tune import tune as measure

    contents = Contents(Bundle.open(bundle))
    opened = contents.bundle

    def unit(part: str) -> str:
        return "windows/s" if contents.makes_maps(part) else "images/s"

    if forget:
        say(f"{opened.name}: {'forgotten' if forget_tuned(opened) else 'nothing was measured yet'}")
        return
    if not paths:
        raise UsageError("name images to measure on, such as a folder of yours: realm-engine tune DIR")
    images = images_for_tuning(paths)
    trial = make_trial(images)
    say(f"{opened.name}: comparing on {len(trial.maps)} images; this takes a minute or more")
    measured = []
    for record in measure(bundle, trial, device, threads, say):
        measured.append(record)
        click.echo(_line(record, unit(record.part)))
    path = save_tuned(opened, date.today().isoformat(), len(trial.maps), measured)
    _say_choice(measured, unit)
    say(f"remembered in {path}; --device auto and --precision auto follow it from now on")


def _line(record: Measured, unit: str) -> str:
    shown = ("map_pearson_min", "_max_abs_diff", "srocc")
    differences = ", ".join(
        f"{key} {value:g}"
        for end in shown
        for key, value in record.differences.items()
        if key == end or (end.startswith("_") and key.endswith(end) and not key.startswith("similarity"))
    )
    return (
        f"{record.part:5}  {record.device:8}  {record.precision:4}  {record.per_second:8.1f} "
        f"{unit:9}  batch {record.batch:3}  {record.threads} threads  "
        f"{'passes' if record.passes else 'MISSES'}: {differences}"
    )


def _say_choice(measured: list[Measured], unit: Callable[[str], str]) -> None:
    from realm_engine.runtimes.measured import Tuned

    tuned = Tuned("", "", {}, 0, tuple(measured))
    for part in dict.fromkeys(one.part for one in measured):
        best = next(iter(tuned.fastest(part)), None)
        if best is not None:
            say(f"{part}: {best.precision} on {best.device}, {best.per_second:.1f} {unit(part)}")
