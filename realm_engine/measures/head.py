"""A head: a small graph on the features of a tower that other measures may share."""

from __future__ import annotations

from collections.abc import Mapping

from realm_engine.arrays import Array
from realm_engine.bundle.bundle import Bundle, Part
from realm_engine.bundle.columns import parse_columns
from realm_engine.bundle.manifest import Section
from realm_engine.errors import BundleError
from realm_engine.measures.attribution import BIAS, LOGIT, Attribution
from realm_engine.measures.look import LeftOutError, Look, View
from realm_engine.measures.measure import Measure, Words, required_numbers, required_outputs

MOST_STAGES, LONGEST_WORD = 64, 16


def open_head(bundle: Bundle, name: str, section: Section) -> Measure:
    """The measure of kind "head" that a bundle lists. Raises BundleError, LeftOutError for one of another tower."""
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
    if "fitted_on" in section.data:
        _check_fitted_on(bundle, section.section("fitted_on"))
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
        attribution=_attribution(bundle, section, graph, view, words.columns[0].name),
    )


def _attribution(bundle: Bundle, measure: Section, tower: str, view: View, column: str) -> Attribution | None:
    """The "map" of a head, None where it has none. Raises BundleError."""
    if "map" not in measure.data:
        return None
    section = measure.section("map")
    stages = section.get("stages", list)
    named = all(isinstance(stage, str) for stage in stages)
    if not named or not 1 <= len(stages) <= MOST_STAGES or len(set(stages)) != len(stages):
        raise BundleError(
            f"{section.where}: 'stages' must list 1 to {MOST_STAGES} different outputs; export the bundle again"
        )
    speaks_for = section.text("speaks_for") if "speaks_for" in section.data else column[:LONGEST_WORD]
    if len(speaks_for) > LONGEST_WORD or not speaks_for.isprintable():
        raise BundleError(
            f"{section.where}: 'speaks_for' is no word of at most {LONGEST_WORD} letters; export the bundle again"
        )
    found = Attribution(tower, view, section.get("graph", str), tuple(stages), speaks_for)
    if view.kind == "centre-crop":
        raise BundleError(
            f"{section.where}: a map needs a tower that sees the whole picture; export the bundle again"
        )
    for graph, outputs in found.outputs.items():
        required_outputs(bundle, graph, outputs, section.where)
    spec = bundle.graphs[found.graph]
    if set(spec.input_names) != set(found.stages):
        raise BundleError(
            f"{section.where}: graph {found.graph!r} does not take the stages; export the bundle again"
        )
    # A number for each picture, and for each position of a stage of one.
    for name, axes in {**dict.fromkeys(found.maps, 3), LOGIT: 1, BIAS: 1}.items():
        output = spec.output(name)
        assert output is not None
        if len(output.shape) != axes or not isinstance(output.shape[0], str):
            raise BundleError(
                f"{section.where}: output {name!r} of graph {found.graph!r} is {list(output.shape)}, with another "
                "number of axes than it must have; export the bundle again"
            )
    return found


def _check_fitted_on(bundle: Bundle, fitted_on: Section) -> None:
    """Leave out a head whose tower has other weights than it was fitted on: it would answer, and mean nothing.

    `fitted_on`: the sha256 of the tower's fp32 file, by the name of its graph. Raises LeftOutError.
    """
    for graph in fitted_on.data:
        wanted = fitted_on.text(graph)
        if graph not in bundle.graphs or bundle.sha256(graph) != wanted:
            raise LeftOutError(
                f"it was fitted on another {graph} graph ({wanted[:4]}...); "
                "fit it again with realm-train, or use that bundle"
            )
