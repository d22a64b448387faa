"""Work that constants announce: counted as ONNX's own shape inference would, and refused before a runtime sees it."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser
import pytest

from realm_engine.bundle.bundle import installed_bundles
from realm_engine.bundle.onnx_file import refuse_operators

LARGE = "shape = Constant<value_ints = [20000, 20000]>() one = Constant<value_floats = [1.0]>()"
# Each makes a product of 8e12 multiplications of nothing but constants, or of x and what they expand.
MINUTES = {
    "expanded": f"{LARGE} a = Expand(one, shape) y = MatMul(a, a)",
    "expanded input": f"{LARGE} a = Expand(x, shape) y = MatMul(a, a)",
    "made": f"{LARGE} a = ConstantOfShape(shape) y = MatMul(a, a)",
    "tiled": f"{LARGE} s = Constant<value_ints = [1, 1]>() o = ConstantOfShape(s) a = Tile(o, shape) y = MatMul(a, a)",
    "random": "a = RandomNormal<shape = [20000, 20000]>() y = MatMul(a, a)",
    "transposed": f"{LARGE} a = ConstantOfShape(shape) b = Transpose(a) y = Gemm<transA = 1>(a, b)",
    "summed": f"{LARGE} a = ConstantOfShape(shape) b = Add(a, x) c = Relu(b) y = MatMul(c, c)",
    "computed shape": """s = Constant<value_ints = [200, 200]>() h = Constant<value_ints = [100]>() t = Mul(s, h)
        a = ConstantOfShape(t) y = MatMul(a, a)""",
    "joined shape": """s = Constant<value_ints = [20000]>() t = Concat<axis = 0>(s, s) a = ConstantOfShape(t)
        y = MatMul(a, a)""",
    "a range": """from = Constant<value_int = 0>() to = Constant<value_int = 400000000>() by = Constant<value_int = 1>()
        r = Range(from, to, by) c = Cast<to = 1>(r) s = Constant<value_ints = [20000, -1]>() a = Reshape(c, s)
        y = MatMul(a, a)""",
    "doubled": f"{LARGE} a = ConstantOfShape(shape) b = Concat<axis = 1>(a, a) c = Transpose(b) y = MatMul(b, c)",
    "unsqueezed": f"""{LARGE} zero = Constant<value_ints = [0]>() a = ConstantOfShape(shape) b = Unsqueeze(a, zero)
        y = MatMul(b, b)""",
    "einsum": f'{LARGE} a = ConstantOfShape(shape) y = Einsum<equation = "ij,jk->ik">(a, a)',
    "convolution": """s = Constant<value_ints = [1, 512, 2000, 2000]>() k = Constant<value_ints = [512, 512, 3, 3]>()
        a = ConstantOfShape(s) w = ConstantOfShape(k) y = Conv(a, w)""",
    "many sums": f"{LARGE} a0 = ConstantOfShape(shape) "
    + " ".join(f"a{i + 1} = Add(a{i}, a{i})" for i in range(40))
    + " y = Identity(a40)",
}
# What exports write.
HONEST = {
    "weights": """w = ConstantOfShape<value = float[1] {0.1}>(s) s2 = Constant<value_ints = [-1, 4096]>()
        r = Reshape(x, s2) y = MatMul(r, w)""",
    "shapes": """n = Shape(x) two = Constant<value_ints = [2]>() m = Mul(n, two) e = Expand(x, m) y = Relu(e)""",
    "a batch of products": """s3 = Constant<value_ints = [0, -1, 4096]>() r = Reshape(x, s3)
        t = Transpose<perm = [0, 2, 1]>(r) y = MatMul(r, t)""",
    "broadcast": """c = ConstantOfShape(s) s2 = Constant<value_ints = [64, -1]>() d = Reshape(c, s2) y = Add(d, x)""",
}


def written(folder: Path, body: str) -> Path:
    text = f"""<ir_version: 10, opset_import: ["": 20]> g (float[n, m] x) => (float[a, b] y)
        <int64[2] s = {{4096, 4096}}> {{ {body} }}"""
    path = folder / "g.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    return path


@pytest.mark.parametrize("name", MINUTES)
def test_minutes_of_work_are_refused(tmp_path, name) -> None:
    with pytest.raises(
        ValueError, match=r"^constants of '\w+' and of the operators before it alone are \de\+1\d"
    ):
        refuse_operators(written(tmp_path, MINUTES[name]))


@pytest.mark.parametrize("name", HONEST)
def test_what_a_picture_decides_counts_for_nothing(tmp_path, name) -> None:
    refuse_operators(written(tmp_path, HONEST[name]))


@pytest.mark.parametrize(
    "broken", ["y = MatMul(x)", "y = Reshape(x)", "y = Tile(x, s)", "y = Einsum(x)", "y = Concat(x)"]
)
def test_what_is_no_model_is_the_runtimes_to_refuse(tmp_path, broken) -> None:
    refuse_operators(written(tmp_path, broken))


def test_sizes_beyond_all_reason_are_counted_and_not_computed(tmp_path) -> None:
    sides = ", ".join([str(1 << 62)] * 60)
    with pytest.raises(ValueError, match="are 1e\\+99 operations"):
        refuse_operators(
            written(tmp_path, f"s1 = Constant<value_ints = [{sides}]>() y = ConstantOfShape(s1)")
        )
    squares = " ".join(
        f"s{i + 1} = Mul(s{i}, s{i})" for i in range(200)
    )  # 2^200 digits, were they multiplied
    refuse_operators(
        written(tmp_path, f"s0 = Constant<value_ints = [77]>() {squares} y = ConstantOfShape(s200)")
    )
    axes = ", ".join(map(str, range(60)))
    higher = " ".join(f"a{i + 1} = Unsqueeze(a{i}, axes)" for i in range(300))
    refuse_operators(
        written(
            tmp_path,
            f"axes = Constant<value_ints = [{axes}]>() a0 = ConstantOfShape(s) {higher} y = Relu(a300)",
        )
    )
    refuse_operators(
        written(tmp_path, f"z = Constant<value_ints = [{', '.join(['0'] * 9999)}]>() y = ConstantOfShape(z)")
    )


def test_every_graph_of_the_package_is_let_in() -> None:
    for bundle in installed_bundles().values():
        for path in bundle.glob("*.onnx"):
            refuse_operators(path)
