"""The tower that a bundle has already, as the manifest lists it for a head. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from export.errors import ExportError
from realm_engine.bundle.bundle import Bundle
from realm_engine.measures.features import FEATURES, tower_of
from realm_engine.measures.look import View
from realm_engine.opened import Contents


@dataclass(frozen=True)
class ListedTower:
    """An entry of "towers": `name`, and `entry`, its object."""

    name: str
    entry: Mapping[str, Any]

    @property
    def graph(self) -> str:
        """The graph that gives the features."""
        return str(self.entry["graph"])


def listed_tower(bundle: Bundle) -> ListedTower:
    """The tower of a bundle that gives `features`, under the name that its manifest has for it, or its graph's.

    Raises BundleError where there is none.
    """
    measure, graph = tower_of(bundle, Contents(bundle).measures.all)
    entry = {"graph": graph, "output": FEATURES, "view": _view_entry(measure.view)}
    listed: Mapping[str, Any] = bundle.manifest.get("towers", {})
    return ListedTower(next((name for name, each in listed.items() if each == entry), graph), entry)


def check_fitted_on(name: str, fitted_on: Mapping[str, str], bundle: Bundle, graph: str, again: str) -> None:
    """Refuse a head that was fitted on the features of another graph.

    Args:
        name: Of the measure.
        fitted_on: sha256 of the graph that gave the features, by its name.
        bundle: What the head shall go into.
        graph: Of its tower.
        again: The command that fits such a head.

    Raises:
        ExportError: the graphs differ, or no bundle gave the features.
    """
    if not fitted_on:
        raise ExportError(
            f"{name}: no bundle has a graph that gives its features; fit it with {again} on the trunk"
        )
    for fitted, digest in fitted_on.items():
        if fitted != graph or bundle.sha256(graph) != digest:
            raise ExportError(
                f"{name} was fitted on another {fitted} graph ({digest[:4]}...); "
                f"fit it again with {again} --bundle {bundle.root}, or use that bundle"
            )


def _view_entry(view: View) -> dict[str, Any]:
    """A view as the manifest holds it."""
    if view.kind == "centre-crop":
        return {
            "kind": view.kind,
            "size_px": view.height_px,
            "short_px": view.short_px,
            "interpolation": view.interpolation,
        }
    default = {field.name: field.default for field in fields(View)}
    return {key: value for key, value in asdict(view).items() if value != default[key]}
