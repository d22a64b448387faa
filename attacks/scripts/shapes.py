"""Graphs whose outputs are of another shape or type than the manifest says, and shapes that lie."""

from __future__ import annotations

from attacks.attack import Attack, Build, Must, refused
from attacks.victim import Victim

ONE_EACH = "unlike = Identity(has_text)"


def core(body: str, outputs: str = "float[batch] mos, float[batch] unlike") -> Build:
    """CORE's graph, of other nodes."""
    return lambda victim: victim.write_core(body, outputs)


def said(key: str, shape: object) -> Build:
    """A manifest that gives an input or output of CORE another shape."""

    def build(victim: Victim) -> None:
        victim.manifest["graphs"]["core"][key][0]["shape"] = shape

    return build


def height(pixels: int) -> Build:
    """A manifest that says another size than the graph takes."""

    def build(victim: Victim) -> None:
        victim.manifest["core"]["image"]["height_px"] = pixels

    return build


FORM = Must((1, 2), "(output|mos).*(manifest says|is of shape|is not float32|is no tensor|of another form)")
UNREAD = Must((0,), "")  # the C++ program reads no size but the last
ATTACKS = (
    Attack(
        "a scalar for every picture",
        core(f"mos = ReduceMean<keepdims = 0>(has_text) {ONE_EACH}", "float mos, float[batch] unlike"),
        FORM,
        FORM,
    ),
    Attack(
        "two numbers for a picture",
        core(f"mos = Concat<axis = 0>(has_text, has_text) {ONE_EACH}", "float[n] mos, float[batch] unlike"),
        FORM,
        FORM,
    ),
    Attack(
        "a matrix",
        core(f"mos = Identity(text_features) {ONE_EACH}", "float[batch, n] mos, float[batch] unlike"),
        FORM,
        FORM,
    ),
    Attack(
        "whole numbers",
        core(f"mos = Cast<to = 7>(has_text) {ONE_EACH}", "int64[batch] mos, float[batch] unlike"),
        FORM,
        FORM,
    ),
    Attack(
        "texts",
        core(f"mos = Cast<to = 8>(has_text) {ONE_EACH}", "string[batch] mos, float[batch] unlike"),
        FORM,
        FORM,
    ),
    Attack(
        "an output that is not there",
        core("mos = Identity(has_text)", "float[batch] mos"),
        Must((1, 2), "unlike"),
        Must((1, 2), "unlike"),
    ),
    Attack(
        "manifest says a scalar",
        said("outputs", []),
        refused("not a number for each picture"),
        Must((1, 2), "mos|number for each"),
    ),
    Attack(
        "manifest says a matrix",
        said("outputs", ["batch", 7]),
        refused("not a number for each picture"),
        Must((1, 2), "mos|number for each"),
    ),
    Attack(
        "manifest says a size of -1",
        said("inputs", [-1, "height", "width", 3]),
        refused("'shape' must list"),
        UNREAD,
    ),
    Attack(
        "manifest says a shape of objects",
        said("inputs", [{}, [], None]),
        refused("'shape' must list"),
        UNREAD,
    ),
    Attack("size that the graph has not", height(17), Must((1, 2), "core.onnx"), Must((1, 2), "core.onnx")),
    Attack(
        "size of a wall",
        height(16384),
        Must((1, 2), "core.onnx|max-memory|memory"),
        Must((1, 2), "core.onnx|max-memory|memory"),
    ),
)
