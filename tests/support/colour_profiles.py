"""ICC profiles written from their definitions, and the same conversion in float64, both without Little CMS."""

from __future__ import annotations

import struct

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290))
P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290))
ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.3290))
PROPHOTO = ((0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105), (0.345704, 0.358540))
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""g, a, b, c, d of (a x + b)^g from d on, c x below."""

Curve = tuple[float, ...]
SPACES: dict[str, tuple[tuple[tuple[float, float], ...], Curve]] = {
    "srgb": (SRGB, SRGB_CURVE),
    "p3": (P3, SRGB_CURVE),
    "adobe": (ADOBE, (563 / 256,)),
    "prophoto": (PROPHOTO, (1.8,)),
}


def to_xyz(space: str) -> np.ndarray:
    """Linear RGB to XYZ of D50, float64 (3, 3)."""
    *primaries, white = SPACES[space][0]
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    x, y = white
    white_xyz = np.array([x / y, 1.0, (1 - x - y) / y])
    matrix = columns * np.linalg.solve(columns, white_xyz)
    cones = np.diag((BRADFORD @ D50) / (BRADFORD @ white_xyz))
    return np.linalg.inv(BRADFORD) @ cones @ BRADFORD @ matrix


def linear(values: np.ndarray, curve: Curve) -> np.ndarray:
    """Values 0..1 as light."""
    if len(curve) == 1:
        return values ** curve[0]
    g, a, b, c, d = curve
    return np.where(values >= d, (a * values + b) ** g, c * values)


def encoded(light: np.ndarray, curve: Curve) -> np.ndarray:
    """Light 0..1 as values: the inverse of `linear`."""
    light = np.clip(light, 0, 1)
    if len(curve) == 1:
        return light ** (1 / curve[0])
    g, a, b, c, d = curve
    return np.where(light >= c * d, (light ** (1 / g) - b) / a, light / c)


def converted(pixels: np.ndarray, source: str, target: str = "srgb") -> np.ndarray:
    """uint8 RGB of one space in another, by way of XYZ in float64."""
    light = linear(pixels / 255.0, SPACES[source][1]) @ (np.linalg.inv(to_xyz(target)) @ to_xyz(source)).T
    return np.floor(encoded(light, SPACES[target][1]) * 255 + 0.5).astype(np.uint8)


def matrix_profile(space: str) -> bytes:
    """A profile of a screen with the primaries and curve of a space."""
    matrix = to_xyz(space)
    tags = {f"{c}XYZ": _xyz(matrix[:, i]) for i, c in enumerate("rgb")}
    tags |= {f"{c}TRC": _curve(SPACES[space][1]) for c in "rgb"}
    return _profile(b"RGB ", b"mntr", b"XYZ ", tags)


def grey_profile(gamma: float) -> bytes:
    """A profile of grey."""
    return _profile(b"GRAY", b"mntr", b"XYZ ", {"kTRC": _curve((gamma,))})


def ink_profile(paper: float = 0.9) -> bytes:
    """A profile of four inks on paper that is not quite white; the table has the corners alone."""

    def light(c: float, m: float, y: float, k: float) -> np.ndarray:
        return paper * np.array([1 - c, 1 - m, 1 - y]) * (1 - k)

    table = b"".join(
        _lab(to_xyz("srgb") @ light(c, m, y, k))
        for c in (0, 1)
        for m in (0, 1)
        for y in (0, 1)
        for k in (0, 1)
    )
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    ramp = bytes(range(256))
    body = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + table + ramp * 3
    return _profile(b"CMYK", b"prtr", b"Lab ", {"A2B0": body})


def _lab(xyz: np.ndarray) -> bytes:
    def f(t: float) -> float:
        return t ** (1 / 3) if t > (6 / 29) ** 3 else t * (29 / 6) ** 2 / 3 + 4 / 29

    x, y, z = (f(float(v)) for v in xyz / D50)
    values = (2.55 * (116 * y - 16), 500 * (x - y) + 128, 200 * (y - z) + 128)
    return bytes(int(np.clip(round(v), 0, 255)) for v in values)


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(float(value)) for value in values)


def _curve(curve: Curve) -> bytes:
    kind = 0 if len(curve) == 1 else 3
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + b"".join(map(_fixed, curve))


def _text(text: str) -> bytes:
    words = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(words), 28) + words


def _profile(space: bytes, kind: bytes, connection: bytes, tags: dict[str, bytes]) -> bytes:
    tags = {"desc": _text("a test's"), "cprt": _text("CC0"), "wtpt": _xyz(D50), **tags}
    table, data, place = b"", b"", 132 + 12 * len(tags)
    for name, body in tags.items():
        body += bytes(-len(body) % 4)
        table += struct.pack(">4sII", name.encode(), place + len(data), len(body))
        data += body
    size = place + len(data)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x04300000, kind, space, connection)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + b"".join(map(_fixed, D50))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data
