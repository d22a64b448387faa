"""A graph of a user's own: pixels in, numbers out."""

from __future__ import annotations

from collections.abc import Mapping

from realm_engine.arrays import Array
from realm_engine.bundle.bundle import Bundle, Part
from realm_engine.bundle.columns import parse_columns
from realm_engine.bundle.manifest import Section
from realm_engine.measures.look import Look, View
from realm_engine.measures.measure import Measure, Words, required_numbers


def open_graph(bundle: Bundle, name: str, section: Section) -> Measure:
    """The measure of kind "graph" that a bundle lists. Raises BundleError."""
    words = Words.parse(section, parse_columns(section))
    graph, view = section.get("graph", str), View.parse(section.section("view"))

    def read(look: Look) -> Mapping[str, Array]:
        return look.run(graph, look.feeds(graph, view))

    return words.measure(
        name=name,
        kind="graph",
        part=Part(graph, (graph,)),
        view=view,
        outputs={graph: required_numbers(bundle, graph, words.columns, section.where)},
        read=read,
    )
