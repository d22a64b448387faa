"""Natural scene statistics as graphs: raw pixels in, moments of local contrast out (docs/measures.md has the formulas).

Nothing here depends on rounding noise: contrast is 0 exactly where a window of 7 x 7 px is flat, so that the sign of
what is left of a difference of equal numbers decides nothing. Knows no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto

from export.graph.model import Port
from export.graph.nodes import Nodes
from export.graph.wrap import PIXELS
from realm_engine.arrays import Array
from realm_engine.measures.nss import BLOCK_PX, FIELDS, MOMENTS, SCALES

LUMA = (0.298936021293775, 0.587043074451121, 0.114020904255103)
RADIUS, SIGMA = 3, 7 / 6
HALF_TAPS = 8
STEPS = 256.0  # of one level: half-size levels are rounded to them, so that what is flat stays flat
HEIGHT, WIDTH = 2, 3  # axes of [batch, 1, height, width]
TILE = 16  # pixels whose sums of neighbours are one product of matrices
STEEP = 1e38  # times this, every number but 0 is beyond 1
END = 1 << 30  # of an axis, whatever its length


def gaussian() -> Array:
    """The weights of 7 neighbours along one axis, sum 1, float64 [7]."""
    weights = np.exp(-(np.arange(-RADIUS, RADIUS + 1) ** 2) / (2 * SIGMA**2))
    return np.asarray(weights / weights.sum())


def halving() -> Array:
    """The weights of 8 neighbours that make one pixel of half size: bicubic, a = -0.5, antialiased, float64 [8]."""
    t = np.abs(np.arange(HALF_TAPS) - (HALF_TAPS - 1) / 2) / 2
    near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    weights = np.where(t <= 1, near, far)
    return np.asarray(weights / weights.sum())


@dataclass(frozen=True)
class MomentsGraph:
    """`nss_blocks`: moments of every block of 96 px; `nss_whole`: of the picture.

    Attributes:
        name: Its key in the manifest.
        edges: What lies beyond a picture: its last pixels again, or black.
        blocks: Whether the picture is cut to whole blocks, each with moments of its own.
    """

    name: str
    edges: Literal["edge", "constant"]
    blocks: bool

    inputs = (PIXELS,)
    float32_alone = True

    @property
    def outputs(self) -> tuple[Port, ...]:
        """`moments` alone."""
        rows = ("blocks",) if self.blocks else ()
        return (Port("moments", "float32", ("batch", *rows, SCALES, FIELDS, MOMENTS)),)

    def model(self) -> onnx.ModelProto:
        """The graph."""
        nodes = Nodes()
        levels = _luma(nodes, PIXELS.name)
        if self.blocks:
            levels = _cut(nodes, levels)
        scales = []
        for scale in range(SCALES):
            if scale:
                levels = _halved(nodes, levels)
            contrast = _contrast(nodes, levels, self.edges)
            if self.blocks:
                contrast = _in_blocks(nodes, contrast, BLOCK_PX >> scale)
            scales.append(_fields(nodes, contrast))  # [batch * blocks, 1, fields, moments]
        moments = nodes.add("Concat", scales, axis=1)
        (output,) = self.outputs
        if self.blocks:
            batch = nodes.add("Shape", [PIXELS.name], start=0, end=1)
            shape = nodes.add("Concat", [batch, nodes.integers(-1, SCALES, FIELDS, MOMENTS)], axis=0)
            moments = nodes.add("Reshape", [moments, shape])
        nodes.output(moments, output)
        return nodes.model(self.name, self.inputs, self.outputs)


NSS_BLOCKS = MomentsGraph("nss_blocks", "edge", True)
NSS_WHOLE = MomentsGraph("nss_whole", "constant", False)


def _luma(nodes: Nodes, pixels: str) -> str:
    """Whole levels of grey, float32 [batch, 1, height, width].

    A product of 16 pixels with a matrix: a convolution of one channel is no work for a runtime's kernels.
    """
    width = nodes.add("Shape", [pixels], start=2, end=3)
    _, after = _tiled(nodes, width, TILE)
    no = nodes.integers(0)
    pads = nodes.add("Concat", [nodes.integers(0, 0, 0, 0, 0, 0), after, no], axis=0)
    filled = nodes.add("Pad", [nodes.add("Cast", [pixels], to=TensorProto.FLOAT), pads])
    tiles = nodes.add("Reshape", [filled, nodes.integers(0, 0, -1, 3 * TILE)])
    weights = nodes.constant("luma", np.kron(np.eye(TILE), np.array(LUMA)[:, None]).astype(np.float32))
    grey = nodes.add("Floor", [nodes.add("Add", [nodes.add("MatMul", [tiles, weights]), nodes.number(0.5)])])
    rows = nodes.add("Unsqueeze", [nodes.add("Reshape", [grey, nodes.integers(0, 0, -1)]), nodes.integers(1)])
    return nodes.add("Slice", [rows, no, width, nodes.integers(WIDTH)])


def _cut(nodes: Nodes, levels: str) -> str:
    """The upper left part that is whole blocks."""
    size = nodes.add("Shape", [levels], start=HEIGHT, end=WIDTH + 1)
    block = nodes.integers(BLOCK_PX, BLOCK_PX)
    kept = nodes.add("Mul", [nodes.add("Div", [size, block]), block])
    return nodes.add("Slice", [levels, nodes.integers(0, 0), kept, nodes.integers(HEIGHT, WIDTH)])


def _halved(nodes: Nodes, levels: str) -> str:
    """Half size, rounded up, the picture mirrored at its edges."""
    for axis in (HEIGHT, WIDTH):
        one, two = nodes.integers(1), nodes.integers(2)
        length = nodes.add("Shape", [levels], start=axis, end=axis + 1)
        half = nodes.add("Div", [nodes.add("Add", [length, one]), two])
        mirrored = _mirrored(nodes, levels, axis)
        held = nodes.add("Shape", [mirrored], start=axis, end=axis + 1)
        tiles, _ = _tiled(nodes, half, TILE)
        needed = nodes.add("Mul", [nodes.add("Add", [tiles, one]), nodes.integers(2 * TILE)])
        filled = _filled(nodes, mirrored, axis, nodes.add("Sub", [needed, held]))
        wide = _weighed(nodes, filled, axis, halving(), 2)
        levels = nodes.add("Slice", [wide, nodes.integers(0), half, nodes.integers(axis)])
    steps = nodes.number(STEPS)
    whole = nodes.add("Floor", [nodes.add("Add", [nodes.add("Mul", [levels, steps]), nodes.number(0.5)])])
    return nodes.add("Div", [whole, steps])


def _mirrored(nodes: Nodes, levels: str, axis: int) -> str:
    """With 3 px before and 4 px after, mirrored at the edge itself: c b a | a b c."""
    ends = ((RADIUS - 1, -END), (-1, -2 - RADIUS))
    before, after = (
        nodes.add("Slice", [levels, *map(nodes.integers, (start, end, axis, -1))]) for start, end in ends
    )
    return nodes.add("Concat", [before, levels, after], axis=axis)


def _contrast(nodes: Nodes, levels: str, edges: str) -> str:
    """Local contrast (y - mean) / (deviation + 1) over windows of 7 x 7 px, 0 where such a window is flat."""
    size = nodes.add("Shape", [levels], start=HEIGHT, end=WIDTH + 1)
    tiles, after = _tiled(nodes, size, TILE)  # both axes
    # Behind the neighbours of the last pixels lies what fills up the last tiles, and one more of each.
    more = nodes.add("Add", [after, nodes.integers(TILE - RADIUS, TILE - RADIUS)])
    pads = nodes.add("Concat", [nodes.integers(0, 0, RADIUS, RADIUS, 0, 0), more], axis=0)
    padded = nodes.add("Pad", [levels, pads], mode=edges)
    # A whole number is taken from all levels: it changes nothing but how much float32 loses in squares.
    centre = nodes.add("Floor", [nodes.add("ReduceMean", [levels, nodes.integers(HEIGHT, WIDTH)])])
    z = nodes.add("Sub", [padded, centre])
    mean, square = _smoothed(nodes, z), _smoothed(nodes, nodes.add("Mul", [z, z]))
    variance = nodes.add("Relu", [nodes.add("Sub", [square, nodes.add("Mul", [mean, mean])])])
    deviation = nodes.add("Add", [nodes.add("Sqrt", [variance]), nodes.number(1)])
    covered = nodes.add("Mul", [tiles, nodes.integers(TILE, TILE)])
    difference = nodes.add("Sub", [_part(nodes, z, RADIUS, covered), mean])
    contrast = nodes.add("Div", [difference, deviation])
    flat = _flat(
        nodes, _part(nodes, padded, 0, nodes.add("Add", [covered, nodes.integers(*[2 * RADIUS] * 2)]))
    )
    return _part(nodes, nodes.add("Where", [flat, nodes.number(0), contrast]), 0, size)


def _part(nodes: Nodes, values: str, start: int, size: str) -> str:
    """So many rows and columns from `start` on."""
    begin, axes = nodes.integers(start, start), nodes.integers(HEIGHT, WIDTH)
    end = nodes.add("Add", [size, begin]) if start else size
    return nodes.add("Slice", [values, begin, end, axes])


def _smoothed(nodes: Nodes, values: str) -> str:
    """Gaussian mean of 7 x 7 neighbours of the pixels of all tiles."""
    for axis in (HEIGHT, WIDTH):
        values = _weighed(nodes, values, axis, gaussian(), 1)
    return values


def _weighed(nodes: Nodes, values: str, axis: int, weights: Array, step: int) -> str:
    """Sums of neighbours along an axis with `weights`, at every `step`-th place.

    As a product of tiles with a matrix, several times as fast as a convolution of one channel. What the axis holds is
    whole tiles of `step` * TILE and one more; the result has TILE places for each tile but the last.
    """
    side, halo = step * TILE, len(weights) - step
    banded = np.zeros((side + halo, TILE), dtype=np.float32)
    for place in range(TILE):
        banded[place * step : place * step + len(weights), place] = weights
    rows = axis == HEIGHT
    # [batch, tiles, side, width], or [batch, 1, height, tiles, side]
    split = nodes.integers(0, -1, side, 0) if rows else nodes.integers(0, 0, 0, -1, side)
    tiled = nodes.add("Reshape", [values, split])
    tiles, inside = (1, 2) if rows else (3, 4)
    own = nodes.add("Slice", [tiled, *map(nodes.integers, (0, -1, tiles))])
    starts, ends, axes = (nodes.integers(*each) for each in ((1, 0), (END, halo), (tiles, inside)))
    following = nodes.add("Slice", [tiled, starts, ends, axes])
    with_halo = nodes.add("Concat", [own, following], axis=inside)
    label = f"weights_{len(weights)}_{'rows' if rows else 'columns'}"
    if rows:
        product = nodes.add("MatMul", [nodes.constant(label, banded.T.copy()), with_halo])
        return nodes.add("Reshape", [product, nodes.integers(0, 1, -1, 0)])
    product = nodes.add("MatMul", [with_halo, nodes.constant(label, banded)])
    return nodes.add("Reshape", [product, nodes.integers(0, 0, 0, -1)])


def _tiled(nodes: Nodes, length: str, side: int) -> tuple[str, str]:
    """How many tiles hold a length, int64 [1] or [2], and how much of the last is empty."""
    one = nodes.integers(side)
    tiles = nodes.add("Div", [nodes.add("Add", [length, nodes.integers(side - 1)]), one])
    return tiles, nodes.add("Sub", [nodes.add("Mul", [tiles, one]), length])


def _filled(nodes: Nodes, values: str, axis: int, more: str) -> str:
    """With `more` zeros at the end of an axis."""
    pads = [nodes.integers(0)] * 7
    pads.insert(4 + axis, more)
    return nodes.add("Pad", [values, nodes.add("Concat", pads, axis=0)])


def _flat(nodes: Nodes, padded: str) -> str:
    """Where the largest of 7 x 7 neighbours is the smallest, bool."""
    largest, negated = padded, nodes.add("Neg", [padded])
    for shape in ([2 * RADIUS + 1, 1], [1, 2 * RADIUS + 1]):
        largest = nodes.add("MaxPool", [largest], kernel_shape=shape)
        negated = nodes.add("MaxPool", [negated], kernel_shape=shape)
    return nodes.add("Equal", [largest, nodes.add("Neg", [negated])])


def _in_blocks(nodes: Nodes, values: str, block_px: int) -> str:
    """[batch, 1, rows * block, columns * block] -> [batch * rows * columns, 1, block, block]."""
    width = nodes.add("Shape", [values], start=WIDTH, end=WIDTH + 1)
    side = nodes.integers(block_px)
    columns = nodes.add("Div", [width, side])
    cut = nodes.add("Concat", [nodes.integers(-1), side, columns, side], axis=0)
    rows = nodes.add("Transpose", [nodes.add("Reshape", [values, cut])], perm=[0, 2, 1, 3])
    return nodes.add("Reshape", [rows, nodes.integers(-1, 1, block_px, block_px)])


def _fields(nodes: Nodes, m: str) -> str:
    """Moments of contrast [n, 1, h, w] and of its products with its neighbours, the last beside the first.

    Returns [n, 1, fields, moments].
    """
    beside, below = _rolled(nodes, m, WIDTH), _rolled(nodes, m, HEIGHT)
    products = [
        nodes.add("Mul", [m, beside]),
        nodes.add("Mul", [m, below]),
        nodes.add("Mul", [m, _rolled(nodes, below, WIDTH)]),
        nodes.add("Mul", [beside, below]),  # the other diagonal: every pair of neighbours once
    ]
    size = nodes.add("Shape", [m], start=HEIGHT, end=WIDTH + 1)
    count = nodes.add("Cast", [nodes.add("ReduceProd", [size], keepdims=0)], to=TensorProto.FLOAT)
    return nodes.add("Concat", [_moments(nodes, field, count) for field in (m, *products)], axis=2)


def _rolled(nodes: Nodes, values: str, axis: int) -> str:
    """Every value where its neighbour is, the last one first."""
    last = nodes.add("Gather", [values, nodes.integers(-1)], axis=axis)
    others = nodes.add("Slice", [values, *map(nodes.integers, (0, -1, axis))])
    return nodes.add("Concat", [last, others], axis=axis)


def _moments(nodes: Nodes, v: str, count: str) -> str:
    """[n, 1, 1, moments]: how many values there are, below 0 and above; sum of |v|, of v^2 below 0 and above."""
    above = nodes.add("Relu", [v])
    below = nodes.add("Sub", [above, v])  # -v where v < 0
    # -1, 0 or 1: three times as fast as the operator Sign.
    steep = nodes.add("Mul", [v, nodes.number(STEEP)])
    signs = nodes.add("Clip", [steep, nodes.number(-1), nodes.number(1)])
    more, both = _sum(nodes, signs), _sum(nodes, nodes.add("Abs", [signs]))
    half = nodes.number(0.5)
    n_below = nodes.add("Mul", [nodes.add("Sub", [both, more]), half])
    n_above = nodes.add("Mul", [nodes.add("Add", [both, more]), half])
    total = nodes.add("Add", [_sum(nodes, below), _sum(nodes, above)])
    squares = [_sum(nodes, nodes.add("Mul", [side, side])) for side in (below, above)]
    n = nodes.add("Add", [nodes.add("Mul", [total, nodes.number(0)]), count])
    return nodes.add("Concat", [n, n_below, n_above, total, *squares], axis=WIDTH)


def _sum(nodes: Nodes, values: str) -> str:
    """Sum over height and width, one after the other: float32 loses less in sums of rows."""
    for axis in (WIDTH, HEIGHT):
        values = nodes.add("ReduceSum", [values, nodes.integers(axis)])
    return values
