"""Small files that become gigabytes: constants, expansions, repetitions, ranges, doublings."""

from __future__ import annotations

from attacks.attack import Attack, Build, Must

MANY = "many = Constant<value_ints = [1250000000]>()"  # float32: 5 GB
ONE = "one = ReduceMean<keepdims = 1>(has_text)"
LARGE = {
    "constant of 5 GB": f"{MANY} big = ConstantOfShape(many)",
    "expanded to 5 GB": f"{MANY} {ONE} big = Expand(one, many)",
    "repeated to 5 GB": f"{MANY} {ONE} big = Tile(one, many)",
    "a range of 10 GB": """
        from = Constant<value_int = 0>() to = Constant<value_int = 1250000000>() by = Constant<value_int = 1>()
        whole = Range(from, to, by) big = Cast<to = 1>(whole)""",
    "a random array of 5 GB": "big = RandomNormal<shape = [1250000000]>()",
    "doubled thirty times": "\n".join(
        ["d0 = Concat<axis = 0>(has_text, has_text)"]
        + [f"d{i} = Concat<axis = 0>(d{i - 1}, d{i - 1})" for i in range(1, 31)]
        + ["big = Identity(d30)"]
    ),
}


def core(body: str) -> Build:
    """CORE's graph, whose score depends on `big`."""
    score = "mean = ReduceMean<keepdims = 0>(big) mos = Add(has_text, mean) unlike = Identity(has_text)"
    return lambda victim: victim.write_core(f"{body} {score}")


MUST = Must((1, 2), "(?i)memory|bad_alloc|ONNX Runtime (refused|failed)")
ATTACKS = tuple(Attack(name, core(body), MUST, MUST) for name, body in LARGE.items())
