"""--strict, of every command: a run that warned of anything has failed. It changes nothing but the exit code."""

import click

_KEY = "realm_engine.strict"


def with_strict(command: click.Command) -> click.Command:
    """The command, and of a group every command in it, with the option."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            with_strict(each)
    else:
        command.params.append(
            click.Option(
                ["--strict"],
                is_flag=True,
                expose_value=False,
                callback=_remember,
                help="A warning is a failure: exit code 1 where all else went well.",
            )
        )
    return command


def is_strict(context: click.Context) -> bool:
    """Whether the command that ran was given the option; contexts of a run share what is remembered."""
    return bool(context.meta.get(_KEY, False))


def _remember(context: click.Context, option: click.Parameter, value: bool) -> None:
    context.meta[_KEY] = value
