"""`realm-engine info`: what a bundle holds, and what this machine can run it on."""

from collections.abc import Iterator, Mapping
from typing import Any

import click
from click.core import ParameterSource

from realm_engine.cli.command import Verb
from realm_engine.cli.configuration import settings_facts
from realm_engine.cli.options import json_option, show, show_json
from realm_engine.cli.progress import TERMINAL
from realm_engine.verbs.choices import DEFAULT_BUNDLE

# What terms per part say better, but for programs.
_TERMS_OF_ALL = ("licence", "training_data", "graph_terms")


@click.command(cls=Verb)
@click.argument("bundle", required=False, metavar="[BUNDLE]")
@json_option()
@click.pass_context
def info(context: click.Context, bundle: str | None, as_json: bool) -> None:
    """Show a bundle: contents, licences, training data, measured numbers.

    Without BUNDLE also the devices, and which settings count and where they come from.
    """
    from realm_engine.verbs.info import bundle_facts, engine_facts, terms_words

    facts: dict[str, Any] = {}
    if context.get_parameter_source("bundle") is not ParameterSource.COMMANDLINE:
        facts["engine"] = engine_facts()
        facts["settings"] = settings_facts(context)
        if not as_json:
            show(*_lines(facts["engine"]), *_lines({"settings": facts["settings"]}), "")
    facts["bundle"] = bundle_facts(bundle or DEFAULT_BUNDLE)
    TERMINAL.warned += [f"{name}: {why}" for name, why in facts["bundle"]["left_out"].items()]
    if as_json:
        show_json(facts)
        return
    shown = {key: value for key, value in facts["bundle"].items() if key not in _TERMS_OF_ALL}
    show(*_lines({**shown, "terms": terms_words(shown["terms"])}))


def _lines(facts: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Facts as indented lines; what is empty is left out."""
    width = max((len(key) for key, value in facts.items() if not isinstance(value, Mapping)), default=0)
    for key, value in facts.items():
        label = key if key.isupper() else key.replace("_", " ")
        if isinstance(value, Mapping) and value.keys() == {"file", "size_bytes"}:
            yield f"{indent}{label}  {value['file']}, {_value('size_bytes', value['size_bytes'])}"
        elif isinstance(value, Mapping):
            if value:
                yield f"{indent}{label}"
                yield from _lines(value, indent + "  ")
        elif value not in (None, "", []):
            yield f"{indent}{label.ljust(width)}  {_value(key, value)}"


def _value(key: str, value: Any) -> str:
    if key == "size_bytes":
        return f"{value / 1e6:.2f} MB"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_value("", item) for item in value)
    return str(value)
