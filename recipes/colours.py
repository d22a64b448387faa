"""Write realm_engine/maps/colours.csv: the colours of unrealness, 256 levels from real to unreal, for every host.

    python recipes/colours.py

A level has a colour and an alpha; a picture shows the map by laying them over itself.

* The unreal end is magenta. Of the photographs in samples/, all but 2 % of the pixels are further than 106 from it in
  CIELAB (yellow 71, cyan 46, red 39, white 6), and black, white, grey and red are 116 to 130 away. Green (107) and
  blue (113) do as well there, but they are what leaves and skies are made of, and blue is too dark for the night.
* The colours lie on a straight line in CIELAB from yellow to there, so their lightness falls all the way, 88 to 60.
* Alpha grows from 0 (the real end shows the picture untouched) to 0.85 (of the worst place a little of its
  structure), as a power of 1.7: with less, some level would be nearer to its ground than a lesser one by more than
  the eye tells apart (2.3 in CIELAB), to grey for a protanope first.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TABLE = Path(__file__).parent.parent / "realm_engine" / "maps" / "colours.csv"
REAL, UNREAL = (255, 220, 0), (255, 0, 255)
ALPHA, POWER = 0.85, 1.7

# sRGB (IEC 61966-2-1), its primaries under D65 and CIELAB (CIE 15).
_PRIMARIES = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _PRIMARIES.sum(axis=1)
_EDGE, _SLOPE = 216 / 24389, 24389 / 27


def to_lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB (..., 3) of sRGB colours (..., 3) in 0..255."""
    share = rgb / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _PRIMARIES.T / _WHITE
    x, y, z = np.moveaxis(np.where(ratio > _EDGE, np.cbrt(ratio), (_SLOPE * ratio + 16) / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def to_rgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB (..., 3), 0..255, of CIELAB colours; what no screen shows is clipped."""
    y = (lab[..., 0] + 16) / 116
    root = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    ratio = np.where(root**3 > _EDGE, root**3, (116 * root - 16) / _SLOPE)
    linear = np.clip((ratio * _WHITE) @ np.linalg.inv(_PRIMARIES).T, 0.0, 1.0)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(255.0 * curved)


def table() -> NDArray[np.uint8]:
    """uint8 (256, 4): red, green, blue and alpha."""
    level = np.linspace(0.0, 1.0, 256)[:, None]
    real, unreal = to_lab(np.array(REAL, float)), to_lab(np.array(UNREAL, float))
    colours = to_rgb(real + level * (unreal - real))
    return np.floor(np.hstack([colours, 255.0 * ALPHA * level**POWER]) + 0.5).astype(np.uint8)


def main() -> None:
    """Write the table."""
    rows = [",".join(map(str, row)) for row in table().tolist()]
    TABLE.write_text("\n".join(["red,green,blue,alpha", *rows]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
