"""Seeds for the fuzzers of the C++ host: small whole files of every path through the decoders and the manifest reader.

    python tests/hosts/fuzz_corpus.py FOLDER     writes FOLDER/png, FOLDER/jpeg, FOLDER/manifest

Made here and nowhere kept: pictures are drawn, manifests are the embedded bundle's and those of the tests.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(HERE.parents[1])]

from cpp_hostile import MANIFESTS, seeds  # noqa: E402
from PIL import Image, PngImagePlugin  # noqa: E402
from profiled_pictures import profiled_pictures  # noqa: E402


def drawn(height: int, width: int) -> np.ndarray:
    """A picture with edges and texture, uint8 RGB."""
    rows, cols = np.mgrid[:height, :width]
    return np.stack([rows * 5 % 256, cols * 3 % 256, (rows * cols) % 256], axis=2).astype(np.uint8)


def write_corpus(folder: Path) -> Path:
    """Write the seeds; returns the folder."""
    for kind in ("png", "jpeg", "manifest"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    pictures = seeds(drawn(24, 32)) | {each.name: each.content for each in profiled_pictures(drawn(12, 16))}
    for name, content in pictures.items():
        (folder / ("png" if name.endswith("png") else "jpeg") / name).write_bytes(content)
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "{}" * 100, zip=True)
    info.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="8"/>', zip=True)
    info.add_text("Raw profile type exif", "\nexif\n4\n4d4d002a", zip=True)
    Image.fromarray(drawn(16, 16)).save(folder / "png" / "texts.png", pnginfo=info)
    write_manifests(folder / "manifest")
    return folder


def write_manifests(folder: Path) -> None:
    """The embedded bundle's manifest, and every change of it that the tests of hostile bundles know."""
    text = (HERE.parents[1] / "realm_engine/bundles/realm-tiny/bundle.json").read_text(encoding="utf-8")
    (folder / "whole.json").write_text(text, encoding="utf-8")
    for number, (_, change, _) in enumerate(MANIFESTS):
        manifest = json.loads(text)
        try:
            change(folder, manifest)
        except (KeyError, OSError):  # a change of a file, or of another bundle
            continue
        (folder / f"{number}.json").write_text(json.dumps(manifest), encoding="utf-8")


if __name__ == "__main__":
    write_corpus(Path(sys.argv[1]))
