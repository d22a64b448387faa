"""How much work a graph makes of its own constants, which takes the same time for the smallest picture: few bytes of a
file can announce a product of matrices that takes minutes.

Shapes are followed as far as constants decide them; what is not followed, and every size that a picture decides, counts
for nothing, so that the sum is never more than a runtime does. An export has little such work: it folds constants.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from realm_engine.bundle.protobuf import fields, message, text, varint

MOST = 10**10
"""Multiplications, or elements that are written: a few seconds of two cores."""
_MOST_VALUES = 64  # of a shape, and its axes; no runtime takes more
_MOST_SIDE = 1 << 63

_INT32, _INT64 = 6, 7
_BINARY = {"Add": int.__add__, "Sub": int.__sub__, "Mul": int.__mul__}
_ONE_BY_ONE = frozenset({
    "Abs", "Add", "And", "Cast", "Ceil", "Clip", "Cos", "Div", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu",
    "Greater", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Less", "Log", "LogSoftmax", "Max", "Mean",
    "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "Pow", "PRelu", "Reciprocal", "Relu", "Round", "Selu",
    "Sigmoid", "Sign", "Sin", "Softmax", "Softplus", "Sqrt", "Sub", "Sum", "Tan", "Tanh", "Where", "Xor",
    "CumSum", "LayerNormalization", "Dropout", "Trilu",
})  # fmt: skip
_RANDOM = frozenset({"RandomNormal", "RandomUniform"})
_CONVOLUTIONS = frozenset({"Conv", "ConvInteger", "ConvTranspose"})
_Shape = tuple[int, ...]


@dataclass(frozen=True)
class _Known:
    """A tensor that constants decide: its shape, and its values where they may be a shape."""

    shape: _Shape
    values: tuple[int, ...] | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass
class _Node:
    kind: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    lists: dict[str, tuple[int, ...]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    value: _Known | None = None  # of a Constant


def refuse_work(nodes: Sequence[memoryview], initialisers: Sequence[memoryview]) -> None:
    """Raises ValueError, which names the operator, where constants alone are more work than `MOST`.

    `nodes`, `initialisers`: the NodeProto and TensorProto messages of a graph, in its order.
    """
    known: dict[str, _Known] = {}
    for tensor in initialisers:
        name, found = _tensor(tensor)
        if found is not None:
            known[name] = found
    work = 0
    for data in nodes:
        node = _node(data)
        given = [known.get(name) for name in node.inputs]
        made = _made(node, given)
        work += _work(node, given, made)
        if work > MOST:
            said = f"{min(work, 10**99):.0e}"
            raise ValueError(
                f"constants of {node.kind[:80]!r} and of the operators before it alone are {said} operations a call, "
                f"{MOST:.0e} may be"
            )
        if made is not None and node.outputs:
            known[node.outputs[0]] = made


def _work(node: _Node, given: Sequence[_Known | None], made: _Known | None) -> int:
    """Multiplications of a product, else elements that are written."""
    first, second = ([*given, None, None])[:2]
    if node.kind in _CONVOLUTIONS and first is not None and second is not None and len(first.shape) > 2:
        strides = math.prod(node.lists.get("strides", ())) if node.kind != "ConvTranspose" else 1
        return first.size // max(1, first.shape[1]) * second.size // max(1, strides)
    if node.kind == "Einsum":
        letters: dict[str, int] = {}
        for term, each in zip(node.texts.get("equation", "").split("->")[0].split(","), given, strict=False):
            letters |= zip(term.strip(), each.shape if each is not None else (), strict=False)
        return math.prod(letters.values())
    if made is None:
        return 0
    if node.kind in ("MatMul", "MatMulInteger", "Gemm") and first is not None and first.shape:
        return made.size * first.shape[0 if node.numbers.get("transA") else -1]
    return made.size


def _made(node: _Node, given: Sequence[_Known | None]) -> _Known | None:
    """The first output; None where no constant decides its shape. What comes out may be larger, never smaller."""
    kind = node.kind
    first, second = ([*given, None, None])[:2]
    target = second.values if second is not None else None
    if kind == "Constant":
        return node.value
    if kind in _RANDOM:
        return _of(node.lists.get("shape"))
    if kind == "ConstantOfShape":
        return _of(first.values if first is not None else None)
    if kind == "Expand" and target is not None:
        return _of(_broadcast(first.shape if first is not None else (), target))
    if kind == "Tile" and target is not None:
        sides = first.shape if first is not None else (1,) * len(target)
        return _of(tuple(side * times for side, times in zip(sides, target, strict=False)))
    if kind == "Range":
        return _range(given)
    if kind == "Reshape" and target is not None:
        return _reshaped(first, target)
    if kind in ("Unsqueeze", "Squeeze") and first is not None:
        return _with_axes(kind, first, target if second is not None else node.lists.get("axes"))
    if kind == "Transpose" and first is not None:
        order = node.lists.get("perm", tuple(reversed(range(len(first.shape)))))
        return _of(tuple(first.shape[axis] for axis in order if axis < len(first.shape)))
    if kind == "Concat":
        return _joined(node, given)
    if kind in ("MatMul", "MatMulInteger", "Gemm") and first is not None and second is not None:
        return _product(node, first.shape, second.shape)
    if kind in _ONE_BY_ONE and any(each is not None for each in given):
        shape: _Shape = ()
        for each in given:
            shape = _broadcast(shape, each.shape if each is not None else ())
        return _of(shape, _computed(node, given))
    return None


def _of(shape: Sequence[int] | None, values: tuple[int, ...] | None = None) -> _Known | None:
    """A tensor of this shape; None of what is none."""
    if shape is None or len(shape) > _MOST_VALUES or not all(0 <= side < _MOST_SIDE for side in shape):
        return None
    return _Known(tuple(shape), values)


def _broadcast(one: Sequence[int], other: Sequence[int]) -> _Shape:
    length = max(len(one), len(other))
    padded = ((1,) * (length - len(each)) + tuple(each) for each in (one, other))
    return tuple(b if a == 1 else a for a, b in zip(*padded, strict=True))


def _range(given: Sequence[_Known | None]) -> _Known | None:
    ends = [each.values[0] for each in given if each is not None and each.values]
    if len(ends) < 3 or ends[2] == 0:
        return None
    return _of((max(0, -(-(ends[1] - ends[0]) // ends[2])),))


def _reshaped(first: _Known | None, target: _Shape) -> _Known | None:
    if first is None:
        return _of(target) if 0 not in target else None
    sides = [first.shape[i] if side == 0 and i < len(first.shape) else side for i, side in enumerate(target)]
    if -1 in sides:
        sides[sides.index(-1)] = first.size // max(1, math.prod(side for side in sides if side != -1))
    return _of(sides, first.values)


def _with_axes(kind: str, first: _Known, axes: Sequence[int] | None) -> _Known | None:
    """With sides of 1 put in or taken out."""
    if axes is None:
        return None
    rank = len(first.shape) + (len(axes) if kind == "Unsqueeze" else 0)
    places = {axis + rank if axis < 0 else axis for axis in axes}
    if kind == "Squeeze":
        return _of([side for i, side in enumerate(first.shape) if i not in places], first.values)
    sides = iter(first.shape)
    return _of([1 if i in places else next(sides, 1) for i in range(rank)], first.values)


def _joined(node: _Node, given: Sequence[_Known | None]) -> _Known | None:
    there = [each for each in given if each is not None and each.shape]
    if not there:
        return None
    axis, sides = node.numbers.get("axis", 0), list(there[0].shape)
    if -len(sides) <= axis < len(sides):
        sides[axis] = sum(each.shape[axis] for each in there if len(each.shape) == len(sides))
    values = tuple(value for each in there for value in each.values or ())
    whole = len(there) == len(given) and len(values) == math.prod(sides) <= _MOST_VALUES
    return _of(sides, values if whole else None)


def _product(node: _Node, left: _Shape, right: _Shape) -> _Known | None:
    if node.kind == "Gemm" and node.numbers.get("transA"):
        left = left[::-1]
    if node.kind == "Gemm" and node.numbers.get("transB"):
        right = right[::-1]
    if len(left) < 2 or len(right) < 2:
        return None
    return _of((*_broadcast(left[:-2], right[:-2]), left[-2], right[-1]))


def _computed(node: _Node, given: Sequence[_Known | None]) -> tuple[int, ...] | None:
    """What arithmetic makes of a shape."""
    values = [each.values for each in given if each is not None and each.values]
    if len(values) != len(given):
        return None
    if node.kind in ("Identity", "Cast"):
        return values[0]
    if node.kind not in _BINARY or len(values) != 2:
        return None
    one, other = values
    length = max(len(one), len(other))
    if not {len(one), len(other)} <= {1, length}:
        return None
    pairs = zip(one * (length // len(one)), other * (length // len(other)), strict=True)
    found = tuple(_BINARY[node.kind](a, b) for a, b in pairs)
    return found if all(abs(number) < _MOST_SIDE for number in found) else None


def _node(data: memoryview) -> _Node:
    node = _Node()
    for number, value in fields(data):
        if number == 1:
            node.inputs.append(text(value))
        elif number == 2:
            node.outputs.append(text(value))
        elif number == 4:
            node.kind = text(value)
        elif number == 5:
            _attribute(node, message(value))
    return node


def _attribute(node: _Node, data: memoryview) -> None:
    name, count, constant = "", 0, None
    integers: list[int] = []
    for number, value in fields(data):
        if number == 1:
            name = text(value)
        elif number == 3 and isinstance(value, int):
            node.numbers[name] = _signed(value)
        elif number == 4:
            node.texts[name] = text(value)
        elif number == 5:
            constant = _tensor(message(value))[1]
        elif number == 8:
            integers += _few(value, integers)
            count += 1 if isinstance(value, int) else len(_few(value, ()))
    node.lists[name] = tuple(integers)
    if name == "value" and constant is not None:
        node.value = constant
    elif name == "value_int":
        node.value = _Known((), (node.numbers.get(name, 0),))
    elif name == "value_ints":
        node.value = _Known((count,), tuple(integers) if count <= _MOST_VALUES else None)


def _tensor(data: memoryview) -> tuple[str, _Known | None]:
    name, kind, raw = "", 0, memoryview(b"")
    shape: list[int] = []
    listed: list[int] = []
    for number, value in fields(data):
        if number == 1:
            shape += _few(value, shape)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number in (5, 7):
            listed += _few(value, listed)
        elif number == 8:
            name = text(value)
        elif number == 9:
            raw = message(value)
    values: tuple[int, ...] | None = tuple(listed) if len(listed) <= _MOST_VALUES else None
    width = {_INT32: 4, _INT64: 8}.get(kind, 0)
    if width and raw and len(raw) <= width * _MOST_VALUES and len(raw) % width == 0:
        values = struct.unpack(f"<{len(raw) // width}{'i' if width == 4 else 'q'}", raw)
    return name, _of(shape, values if kind in (_INT32, _INT64) and values else None)


def _few(value: int | memoryview, before: Sequence[int]) -> list[int]:
    """One number, or those of a packed field; none where more are there already than a shape has."""
    if len(before) > _MOST_VALUES:
        return []
    if isinstance(value, int):
        return [_signed(value)]
    found: list[int] = []
    at = 0
    while at < len(value) and len(found) <= _MOST_VALUES:
        number, at = varint(value, at)
        found.append(_signed(number))
    return found


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number
