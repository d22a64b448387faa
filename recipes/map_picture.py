"""Draw the README's pictures of maps: photographs of samples/ with a flaw put in, and their maps beside them.

    python recipes/map_picture.py

`docs/map.jpg` shows two flaws that the maps find, `docs/map-missed.jpg` the one that they miss. The maps are what
`realm-engine map samples --descriptions samples/image_descriptions.csv` draws.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "samples"
DOCS = ROOT / "docs"
PICTURES = {"map.jpg": ("coffee-melted", "temple-repeated"), "map-missed.jpg": ("cat-doubled",)}
GAP_PX = 8
QUALITY = 82  # with whole colours: halved ones make a fringe round magenta


def row(name: str, maps: Path) -> Image.Image:
    """A photograph and, right of it, its overlay."""
    with Image.open(SAMPLES / f"{name}.png") as photo, Image.open(maps / f"{name}.overlay.png") as overlay:
        joined = Image.new("RGB", (photo.width + GAP_PX + overlay.width, overlay.height), "white")
        joined.paste(photo, (0, 0))
        joined.paste(overlay, (photo.width + GAP_PX, 0))
    return joined


def rows(names: Sequence[str], maps: Path) -> Image.Image:
    """Photographs with their overlays, under each other."""
    each = [row(name, maps) for name in names]
    height = sum(part.height for part in each) + GAP_PX * (len(each) - 1)
    picture = Image.new("RGB", (max(part.width for part in each), height), "white")
    top = 0
    for part in each:
        picture.paste(part, (0, top))
        top += part.height + GAP_PX
    return picture


def main(output: Path = DOCS) -> None:
    """Map the photographs and write the pictures into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        photos = [str(SAMPLES / f"{name}.png") for names in PICTURES.values() for name in names]
        texts = ["--descriptions", str(SAMPLES / "image_descriptions.csv")]
        command = [sys.executable, "-m", "realm_engine", "map", *photos, *texts]
        subprocess.run([*command, "--format", "overlay", "--output", folder], check=True)
        for file, names in PICTURES.items():
            rows(names, Path(folder)).save(output / file, quality=QUALITY, optimize=True, subsampling=0)


if __name__ == "__main__":
    main()
