"""What a person says about a bundle, from the options of the command. Knows no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.manifest import BundleInfo
from export.terms import UNKNOWN_LICENCE, Terms, read_licence, read_terms


def bundle_info(output: Path, options: Mapping[str, Any]) -> BundleInfo:
    """Name, description, terms and metrics. Raises ExportError for a file that is not what it should be."""
    given, path = options["licence"], options["terms_path"]
    licence, text = (UNKNOWN_LICENCE, None) if given is None else read_licence(given, "--licence")
    terms = Terms(licence, text, options["commercial_use"], options["training_data"])
    metrics = options["metrics"]
    return BundleInfo(
        name=options["name"] or output.resolve().name,
        description=options["description"] or "",
        terms=terms,
        terms_of=read_terms(path, terms) if path is not None else {},
        metrics=json_object(metrics) if metrics is not None else {},
    )


def json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises ExportError."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ExportError(f"{path} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ExportError(f"{path}: expected a JSON object")
    return value
