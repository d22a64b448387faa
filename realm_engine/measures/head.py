"""A head: a small graph on the features of a tower that other measures may share."""

from __future__ import annotations

from collections.abc import Mapping

from realm_engine.arrays import Array
from realm_engine.bundle.bundle import Bundle, Part
from realm_engine.bundle.columns import parse_columns
from realm_engine.bundle.manifest import Section
from realm_engine.errors import BundleError
from realm_engine.measures.look import Look, View
from realm_engine.measures.measure import Measure, Words, required_numbers


def open_head(bundle: Bundle, name: str, section: Section) -> Measure:
    """The measure of kind "head" that a bundle lists. Raises BundleError."""
    words = Words.parse(section, parse_columns(section))
    head, tower = section.get("graph", str), section.get("tower", str)
    towers = bundle.content.sections("towers")
    if tower not in towers:
        raise BundleError(f"{section.where}: there is no tower {tower!r}; export the bundle again")
    graph, features = towers[tower].get("graph", str), towers[tower].get("output", str)
    view = View.parse(towers[tower].section("view"))
    tower_spec, spec = bundle.graphs.get(graph), bundle.graphs.get(head)
    if tower_spec is None or tower_spec.output(features) is None:
        raise BundleError(f"{towers[tower].where}: there is no output {features!r} of a graph {graph!r}")
    if spec is None or len(spec.inputs) != 1:
        raise BundleError(f"{section.where}: {head!r} is no graph with one input; export the bundle again")
    given = spec.inputs[0].name

    def read(look: Look) -> Mapping[str, Array]:
        return look.run(head, {given: look.tower(graph, view, features)})

    return words.measure(
        name=name,
        kind="head",
        part=Part(graph, (graph,)),
        view=view,
        outputs={
            graph: frozenset({features}),
            head: required_numbers(bundle, head, words.columns, section.where),
        },
        read=read,
    )
