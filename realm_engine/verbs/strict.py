"""--strict, of every command: a run that warned of anything has failed. It changes nothing but the exit code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import click

T = TypeVar("T")
_KEY = "realm_engine.strict"


def with_strict(command: click.Command) -> click.Command:
    """The command, and of a group every command in it, with the option; one that has it stays as it is."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            with_strict(each)
    elif not any(parameter.name == "strict" for parameter in command.params):
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


def _remember(context: click.Context, option: click.Parameter, value: bool) -> None:
    context.meta[_KEY] = value  # contexts of a run share what is remembered


class EngineWarnings(logging.Handler):
    """Hands the engine's warnings on; of those that say the same of many pictures (`once`) the first alone."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._warn = warn
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        once = getattr(record, "once", None)
        if once not in self._said:
            self._warn(f"{record.levelname.lower()}: {record.getMessage()}")
        if once is not None:
            self._said.add(once)


def heed_warnings(warn: Callable[[str], None]) -> None:
    """Hand every warning of the engine to `warn` from now on, and to nobody else."""
    logger = logging.getLogger("realm_engine")
    logger.handlers = [EngineWarnings(warn)]
    logger.propagate = False


def fail_if_warned(context: click.Context, warned: Sequence[str], say: Callable[[str], None]) -> None:
    """End with exit code 1 a run that went well, but was given --strict and warned of something."""
    if context.meta.get(_KEY, False) and warned:
        more = f" and {len(warned) - 1} more" if len(warned) > 1 else ""
        say(f"error: --strict: a warning ({warned[0]}){more}; what was done is there")
        context.exit(1)


@contextmanager
def strictly(context: click.Context, say: Callable[[str], None]) -> Iterator[None]:
    """Say the engine's warnings while a command runs; one that was given --strict fails in the end if there are any."""
    warned: list[str] = []

    def warn(line: str) -> None:
        warned.append(line)
        say(line)

    heed_warnings(warn)
    yield
    fail_if_warned(context, warned, say)
