"""Weights and answers that are NaN, infinite, or numbers that no score and no cosine can be."""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper

from attacks.attack import Attack, Build, failed
from attacks.victim import Victim


def score(value: str) -> Build:
    """CORE's graph that gives one number for every picture."""
    body = f"v = Constant<value_float = {value}>() mos = Add(has_text, v) unlike = Identity(has_text)"
    return lambda victim: victim.write_core(body)


def weights(graph: str, value: float) -> Build:
    """A graph, one of whose matrices is a value throughout."""
    return lambda victim: victim.set_weight(graph, value)


def cosines(factor: float) -> Build:
    """Maps whose cosines are so many times too large."""

    def build(victim: Victim) -> None:
        model = victim.model("windows")
        (node,) = (node for node in model.graph.node if "similarity" in node.output)
        node.output[list(node.output).index("similarity")] = "small"
        model.graph.initializer.append(numpy_helper.from_array(np.array(factor, np.float32), "factor"))
        model.graph.node.append(type(node)(op_type="Mul", input=["small", "factor"], output=["similarity"]))
        victim.write_model("windows", model)

    return build


NAN = failed("graph core: .* NaN or infinite|not a number")
FAR = failed("far outside what")
ATTACKS = (
    Attack(
        "score of infinity",
        lambda victim: victim.write_core(
            "z = Sub(has_text, has_text) mos = Log(z) unlike = Identity(has_text)"
        ),
        NAN,
        NAN,
    ),
    Attack(
        "score of NaN",
        lambda victim: victim.write_core(
            "z = Sub(has_text, has_text) mos = Div(z, z) unlike = Identity(has_text)"
        ),
        NAN,
        NAN,
    ),
    Attack("score of 3e38", score("3e38"), FAR, FAR),
    Attack("score of -3e38", score("-3e38"), FAR, FAR),
    Attack("score of 1e6", score("1e6"), FAR, FAR),
    Attack(
        "text tower of NaN",
        weights("clip_text", float("nan")),
        failed("clip_text: .* NaN|text_embedding.* NaN|NaN or infinite"),
        failed("NaN or infinite"),
        "map",
    ),
    Attack(
        "trunk of infinity",
        weights("windows", float("inf")),
        failed("NaN or infinite"),
        failed("NaN or infinite"),
        "map",
    ),
    Attack("cosines of 3", cosines(3000.0), failed("cosine"), failed("cosine"), "map"),
    Attack(
        "cosines of 3e38",
        cosines(3e38),
        failed("cosine|NaN or infinite"),
        failed("cosine|NaN or infinite"),
        "map",
    ),
)
