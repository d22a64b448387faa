"""Frozen dataclasses as configuration: JSON and back with every key checked, and `--set key=value`."""

import dataclasses
import difflib
import json
import types
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from realm_train.errors import ConfigError

Config = TypeVar("Config")


def to_json(config: Any) -> dict[str, Any]:
    """Plain dictionaries, lists and scalars of a (nested) dataclass."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return plain


def from_json(kind: type[Config], data: Mapping[str, Any], where: str = "configuration") -> Config:
    """Build a dataclass from `to_json`'s output; absent keys take their defaults.

    Raises:
        ConfigError: A key is unknown, or a value has the wrong type; names the key.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}: expected an object with the settings, found {type(data).__name__}")
    hints = get_type_hints(kind)
    fields = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            raise ConfigError(f"{where}: unknown setting {key!r}{_suggest(key, fields)}")
    return kind(**{key: _value(hints[key], value, f"{where}: {key}") for key, value in data.items()})


def override(config: Config, settings: Iterable[str]) -> Config:
    """Apply "key=value" settings; a key is a dotted path, or a bare name where only one field has it.

    Values are written as in JSON; words need no quotes, tuples are "1,3,5", None is "none" if allowed.

    Raises:
        ConfigError: A setting is malformed, unknown, ambiguous, or its value has the wrong type.
    """
    for setting in settings:
        key, equals, text = setting.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ConfigError(f"--set {setting}: write key=value")
        paths = list(_paths(config))
        found = [path for path in paths if path == key] or [
            path for path in paths if path.endswith(f".{key}")
        ]
        if not found:
            names = {path.rpartition(".")[2] for path in paths} | set(paths)
            raise ConfigError(f"--set {setting}: unknown setting {key!r}{_suggest(key, names)}")
        if len(found) > 1:
            raise ConfigError(f"--set {setting}: {key!r} is ambiguous; write one of {', '.join(found)}")
        config = _replace(config, found[0].split("."), text.strip(), setting)
    return config


def differences(a: Any, b: Any) -> list[str]:
    """Dotted names of the fields in which two configurations of one kind differ."""
    return [path for path in _paths(a) if _get(a, path) != _get(b, path)]


def _paths(config: Any, prefix: str = "") -> Iterable[str]:
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from _paths(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def _get(config: Any, path: str) -> Any:
    for name in path.split("."):
        config = getattr(config, name)
    return config


def _replace(config: Any, path: list[str], text: str, setting: str) -> Any:
    name = path[0]
    if len(path) > 1:
        return dataclasses.replace(config, **{name: _replace(getattr(config, name), path[1:], text, setting)})
    hint = get_type_hints(type(config))[name]
    return dataclasses.replace(config, **{name: _value(hint, _parse(hint, text), f"--set {setting}")})


def _parse(hint: Any, text: str) -> Any:
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if type(None) in options and text.lower() in ("none", "null"):
        return None
    if str in options:
        return text
    if any(get_origin(option) is tuple for option in options):
        return [_scalar(part.strip()) for part in text.strip("[]() ").split(",") if part.strip()]
    return _scalar(text)


def _scalar(text: str) -> Any:
    if text.lower() in ("true", "yes", "on"):
        return True
    if text.lower() in ("false", "no", "off"):
        return False
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _value(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        options = get_args(hint)
        if value is None and type(None) in options:
            return None
        for option in options:
            if option is not type(None):
                return _value(option, value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where}: expected a list, found {value!r}")
        arguments = get_args(hint)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_value(arguments[0], item, where) for item in value)
        if len(arguments) != len(value):
            raise ConfigError(f"{where}: expected {len(arguments)} values, found {len(value)}")
        return tuple(_value(kind, item, where) for kind, item in zip(arguments, value, strict=True))
    if dataclasses.is_dataclass(hint):
        return from_json(hint, value, where)  # type: ignore[arg-type]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where}: expected {hint.__name__}, found {value!r}")
    return value


def _suggest(key: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, sorted(names), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(names))}"
