"""Draw docs/map.jpg: two photographs of samples/ with a flaw put in, and their maps as `realm-engine map` draws them.

    python recipes/map_picture.py

Windows of 64 px, stride 4; every map spans its own values.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "samples"
OUTPUT = ROOT / "docs" / "map.jpg"
NAMES = ("coffee-melted", "temple-repeated")
GAP_PX = 8


def row(name: str, maps: Path) -> Image.Image:
    """A photograph and, right of it, its overlay."""
    with Image.open(SAMPLES / f"{name}.png") as photo, Image.open(maps / f"{name}.overlay.png") as overlay:
        joined = Image.new("RGB", (photo.width + GAP_PX + overlay.width, overlay.height), "white")
        joined.paste(photo, (0, 0))
        joined.paste(overlay, (photo.width + GAP_PX, 0))
    return joined


def main() -> None:
    """Map the photographs and write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        photos = [str(SAMPLES / f"{name}.png") for name in NAMES]
        texts = ["--descriptions", str(SAMPLES / "image_descriptions.csv")]
        command = [sys.executable, "-m", "realm_engine", "map", *photos, *texts, "--stride", "4"]
        subprocess.run([*command, "--format", "overlay", "--output", folder], check=True)
        rows = [row(name, Path(folder)) for name in NAMES]
    height = sum(each.height for each in rows) + GAP_PX * (len(rows) - 1)
    picture = Image.new("RGB", (max(each.width for each in rows), height), "white")
    top = 0
    for each in rows:
        picture.paste(each, (0, top))
        top += each.height + GAP_PX
    picture.save(OUTPUT, quality=92, optimize=True, subsampling=0)


if __name__ == "__main__":
    main()
