"""Errors of a command line in the one style that errors have here: one line that says what, where, and the cure.

Training, export and benchmarks take them from here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click
from click.core import ParameterSource

from realm_engine.errors import did_you_mean, printable

CONFIG = "realm_engine.config"
"""Under which the contexts of a run remember the file that their defaults come from."""
_ALSO_CALLED = {"gpu": "cuda", "nvidia": "cuda", "float32": "fp32", "float16": "fp16", "half": "fp16"}


class OneLineError(click.ClickException):
    """What click found wrong, said in one line on stderr."""

    def __init__(self, error: click.ClickException) -> None:
        super().__init__(words_of(error))
        self.exit_code = error.exit_code  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        """See `click.ClickException.show`."""
        click.echo(f"error: {printable(self.format_message())}", err=True)


@contextmanager
def in_one_line() -> Iterator[None]:
    """Whatever click finds wrong in the block is said in one line; help that it shows instead stays help."""
    try:
        yield
    except (OneLineError, click.exceptions.NoArgsIsHelpError):
        raise
    except click.ClickException as error:
        raise OneLineError(error) from error


def words_of(error: click.ClickException) -> str:
    """What click found wrong, where, and the cure."""
    context = getattr(error, "ctx", None)
    if isinstance(error, click.BadOptionUsage):
        needs = _plain(error.message).partition(" requires ")[2] or "another form"
        return f"{error.option_name} needs {needs.replace('an argument', 'a value').replace('arguments', 'values')}"
    if not isinstance(error, click.UsageError) or context is None:
        return _plain(error.format_message())
    path = context.command_path
    if isinstance(error, click.NoSuchOption):
        return _no_option(error.option_name, context)
    name = getattr(error, "command_name", None)
    if name is None and error.message.startswith("No such command "):  # click before 8.4
        name = error.message.removeprefix("No such command ").strip("'\". ")
    if name is not None and isinstance(context.command, click.Group):
        return _no_command(name, context, context.command)
    if isinstance(error, click.MissingParameter):
        return f"{_missing(error)}; {path} -h shows how it is called"
    if isinstance(error, click.BadParameter):
        return _bad(error, context)
    if "unexpected extra argument" in error.message:
        extra = error.message[error.message.find("(") + 1 : error.message.rfind(")")]
        return f"unexpected argument {extra}; {path} -h shows how it is called"
    return _plain(error.message)


def _plain(message: str) -> str:
    """A message of click's as a part of a line: no capital, no full stop, on one line."""
    line = " ".join(message.split()).rstrip(".")
    return line[:1].lower() + line[1:]


def _no_option(name: str, context: click.Context) -> str:
    path, command = context.command_path, context.command
    own = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
    if isinstance(command, click.Group) and any(
        name in parameter.opts
        for each in getattr(command, "commands", {}).values()
        for parameter in each.params
    ):
        return f"{name} stands after the command: {path} COMMAND {name}; {path} -h lists the commands"
    parent = context.parent
    if parent is not None and any(name in parameter.opts for parameter in parent.command.params):
        return f"{name} stands before the command: {parent.command_path} {name} ... {context.info_name}"
    return f"no such option {name}{did_you_mean(name, own)}; {path} -h lists the options"


def _no_command(name: str, context: click.Context, group: click.Group) -> str:
    path, known = context.command_path, group.list_commands(context)
    if "score" in known and Path(name).exists():
        return f"no such command {name}; to score what lies there: {path} score {name}"
    return f"no such command {name}{did_you_mean(name, known)}; {path} -h lists the commands"


def _missing(error: click.MissingParameter) -> str:
    parameter = error.param
    if parameter is None:
        return _plain(error.format_message())
    if isinstance(parameter, click.Argument):
        choices = (
            f" ({', '.join(parameter.type.choices)})" if isinstance(parameter.type, click.Choice) else ""
        )
        return f"{_argument(parameter)} is missing{choices}"
    choices = (
        f" (one of {', '.join(parameter.type.choices)})" if isinstance(parameter.type, click.Choice) else ""
    )
    return f"{_long(parameter)} is missing{choices}"


def _argument(parameter: click.Argument) -> str:
    """What an argument is called in help, without the signs for optional and several."""
    return (parameter.metavar or (parameter.name or "").upper()).strip("[].")


def _long(parameter: click.Parameter) -> str:
    """The long name of an option."""
    return next((name for name in parameter.opts if name.startswith("--")), parameter.opts[0])


def _bad(error: click.BadParameter, context: click.Context) -> str:
    """A value that cannot be used: of which option, where it comes from where it was not typed, and why."""
    parameter = error.param
    if parameter is None:
        return _plain(error.format_message())
    what = _long(parameter)
    if isinstance(parameter, click.Argument):
        what = _argument(parameter)
    source = context.get_parameter_source(parameter.name or "")
    if source is ParameterSource.ENVIRONMENT:
        what = f"{parameter.envvar} ({what})"
    elif source is ParameterSource.DEFAULT_MAP:
        what = f"{context.meta.get(CONFIG, 'the configuration')}: {what.lstrip('-')}"
    message = " ".join(error.message.split()).rstrip(".")
    if message.endswith((" is not a valid integer", " is not a valid integer range")):
        message = f"{message.partition(' is not ')[0]} is no whole number"
    if message.endswith(" is not a valid float"):
        message = f"{message.partition(' is not ')[0]} is no number"
    if isinstance(parameter.type, click.Choice) and message.startswith("'"):
        given = message[1:].partition("' is not one of ")[0]
        choices = [str(choice) for choice in parameter.type.choices]
        meant = _ALSO_CALLED.get(given.lower())
        message += f"; did you mean {meant}?" if meant in choices else did_you_mean(given.lower(), choices)
    return f"{what}: {message}"
