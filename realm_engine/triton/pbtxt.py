"""Protobuf's text format, as far as a model configuration needs it, without the `protobuf` package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


class Word(str):
    """A value that stands without quotes: the name of an enumeration's member."""

    __slots__ = ()


def render(message: Mapping[str, Any]) -> str:
    """A message as text. A mapping is a message, a list repeats its field; None and empty lists are left out.

    A list of numbers is written in one line. A protobuf map is a list of {"key": ..., "value": ...}.
    """
    return "\n".join(_lines(message, "")) + "\n"


def _lines(message: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, value in message.items():
        if value is None or value == []:
            continue
        if isinstance(value, list) and not any(isinstance(item, Mapping) for item in value):
            yield f"{indent}{name}: [ {', '.join(map(_scalar, value))} ]"
        elif isinstance(value, list):
            for item in value:
                yield from _block(name, item, indent)
        elif isinstance(value, Mapping):
            yield from _block(name, value, indent)
        else:
            yield f"{indent}{name}: {_scalar(value)}"


def _block(name: str, message: Mapping[str, Any], indent: str) -> Iterator[str]:
    yield f"{indent}{name} {{"
    yield from _lines(message, indent + "  ")
    yield f"{indent}}}"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Word) or not isinstance(value, str):
        return str(value)
    return '"' + "".join(_escaped(value.encode("utf-8"))) + '"'


def _escaped(data: bytes) -> Iterator[str]:
    for byte in data:
        plain = 32 <= byte < 127 and byte not in b'"\\'
        yield chr(byte) if plain else f"\\{byte:03o}"


def string_map(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """A map<string, ModelParameter>."""
    return [{"key": key, "value": {"string_value": value}} for key, value in values.items()]


def dims(sizes: Sequence[int | str]) -> list[int]:
    """Dimensions of a tensor; a free one is -1."""
    return [size if isinstance(size, int) else -1 for size in sizes]
