"""Settings of variables and of realm.toml as defaults of options."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from realm_engine.cli.progress import TERMINAL
from realm_engine.verbs.settings import (
    OTHER_VARIABLES,
    SECRET,
    SETTINGS,
    VERBS,
    Config,
    config_path,
    load_config,
    unknown_variables,
    variable_of,
)
from realm_engine.verbs.usage import CONFIG

_LOADED = "realm_engine.loaded_config"


def settable(command: click.Command) -> dict[str, click.Parameter]:
    """What of a verb may be set, by the name of the setting: options, and BUNDLE where that is an argument."""
    allowed = VERBS.get(command.name or "", frozenset())
    return {
        name: parameter
        for parameter in command.params
        for name in SETTINGS
        if name in allowed and (f"--{name}" in parameter.opts or parameter.opts == [name])
    }


def with_settings(command: click.Command) -> click.Command:
    """The command with the variables of its options."""
    for name, option in settable(command).items():
        option.envvar = variable_of(name)
    return command


def configure(context: click.Context, group: click.Group, given: Path | None) -> None:
    """Make the settings of the file defaults of the verbs. Raises UsageError."""
    config = load_config(given)
    context.meta[CONFIG] = str(config.path)
    context.meta[_LOADED] = config
    context.default_map = {
        verb: {
            option.name: _for_option(option, config.of(verb)[name])
            for name, option in settable(command).items()
            if name in config.of(verb)
        }
        for verb, command in group.commands.items()
    }


def _for_option(option: click.Parameter, value: Any) -> Any:
    """A value as click takes it: several of an option that may be repeated."""
    if getattr(option, "multiple", False):
        return value if isinstance(value, list) else [value]
    return ",".join(value) if isinstance(value, list) else value


def chosen(context: click.Context) -> Iterator[tuple[str, str, str]]:
    """Name, value and origin of the settings of `SETTINGS` that this run of a verb has from elsewhere than its line."""
    for name, option in settable(context.command).items():
        source = context.get_parameter_source(option.name or "")
        if source in (ParameterSource.ENVIRONMENT, ParameterSource.DEFAULT_MAP):
            origin = option.envvar if source is ParameterSource.ENVIRONMENT else context.meta[CONFIG]
            yield name, str(context.params.get(option.name or "", "yes")), str(origin)


def settings_facts(context: click.Context) -> dict[str, Any]:
    """Every setting with where it comes from, and the file that is read or would be, as `info` shows them."""
    config: Config = context.meta[_LOADED]
    facts: dict[str, Any] = {"file": str(config.path or f"none ({config_path()} would be read)")}
    for table, values in (("", config.shared), *config.own.items()):
        for name, value in values.items():
            facts[f"{table}.{name}".lstrip(".")] = f"{_words(value)} ({config.path})"
    for name in SETTINGS:  # they count before the file
        variable = variable_of(name)
        if os.environ.get(variable):
            facts[name] = f"{os.environ[variable]} ({variable})"
    for variable in OTHER_VARIABLES:
        if os.environ.get(variable):
            facts[variable] = "set" if variable == SECRET else os.environ[variable]
    for variable, hint in unknown_variables().items():
        facts[variable] = f"no setting of ours{hint and '; '}{hint}"
    return facts


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value)


def say_settings(context: click.Context) -> None:
    """Say in detail what is set from elsewhere than the command line."""
    for name, value, origin in chosen(context):
        TERMINAL.detail(f"setting: {name} = {value} ({origin})")
