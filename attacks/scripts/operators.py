"""Operators that run without end, that no runtime has, or that read files."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from attacks.attack import Attack, Must, refused
from attacks.victim import Victim

PLAIN = "mos = Identity(has_text) unlike = Identity(has_text)"


def with_node(victim: Victim, node: onnx.NodeProto, domain: str = "") -> None:
    """CORE's graph, answering at once, beside a node that makes what nobody asks for."""
    victim.write_core(PLAIN)
    model = victim.model("core")
    model.graph.node.insert(0, node)
    if domain:
        model.opset_import.add(domain=domain, version=1)
    victim.write_model("core", model)


def loop(victim: Victim) -> None:
    """2^62 rounds."""
    one = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    after = helper.make_tensor_value_info("d", TensorProto.BOOL, [])
    carried, carries = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "y"))
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Add", ["x", "x"], ["y"])],
        "body", [one, condition, carried], [after, carries],
    )  # fmt: skip
    victim.write_core("unlike = Identity(has_text)")
    model = victim.model("core")
    model.graph.initializer.extend(
        [
            helper.make_tensor("rounds", TensorProto.INT64, [], [1 << 62]),
            helper.make_tensor("yes", TensorProto.BOOL, [], [1]),
        ]
    )
    model.graph.node.append(helper.make_node("Loop", ["rounds", "yes", "has_text"], ["mos"], body=body))
    victim.write_model("core", model)


def branch(victim: Victim) -> None:
    """A graph within a node, however it is called."""
    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, ["n"])
    inner = helper.make_graph([helper.make_node("Identity", ["has_text"], ["o"])], "inner", [], [out])
    with_node(victim, helper.make_node("If", ["has_text"], ["z"], then_branch=inner, else_branch=inner))


def deep(victim: Victim) -> None:
    """Graphs within graphs."""
    inner = helper.make_graph([helper.make_node("Identity", ["has_text"], ["o"])], "g", [], [])
    for _ in range(15):
        inner = helper.make_graph([helper.make_node("If", ["c"], ["o"], then_branch=inner)], "g", [], [])
    with_node(victim, helper.make_node("If", ["c"], ["z"], then_branch=inner))


def custom(victim: Victim) -> None:
    """A domain of the author's own."""
    with_node(victim, helper.make_node("Run", ["has_text"], ["z"], domain="evil.example"), "evil.example")


def unknown(victim: Victim) -> None:
    """A standard operator that there is not."""
    with_node(victim, helper.make_node("Frobnicate", ["has_text"], ["z"]))


def context(victim: Victim) -> None:
    """An operator of ONNX Runtime's that opens another file."""
    node = helper.make_node(
        "EPContext", ["has_text"], ["z"], domain="com.microsoft", ep_cache_context="/etc/passwd"
    )
    with_node(victim, node, "com.microsoft")


def functions(victim: Victim) -> None:
    """Functions of the file's own, each calling the one before twice: 2^30 nodes once they are inlined."""
    victim.write_core(PLAIN)
    model = victim.model("core")
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    before = helper.make_node("Identity", ["x"], ["y"])
    for depth in range(30):
        nodes = [before] if depth == 0 else [
            helper.make_node(f"f{depth - 1}", ["x"], ["m"], domain="own"),
            helper.make_node(f"f{depth - 1}", ["m"], ["y"], domain="own"),
        ]  # fmt: skip
        model.functions.append(helper.make_function("own", f"f{depth}", ["x"], ["y"], nodes, opsets))
    model.graph.node.insert(0, helper.make_node("f29", ["has_text"], ["z"], domain="own"))
    model.opset_import.append(opsets[1])
    victim.write_model("core", model)


HOLDS = refused("holds a graph of its own")
NONE = refused("none of those that bundles may use")
ATTACKS = (
    Attack("Loop of 2^62", loop, HOLDS, HOLDS),
    Attack("If", branch, HOLDS, HOLDS),
    Attack("graphs within graphs", deep, HOLDS, HOLDS),
    Attack("custom domain", custom, NONE, NONE),
    Attack("operator that reads a file", context, NONE, NONE),
    Attack(
        "functions that call each other",
        functions,
        refused("functions of its own"),
        refused("functions of its own"),
    ),
    Attack(
        "unknown operator",
        unknown,
        Must((1, 2), "core.onnx: ONNX Runtime refused it"),
        Must((1, 2), "core.onnx: ONNX Runtime refused it"),
    ),
)
