"""`realm-engine build`: the engines of a bundle, ahead of their first use."""

from pathlib import Path

import click

from realm_engine.cli.command import Verb
from realm_engine.cli.options import show
from realm_engine.cli.progress import TERMINAL, say
from realm_engine.verbs.choices import BUILDERS, DEFAULT_BUNDLE, PRECISIONS
from realm_engine.verbs.paths import GivenPath


@click.command(cls=Verb)
@click.argument("bundle", default=DEFAULT_BUNDLE, metavar="[BUNDLE]")
@click.option(
    "-d",
    "--device",
    type=click.Choice(BUILDERS),
    required=True,
    help="The runtime to build with, and to run on.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    show_default=True,
    help="Variant of the bundle. auto: what it recommends for the device, else fp32.",
)
@click.option(
    "--gpu-arch",
    "architectures",
    metavar="LIST",
    help="GPUs that are not here, such as sm_89,sm_120 (tensorrt-rtx). [default: the GPU of this machine]",
)
@click.option(
    "-o",
    "--output",
    type=GivenPath(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder for a copy of the engines; put its files into engines/ of another machine's cache folder.",
)
def build(bundle: str, device: str, precision: str, architectures: str | None, output: Path | None) -> None:
    """Build the engines of BUNDLE and keep them, so that nobody waits on first use. Prints where they lie.

    Engines that exist already are not built again. Exit code 1 when some could not be built, 2 when none.
    """
    from realm_engine.verbs.build import build_all, plan_builds

    work = plan_builds(bundle, device, precision, architectures)
    for_what = ", ".join(dict.fromkeys(recipe.key.gpu or recipe.key.arch for recipe in work.recipes))
    count, missing = len(work.recipes), len(work.missing())
    need = f"{missing} to build, about {work.estimate_seconds():.0f} s" if missing else "all in the cache"
    say(f"{work.engines.runtime.name}, {count} engines for {for_what}: {need}")
    with TERMINAL.progress("building", count) as advance:
        done = list(build_all(work, output, advance))
    for built in done:
        if built.error is not None:
            TERMINAL.error(f"failed: {built.model} {built.precision} {built.arch}: {built.error}")
            continue
        state = f"built in {built.seconds:.1f} s" if built.new else "in the cache"
        say(f"{built.model} {built.precision} {built.arch}: {built.size_bytes / 1e6:.1f} MB, {state}")
        if built.path is not None:
            show(str(built.path))
    failed = sum(built.error is not None for built in done)
    if failed:
        click.get_current_context().exit(2 if failed == count else 1)
