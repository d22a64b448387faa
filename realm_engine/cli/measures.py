"""`realm-engine measures`: what a bundle measures, which way is better, and what each is worth."""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from realm_engine.cli.command import Verb
from realm_engine.cli.options import json_option, show, show_json
from realm_engine.cli.progress import TERMINAL
from realm_engine.verbs.choices import DEFAULT_BUNDLE


@click.command(cls=Verb)
@click.argument("bundle", required=False, default=DEFAULT_BUNDLE, metavar="[BUNDLE]")
@json_option()
def measures(bundle: str, as_json: bool) -> None:
    """List the measures of BUNDLE for score --metric: name, meaning, direction, licence, measured worth."""
    from realm_engine.verbs.info import measure_rows

    rows = measure_rows(bundle)
    TERMINAL.warned += [f"{row['name']}: left out; {row['left_out']}" for row in rows if "left_out" in row]
    if as_json:
        show_json(rows)
        return
    for row in rows:
        show(*_lines(row))


def _lines(row: Mapping[str, Any]) -> Iterator[str]:
    if "left_out" in row:
        yield f"{row['name']}: left out; {row['left_out']}"
        return
    yield f"{row['name']}: {row['says']}"
    for column in row["columns"]:
        certainty = "; ".join([column["span"], *column["certainty"]])
        yield f"  column {column['name']}: {column['meaning']} ({certainty})"
    yield f"  text: {'a description, optional' if row['takes_text'] else 'none'}"
    if row["has_map"]:
        yield f"  map: where its number comes from (realm-engine map --metric {row['name']})"
    if row["profiles"][1:]:
        yield f"  profiles: {', '.join(row['profiles'])}"
    if "scale" in row:
        low, high, pictures = (row["scale"][key] for key in ("p5", "p95", "set"))
        yield f"  scale: {low:.4g} to {high:.4g}, 5th to 95th percentile of {pictures}; may be combined"
    if not row["ranks"]:
        yield "  ranks: nothing; neither pictures nor generators may be put in an order by it"
    commercial = "allowed" if row["commercial_use"] else "not allowed"
    yield f"  licence: {row['licence']} (commercial use {commercial})"
    yield f"  trained on: {row['training_data']}"
    for key, value in row["worth"].items():
        if isinstance(value, Mapping) and all(isinstance(entry, Mapping) for entry in value.values()):
            yield f"  {key.replace('_', ' ')}:"
            yield from (f"    {name.replace('_', ' ')}: {_value(entry)}" for name, entry in value.items())
        else:
            yield f"  {key.replace('_', ' ')}: {_value(value)}"
    if not row["worth"]:
        yield "  worth: nothing was measured"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return " to ".join(map(_value, value)) if len(value) == 2 else ", ".join(map(_value, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {_value(entry)}" for key, entry in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
