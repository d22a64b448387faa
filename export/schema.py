"""The manifest against its published schema, `docs/bundle.schema.json`: writer and readers hold one text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema

from export.errors import ExportError

SCHEMA = Path(__file__).parent.parent / "docs" / "bundle.schema.json"


def check_manifest(manifest: Mapping[str, Any]) -> None:
    """Refuse a manifest that the schema refuses.

    Raises:
        ExportError: the first fault, with its place.
    """
    try:
        _validator()(dict(manifest))
    except fastjsonschema.JsonSchemaValueException as error:
        raise ExportError(f"bundle.json: {error.message.removeprefix('data.')}") from None


@cache
def _validator() -> Callable[[Any], Any]:
    validate: Callable[[Any], Any] = fastjsonschema.compile(json.loads(SCHEMA.read_text(encoding="utf-8")))
    return validate
