"""The page of a bundle on a model hub: README.md, whose YAML header the hub reads. All of it is the manifest's word."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from realm_engine.bundle.terms import Terms, alike
from realm_engine.maps.spec import PART as MAP_PART
from realm_engine.opened import Contents

LIBRARY = "realm-engine"
# Licences that the hub knows, which are SPDX's names in lower case; any other is "other", with its name and text.
_HUB_LICENCES = frozenset(
    {
        "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "mpl-2.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "unlicense",
        "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0",
        "openrail", "openrail++", "bigscience-openrail-m", "creativeml-openrail-m",
    }
)  # fmt: skip
# How names of our numbers begin, and what the hub calls them.
_HUB_METRICS = {"srocc": "spearmanr", "plcc": "pearsonr", "rmse": "rmse", "auc": "roc_auc", "iou": "mean_iou"}


def model_card(contents: Contents) -> str:
    """The whole README.md."""
    header = "\n".join(_yaml(hub_metadata(contents)))
    return f"---\n{header}\n---\n\n" + "\n".join(_body(contents)) + "\n"


def hub_metadata(contents: Contents) -> dict[str, Any]:
    """What the header says, as the hub names it."""
    bundle = contents.bundle
    task = "image-classification" if contents.measures.all else "image-segmentation"
    groups = dict(_groups(bundle.manifest.get("metrics")))
    names = dict.fromkeys(
        hub_name for numbers in groups.values() for name in numbers if (hub_name := _hub_metric(name))
    )
    found = {
        **_licence(Terms.of_bundle(bundle.manifest)),
        "pipeline_tag": task,
        "library_name": LIBRARY,
        "tags": [
            "onnx",
            "image-quality-assessment",
            "realness",
            *(measure.name for measure in contents.measures.all),
            *(["heatmap"] if contents.maps is not None else []),
        ],
        "metrics": list(names),
        "model-index": [
            {"name": bundle.name, "results": [_result(task, *group) for group in groups.items()]}
        ],
    }
    return {key: value for key, value in found.items() if value and (key != "model-index" or groups)}


def _licence(terms: Terms) -> dict[str, str]:
    name = _line(terms.licence)
    if name.lower() in _HUB_LICENCES:
        return {"license": name.lower()}
    slug = "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in name.lower()).split())
    found = {"license": "other", "license_name": slug[:64] or "not-stated"}
    return {**found, "license_link": terms.text} if terms.text is not None else found


def _groups(metrics: Any) -> Iterator[tuple[str, dict[str, float]]]:
    """Numbers of the manifest by what they are of; those without a group are the bundle's. Protocols stay aside."""
    if not isinstance(metrics, Mapping):
        return
    own = _numbers(metrics)
    if own:
        yield "bundle", own
    for name, group in metrics.items():
        if isinstance(group, Mapping) and (numbers := _numbers(group)):
            protocol = group.get("protocol")
            yield f"{name}: {_line(protocol)}" if isinstance(protocol, str) else str(name), numbers


def _numbers(group: Mapping[str, Any]) -> dict[str, float]:
    return {
        str(name): value
        for name, value in group.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _hub_metric(name: str) -> str | None:
    return _HUB_METRICS.get(name.split("_")[0])


def _result(task: str, group: str, numbers: Mapping[str, float]) -> dict[str, Any]:
    return {
        "task": {"type": task},
        "dataset": {"name": group, "type": group.partition(":")[0]},
        "metrics": [
            {"type": _hub_metric(name) or name, "name": name, "value": value}
            for name, value in numbers.items()
        ],
    }


def _body(contents: Contents) -> Iterator[str]:
    bundle = contents.bundle
    yield f"# {bundle.name}\n"
    if isinstance(description := bundle.manifest.get("description"), str) and description:
        yield f"{_line(description)}\n"
    yield "A bundle of ONNX graphs that take raw pixels: how real a picture looks, as numbers or as a map.\n"
    yield "```sh"
    yield f"realm-engine models pull hf:OWNER/NAME@COMMIT     # then by name: {bundle.name}"
    if contents.measures.all:
        yield f"realm-engine score PICTURES --bundle {bundle.name}"
    if contents.maps is not None:
        yield f'realm-engine map PICTURES --bundle {bundle.name} --text "..." --output maps'
    yield "```\n"
    for measure in contents.measures.all:
        yield f"## {measure.name}\n\n{_line(measure.says)}\n"
        yield "| column | values | meaning |\n|---|---|---|"
        for column in measure.columns:
            cells = (column.name, column.span, column.meaning)
            yield f"| {' | '.join(map(_cell, cells))} |"
        yield ""
    if contents.maps is not None:
        presets = ", ".join(f"`{_line(name)}`" for name in contents.maps.presets)
        yield f"## {MAP_PART.name}\n\nMaps of where a picture looks unreal. Presets: {presets}.\n"
    yield "## Licence and training data\n"
    for terms, names in alike(contents.terms()).items():
        text = f", [{terms.text}]({terms.text})" if terms.text is not None else ""
        yield f"* **{', '.join(names)}**: {terms.line}{text}. Trained on: {_line(terms.training_data)}."
    yield ""
    groups = list(_groups(bundle.manifest.get("metrics")))
    if groups:
        yield "## Measured\n\n| of | what | value |\n|---|---|---|"
        for group, numbers in groups:
            yield from (f"| {_cell(group)} | {_cell(name)} | {value:g} |" for name, value in numbers.items())


def _line(text: str) -> str:
    return " ".join(str(text).split())


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")


def _yaml(value: Any, indent: str = "") -> Iterator[str]:
    """Lines of YAML: mappings and lists by indentation, what is in them as JSON, which YAML reads."""
    items = value.items() if isinstance(value, Mapping) else ((None, each) for each in value)
    for key, each in items:
        head = f"{indent}- " if key is None else f"{indent}{key}: "
        if isinstance(each, Mapping | list):
            inner = list(_yaml(each, indent + "  "))
            if key is None:
                yield head + inner[0].strip()
                yield from inner[1:]
            else:
                yield head.rstrip()
                yield from inner
        else:
            yield head + json.dumps(each, ensure_ascii=False)
