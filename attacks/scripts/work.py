"""Graphs of few bytes that announce minutes of work, the same for the smallest picture."""

from __future__ import annotations

from attacks.attack import Attack, Build, refused

SQUARE = "sides = Constant<value_ints = [20000, 20000]>() one = Constant<value_floats = [1.0]>()"
GRAPHS = {
    "product of expanded constants": f"{SQUARE} a = Expand(one, sides) big = MatMul(a, a)",
    "product of an expanded input": f"{SQUARE} least = ReduceMean<keepdims = 1>(has_text) a = Expand(least, sides) "
    "big = MatMul(a, a)",
    "a hundred products": "sides = Constant<value_ints = [3000, 3000]>() a0 = ConstantOfShape(sides) "
    + " ".join(f"a{i + 1} = MatMul(a{i}, a0)" for i in range(100))
    + " big = Identity(a100)",
    "ten thousand sums": "sides = Constant<value_ints = [3000, 3000]>() a0 = ConstantOfShape(sides) "
    + " ".join(f"a{i + 1} = Add(a{i}, a0)" for i in range(10_000))
    + " big = Identity(a10000)",
}


def core(body: str) -> Build:
    """CORE's graph, whose score depends on `big`."""
    score = "mean = ReduceMean<keepdims = 0>(big) mos = Add(has_text, mean) unlike = Identity(has_text)"
    return lambda victim: victim.write_core(f"{body} {score}")


MUST = refused("core.onnx: .*constants of '(MatMul|Add)' and of the operators before it alone are")
ATTACKS = tuple(Attack(name, core(body), MUST, None) for name, body in GRAPHS.items())
