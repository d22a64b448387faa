"""What a user may set once instead of typing it each time: variables REALM_*, and a file realm.toml.

The file is read from the user's own folder of settings, or from where `--config` or REALM_CONFIG says, and never from
the working directory: a folder of pictures from a stranger must not choose which bundle runs or where it runs. For the
same reason it sets how things are done, never on what, nor where results go.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from realm_engine.errors import UsageError, did_you_mean

CONFIG_VARIABLE = "REALM_CONFIG"
FILE_NAME = "realm.toml"
# Options that may be set, without their dashes, in the order in which `info` shows them.
SETTINGS = (
    "bundle",
    "device",
    "precision",
    "threads",
    "max-memory",
    "batch-size",
    "metric",
    "with",
    "missing-text",
    "preset",
    "encoder",
    "format",
    "strict",
    "quiet",
    "verbose",
)
_ALL = frozenset(SETTINGS)
VERBS = {
    "score": _ALL,
    "map": _ALL - {"metric"},  # which asks for another kind of map
    "report": _ALL,
    "compare": _ALL,
    "tune": frozenset(
        {"bundle", "threads", "strict", "quiet", "verbose"}
    ),  # it measures every device and precision
    "measures": frozenset({"bundle"}),
    "info": frozenset({"bundle"}),
    "serve": _ALL,
}
"""The settings that each verb heeds. `verify`, `build` and what goes elsewhere are told each time."""
SECRET = "REALM_SERVE_TOKEN"
"""What is never shown."""
OTHER_VARIABLES = {
    "REALM_CACHE_DIR": "folder of what can be fetched or built again",
    "REALM_OFFLINE": "nothing is fetched",
    CONFIG_VARIABLE: "the file of settings",
    "REALM_ENGINE_CACHE_SIZE": "engines of TensorRT that are kept",
    "REALM_TENSORRT_MEMORY": "memory of a TensorRT builder",
    "REALM_CUDA_GRAPHS": "CUDA graphs of TensorRT",
    SECRET: "the token that requests to serve must bear",
}

Value: TypeAlias = "str | int | float | bool | list[str]"


@dataclass(frozen=True)
class Config:
    """Settings of a file: for all verbs, and for single ones."""

    path: Path | None = None
    shared: Mapping[str, Value] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)

    def of(self, verb: str) -> dict[str, Value]:
        """What is set for a verb: its own table counts before what stands above the tables."""
        return {**self.shared, **self.own.get(verb, {})}


def variable_of(setting: str) -> str:
    """The variable of the environment that sets an option: REALM_MAX_MEMORY of "max-memory"."""
    return "REALM_" + setting.upper().replace("-", "_")


def config_path() -> Path:
    """Where the user's own file of settings lies, or would lie."""
    import platformdirs

    return Path(platformdirs.user_config_dir("realm")) / FILE_NAME


def load_config(given: str | os.PathLike[str] | None = None) -> Config:
    """The settings of the file that is given, else of REALM_CONFIG, else of the user's own if there is one.

    Raises UsageError for a file that is missing or is no TOML, and for a setting that does not exist.
    """
    asked = given or os.environ.get(CONFIG_VARIABLE)
    path = Path(asked).expanduser() if asked else config_path()
    if not asked and not path.is_file():
        return Config()
    try:
        content = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise UsageError(
            f"{path}: the settings cannot be read ({error.strerror}); give another file with --config"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is no text in UTF-8 (byte {error.start}); write it anew") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f'{path}: is no TOML ({error}); write lines such as device = "cpu"') from error
    shared: dict[str, Value] = {}
    own: dict[str, dict[str, Value]] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            if key not in VERBS:
                hint = did_you_mean(key, VERBS) or f"; tables are {_listed(VERBS)}"
                raise UsageError(f"{path}: there are no settings of [{key}]{hint}")
            own[key] = {name: _checked(path, name, each) for name, each in value.items()}
        else:
            shared[key] = _checked(path, key, value)
    return Config(path, shared, own)


def _checked(path: Path, key: str, value: Any) -> Value:
    if key not in SETTINGS:
        hint = did_you_mean(key, SETTINGS) or f"; settings are {_listed(SETTINGS)}"
        raise UsageError(f"{path}: no such setting {key}{hint}")
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    if not isinstance(value, str | int | float | bool):
        raise UsageError(f'{path}: {key} is {value!r}; write one value, such as {key} = "..."')
    return value


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def unknown_variables() -> dict[str, str]:
    """Variables that look like ours and are not, with what was probably meant; "" where nothing is alike."""
    known = [*map(variable_of, SETTINGS), *OTHER_VARIABLES]
    return {
        name: did_you_mean(name, known).removeprefix("; ")
        for name in os.environ
        if name.startswith("REALM_") and name not in known
    }
