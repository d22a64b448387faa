"""Options that several verbs share, and what they say on stderr."""

import functools
import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from realm_engine.cli.command import Verb
from realm_engine.errors import printable
from realm_engine.verbs.choices import DEFAULT_BUNDLE, DEFAULT_PROFILE, DEVICES, PRECISIONS, PROFILES
from realm_engine.verbs.paths import GivenPath

COMMAND = "realm_engine.command"
Command = TypeVar("Command", bound=Callable[..., Any])


def _bundles(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What a shell offers for a bundle: the names that can be opened, else folders."""
    from realm_engine.verbs.models import stored_bundles

    names = [each.name for each in stored_bundles() if each.name.startswith(incomplete)]
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="dir")]


BUNDLE = click.option(
    "-b",
    "--bundle",
    default=DEFAULT_BUNDLE,
    show_default=True,
    metavar="NAME|DIR",
    shell_complete=_bundles,
    help="The models to use: a name of realm-engine models list, or a folder as a path (./NAME).",
)


def device_options(command: Command) -> Command:
    """--device and --threads."""
    for option in (
        click.option(
            "--threads",
            type=click.IntRange(min=1),
            metavar="N",
            help="CPU threads. [default: all this process may use]",
        ),
        click.option(
            "-d",
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
        from realm_engine.verbs.options import engine_options

        given = engine_options(bundle, device, precision, fp16, threads, max_memory)
        return command(*args, options=given, **others)

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


class Resumable(Verb):
    """Gives a bare --resume its value: click would take the word after it, `--resume PATH`, for one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Command.parse_args`."""
        end = args.index("--") if "--" in args else len(args)
        given = ["--resume=continue" if word == "--resume" else word for word in args[:end]]
        # What a page says made it, the same whether a run was interrupted or not.
        kept = [word for word in given if not word.startswith("--resume=")]
        ctx.meta[COMMAND] = shlex.join(["realm-engine", self.name or "", *kept, *args[end:]])
        return super().parse_args(ctx, given + args[end:])


def resume_option(what: str) -> Callable[[Command], Command]:
    """--resume, for a `Resumable`; `what` it reuses, and what it compares."""
    return click.option(
        "--resume",
        type=click.Choice(["continue", "restart"]),
        metavar="[=restart]",
        help=f"{what} --resume=restart begins anew.",
    )


def input_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """PATH..., --files-from and `text_options`, handed on as `inputs: Inputs`."""

    @functools.wraps(command)
    def collected(
        *args: Any, paths: tuple[Path, ...], files_from: Path | None, texts: Any, **others: Any
    ) -> Any:
        from realm_engine.verbs.inputs import Inputs

        return command(*args, inputs=Inputs(paths, files_from, texts), **others)

    decorated: Callable[..., Any] = text_options(collected)
    for option in (
        click.option(
            "--files-from",
            type=GivenPath(path_type=Path),
            metavar="LIST",
            help="A file with a path a line (NUL between them is fine); - is standard input. @LIST among the paths "
            "says the same.",
        ),
        click.argument("paths", nargs=-1, metavar="PATH...", type=GivenPath(path_type=Path)),
    ):
        decorated = option(decorated)
    return decorated


def text_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--text, --descriptions, --no-descriptions and --missing-text, handed on as `texts: Texts`."""

    @functools.wraps(command)
    def collected(
        *args: Any,
        texts: tuple[str, ...],
        descriptions: Path | None,
        no_descriptions: bool,
        missing_text: str,
        **others: Any,
    ) -> Any:
        from realm_engine.verbs.inputs import Texts

        given = Texts(texts, descriptions, no_descriptions, missing_text == "error")
        return command(*args, texts=given, **others)

    decorated: Callable[..., Any] = collected
    for option in (
        click.option(
            "--missing-text",
            type=click.Choice(["allow", "error"]),
            default="allow",
            show_default=True,
            help="What becomes of a picture without a text. allow: it is scored alone, and mapped with the bundle's "
            "phrases.",
        ),
        click.option(
            "--no-descriptions", is_flag=True, help="Look for no descriptions: take the pictures alone."
        ),
        click.option(
            "--descriptions",
            type=GivenPath(path_type=Path),
            metavar="CSV",
            help="A text per picture, columns filename and description. [default: image_descriptions.csv in or "
            "beside PATH]",
        ),
        click.option(
            "--text",
            "texts",
            multiple=True,
            metavar="TEXT",
            help="What looks unreal, of all pictures alike, best after a verdict: 'Yes. The cup is melted.' A map "
            "takes several: the mean of theirs.",
        ),
    ):
        decorated = option(decorated)
    return decorated


def json_option(what: str = "Everything as JSON.") -> Callable[[Command], Command]:
    """--json, handed on as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=what)


def output_option(**how: Any) -> Callable[[Command], Command]:
    """-o and --output."""
    return click.option("-o", "--output", **how)


def pick_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--below, --above, --by, --list, --null and --copy-to, handed on as `pick: Pick`."""

    @functools.wraps(command)
    def collected(
        *args: Any,
        below: float | None,
        above: float | None,
        by: str | None,
        listed: bool,
        null: bool,
        copy_to: Path | None,
        **others: Any,
    ) -> Any:
        from realm_engine.verbs.picked import Pick

        return command(*args, pick=Pick(below, above, by, listed, null, copy_to), **others)

    decorated: Callable[..., Any] = collected
    for option in (
        click.option(
            "--copy-to",
            type=GivenPath(path_type=Path),
            metavar="DIR",
            help="Copy the pictures there under their names; what lies there is never replaced.",
        ),
        click.option(
            "-0", "--null", is_flag=True, help="--list: a NUL after each path, as xargs -0 wants it."
        ),
        click.option(
            "--list", "listed", is_flag=True, help="Their paths alone on stdout, instead of a table."
        ),
        click.option(
            "--by",
            metavar="COLUMN",
            help="Which number is compared. [default: realness, else what stands for the first measure]",
        ),
        click.option("--above", type=float, metavar="X", help="Pick pictures with more than X."),
        click.option(
            "--below",
            type=float,
            metavar="X",
            help="Pick pictures with less than X (realness, unless --by says otherwise): stdout holds them alone, "
            "--output all.",
        ),
    ):
        decorated = option(decorated)
    return decorated


def _stay_offline(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given:
        from realm_engine.verbs.models import stay_offline

        stay_offline()


def offline_option(command: Command) -> Command:
    """--offline, for commands that may fetch something."""
    return click.option(
        "--offline",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_stay_offline,
        help="Fetch nothing; REALM_OFFLINE=1 says the same.",
    )(command)


def show(*lines: str) -> None:
    """Lines of a result on stdout, `printable`: names of files and what bundles hold stand in them."""
    for line in lines:
        click.echo(printable(line))


def show_json(facts: Any, indent: int | None = 2) -> None:
    """A result on stdout as JSON, in which what is not printable is escaped; without `indent` on one line."""
    text = json.dumps(facts, indent=indent, ensure_ascii=False)
    click.echo("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


def measure_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--metric, --profile, --combine, --with, --batch-size and `engine_options`, handed on as `asked: Asked`,
    `batch_size` and `options: EngineOptions`.
    """

    @functools.wraps(command)
    def collected(
        *args: Any,
        metrics: tuple[str, ...],
        profile: str,
        weights: tuple[str, ...],
        more: tuple[str, ...],
        options: Any,
        **others: Any,
    ) -> Any:
        from realm_engine.verbs.asked import Asked, parse_weights

        names = tuple(filter(None, (name.strip() for given in metrics for name in given.split(","))))
        if metrics and not names:
            raise click.UsageError("--metric names nothing; realm-engine measures lists what there is")
        asked = Asked(names or None, profile, parse_weights(weights))
        return command(*args, asked=asked, options=replace(options, more=more), **others)

    decorated: Callable[..., Any] = engine_options(collected)
    for option in (
        click.option(
            "--batch-size",
            type=click.IntRange(min=1),
            metavar="N",
            help="Images of one call; changes no result. [default: as tuned, else 8, on a GPU 32]",
        ),
        click.option(
            "--with",
            "more",
            multiple=True,
            metavar="NAME|DIR",
            help="A further bundle whose measures --metric may name; may be repeated.",
        ),
        click.option(
            "--combine",
            "weights",
            multiple=True,
            metavar="NAME=WEIGHT[,...]",
            help="Weights of the measure combined, one number of several; --metric names it and all of them.",
        ),
        click.option(
            "--profile",
            type=click.Choice(PROFILES),
            default=DEFAULT_PROFILE,
            show_default=True,
            help="published: the numbers of a measure's original, its defects included, to compare with its tables.",
        ),
        click.option(
            "--metric",
            "metrics",
            multiple=True,
            metavar="NAME[,NAME...]",
            help="Measures to take, all from one decode; realm-engine measures lists them. "
            "[default: the bundle's first]",
        ),
    ):
        decorated = option(decorated)
    return decorated
