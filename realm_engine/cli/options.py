"""Options that several verbs share, and what they say on stderr."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from realm_engine.errors import UsageError
from realm_engine.runtimes import DEVICES
from realm_engine.runtimes.base import Precision

if TYPE_CHECKING:
    from realm_engine.engine import Engine, EngineOptions
    from realm_engine.pictures.descriptions import Descriptions
    from realm_engine.pictures.inputs import Entry

Command = TypeVar("Command", bound=Callable[..., Any])

PRECISIONS = ("auto", *(precision.value for precision in Precision))
BUNDLE = click.option(
    "--bundle",
    default="realm-tiny",
    show_default=True,
    metavar="NAME|DIR",
    help="The models to use: a name of realm-engine info, or a folder as a path (./NAME).",
)


def device_options(command: Command) -> Command:
    """--device and --threads."""
    for option in (
        click.option(
            "--threads", type=click.IntRange(min=1), help="CPU threads. [default: all this process may use]"
        ),
        click.option(
            "--device",
            type=click.Choice(DEVICES),
            default="auto",
            show_default=True,
            help="Where to compute.",
        ),
    ):
        command = option(command)
    return command


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--bundle, --device, --precision, --fp16, --threads and --max-memory, handed on as `options: EngineOptions`."""

    @functools.wraps(command)
    def collected(
        *args: Any,
        bundle: str,
        device: str,
        precision: str,
        fp16: bool,
        threads: int | None,
        max_memory: str | None,
        **others: Any,
    ) -> Any:
        from realm_engine.engine import PREFER_FP16, EngineOptions

        if fp16 and precision not in ("auto", Precision.FP16):
            raise UsageError(f"--fp16 contradicts --precision {precision}; give one of them")
        wanted = PREFER_FP16 if fp16 and precision == "auto" else precision
        return command(*args, options=EngineOptions(bundle, device, wanted, threads, max_memory), **others)

    for option in (
        click.option(
            "--max-memory",
            metavar="SIZE",
            help="Memory this process may hold, such as 800M. [default: 2G, more where the models need it]",
        ),
        click.option(
            "--fp16",
            is_flag=True,
            help="fp16 where device and bundle have it, else their default with a warning.",
        ),
        click.option(
            "--precision",
            type=click.Choice(PRECISIONS),
            default="auto",
            show_default=True,
            help="auto: the fastest that realm-engine tune found good enough here, else what the bundle recommends.",
        ),
        device_options,
        BUNDLE,
    ):
        collected = option(collected)
    return collected


def input_arguments(command: Command) -> Command:
    """PATH... and --missing-text."""
    command = click.option(
        "--missing-text",
        type=click.Choice(["image-only", "error"]),
        default="image-only",
        show_default=True,
        help="What becomes of an image without a description.",
    )(command)
    return click.argument(
        "paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path)
    )(command)


def open_engine(options: "EngineOptions", part: Callable[["Engine"], str]) -> "Engine":
    """Open the engine and say which device, runtime and precision `part(engine)` uses."""
    engine = options.open()
    name = part(engine)
    for used in [engine.describe(name) if engine.can(name) else engine.describe(), *engine.bundles()[1:]]:
        where = f"{used['runtime']} on {used['device']}, {used['precision']}, {used['threads']} threads"
        say(f"{used['bundle']}: {where}{' (as tuned)' if used['tuned'] else ''}")
    return engine


def say_descriptions(entries: "Sequence[Entry]", by_root: "Mapping[Path, Descriptions]") -> None:
    """Say which files of descriptions are used, and for how many images."""
    from realm_engine.pictures.inputs import count_described

    for source, (described, total) in count_described(entries, by_root).items():
        say(f"descriptions: {source} ({described} of {total} images have one)")


def say(line: str) -> None:
    """One line to the user, on stderr: stdout holds results only."""
    click.echo(line, err=True)
