"""Pages out of templates: one file that fetches nothing, runs nothing and shows strangers' texts as texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from realm_engine.verbs.report.numbers import interval, number, probability, signed
from realm_engine.verbs.report.shown import isolated, plain, prose

_FOLDER = Path(__file__).with_name("page")


def render(template: str, context: Mapping[str, Any]) -> bytes:
    """A page as UTF-8. `context`: what the template names; a name that is missing is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "name": isolated,
        "plain": plain,
        "prose": prose,
        "number": number,
        "signed": signed,
        "p": probability,
    }
    environment.globals |= {"interval": interval}
    style = (_FOLDER / "page.css").read_text(encoding="utf-8")
    text = environment.get_template(template).render({**context, "style": style})
    return text.encode("utf-8", "backslashreplace")
