"""What all commands have alike: help in sections, --strict, --quiet and --verbose, errors in one line."""

from typing import Any

import click
from click.core import ParameterSource

from realm_engine.cli.configuration import say_settings
from realm_engine.cli.progress import TERMINAL
from realm_engine.verbs.strict import with_strict
from realm_engine.verbs.usage import in_one_line

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

# Section -> the parameters in it. What is not named here stands under "Options".
SECTIONS: dict[str, tuple[str, ...]] = {
    "Pictures and texts": (
        "files_from",
        "images",
        "table",
        "scores",
        "texts",
        "descriptions",
        "no_descriptions",
        "missing_text",
        "prompts",
    ),
    "Measures": ("metrics", "combine", "weights", "profile", "more", "headline", "better", "paired"),
    "Maps": (
        "preset",
        "windows_px",
        "stride_px",
        "aggregate",
        "encoder",
        "quantity",
        "metric",
        "limits",
        "regions",
        "maps",
    ),
    "Against photographs": ("reference", "sets"),
    "Picking": ("below", "above", "by", "listed", "null", "copy_to"),
    "Server": ("host", "port", "token_file", "origins", "access_log"),
    "Limits of a server": (
        "max_upload",
        "max_images",
        "max_windows",
        "queue",
        "upload_timeout",
        "timeout",
        "drain",
    ),
    "Output": ("output", "formats", "score", "as_json", "resume", "gallery"),
    "Models and machine": (
        "bundle",
        "device",
        "precision",
        "fp16",
        "threads",
        "batch_size",
        "max_memory",
    ),
    "Running": ("quiet", "verbose", "strict", "offline", "_click_default_help"),
}
# Verb -> what a newcomer types, and what it is for.
EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "score": (
        ("realm-engine score pictures", "a folder, to the terminal"),
        ("realm-engine score pictures -o scores.csv", "into a table"),
        ("realm-engine score pictures --below 60 --list", "the paths of those that look least real"),
    ),
    "map": (
        ("realm-engine map cat.png --text 'Yes. The eye is doubled.'", "where, into out/maps"),
        ("realm-engine map pictures -o maps", "all of a folder, by their descriptions"),
    ),
    "report": (("realm-engine report pictures -o report", "then open report/report.html"),),
    "compare": (("realm-engine compare sdxl=a flux=b -o comparison", "then open comparison/report.html"),),
}
_OTHER = "Options"
_FEW = 6  # options that need no sections


class Verb(click.Command):
    """A command whose help has sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See `click.Command.format_options`."""
        sections: dict[str, list[tuple[str, str]]] = {name: [] for name in (_OTHER, *SECTIONS)}
        named = {parameter: section for section, names in SECTIONS.items() for parameter in names}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                sections[named.get(parameter.name or "", _OTHER)].append(record)
        running = sections.pop("Running")
        if sum(map(len, sections.values())) <= _FEW:
            sections = {_OTHER: [record for records in sections.values() for record in records]}
        for name, records in {**sections, "Running": running}.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples, where there are some (`EXAMPLES`)."""
        lines = EXAMPLES.get(self.name or "", ())
        if lines:
            with formatter.section("Examples"):
                formatter.write_dl([(command, what) for command, what in lines], col_max=60)

    def invoke(self, ctx: click.Context) -> Any:
        """See `click.Command.invoke`."""
        say_settings(ctx)
        return super().invoke(ctx)


class Verbs(click.Group):
    """A group of verbs; what each is for stands whole beside it."""

    command_class = Verb

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were added, which is that of use."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See `click.Group.format_commands`."""
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, first_sentence(each.help or "")) for name, each in named if each is not None]
            )

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """See `click.Command.make_context`."""
        with in_one_line():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """See `click.Group.invoke`."""
        with in_one_line():
            return super().invoke(ctx)


def first_sentence(text: str) -> str:
    """The first sentence of a help text, without its full stop."""
    paragraph = " ".join(text.split("\n\n")[0].split())
    sentence, stop, _ = paragraph.partition(". ")
    return sentence if stop else sentence.rstrip(".")


def with_running(command: click.Command) -> click.Command:
    """The command, and of a group every command in it, with --quiet, --verbose and --strict."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            with_running(each)
        return command
    command.context_settings = {**SETTINGS, **command.context_settings}
    command.params += [
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_remember,
            help="Say nothing but errors.",
        ),
        click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_remember,
            help="Say what was decided, and how long each part took.",
        ),
    ]
    return with_strict(command)


def _remember(context: click.Context, option: click.Parameter, given: bool) -> None:
    """Of the two the one that was typed counts; the other may be a setting."""
    if not given:
        return
    name = str(option.name)
    typed = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    other = "quiet" if name == "verbose" else "verbose"
    if getattr(TERMINAL, other):
        if context.get_parameter_source(other) is not ParameterSource.COMMANDLINE:
            setattr(TERMINAL, other, False)
        elif typed:
            raise click.UsageError("--quiet contradicts --verbose; give one of them", context)
        else:
            return
    setattr(TERMINAL, name, True)
