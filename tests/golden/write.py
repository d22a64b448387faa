"""Write the golden vectors, or compare them with what would be written now.

From the root:

    python tests/golden/write.py                         # writes golden.json, images/ and maps/ beside this file
    python tests/golden/write.py --check                 # exit code 1, and one line per difference
    python tests/golden/write.py --clip-tokenizer FILE   # CLIP's tokenizer as JSON, for the "clip" ids

What stands in which file, and how a port is checked with them: docs/embedding.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

GOLDEN = Path(__file__).resolve().parent
REPOSITORY = GOLDEN.parents[1]
sys.path[:0] = [str(GOLDEN), str(REPOSITORY)]  # run as a script: the folder's own modules, and `export`
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported

import numpy as np  # noqa: E402
from golden_cases import (  # noqa: E402
    EMBEDDED_TEXTS,
    FILE_ONLY,
    MAPS,
    PROBED,
    RESIZES,
    SCORES,
    SIMILARITIES,
    TEXTS,
    pictures,
)
from golden_compare import SECTIONS, cosine, differences  # noqa: E402
from golden_files import decoding_cases  # noqa: E402
from golden_reference import CLIP_TOKENS, ClipBpe, Graphs, UInt8, bucket, resize  # noqa: E402
from PIL import Image  # noqa: E402

from export.towers.tokenizer import clip_tokenizer  # noqa: E402

__all__ = ["Writer", "check", "cosine", "differences", "main"]

BUNDLE = "realm-tiny"
BUNDLE_PATH = REPOSITORY / "realm_engine" / "bundles" / BUNDLE
TOLERANCES = {
    "preprocessing_levels": 1,
    "embedding_cosine": 0.9999,
    "map_max_abs": 1e-3,
    "similarity_max_abs": 1e-3,
    "mos_max_abs": 4e-3,
    "p_fake_max_abs": 4e-3,
    "unlike_max_abs": 4e-3,
}
MADE_BY = ("numpy", "onnxruntime", "open_clip_torch", "pillow", "tokenizers", "transformers")


class Writer:
    """Writes golden vectors into one folder, which holds nothing else of these names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pictures = pictures()
        self._graphs = Graphs(BUNDLE_PATH)

    def write(self) -> None:
        """Write everything; files of an earlier run that no entry names any more are removed."""
        for kind in ("images", "maps"):
            shutil.rmtree(self._folder / kind, ignore_errors=True)
            (self._folder / kind).mkdir(parents=True)
        for name, pixels in self._pictures.items():
            self._save(_picture(name), pixels)
        content: dict[str, Any] = {
            "format": 1,
            "bundle": BUNDLE,
            "written_with": {
                "python": platform.python_version(),
                **{name: version(name) for name in MADE_BY},
            },
            "tolerances": TOLERANCES,
        }
        for section in SECTIONS:
            content[section] = list(getattr(self, f"_{section}")())
        (self._folder / "golden.json").write_text(_json(content), encoding="utf-8")

    def _save(self, name: str, pixels: UInt8) -> None:
        Image.fromarray(pixels).save(self._folder / name, optimize=True)

    def _tokens(self) -> Iterator[dict[str, Any]]:
        clip = ClipBpe(clip_tokenizer())
        spec = self._graphs.core["text"]
        for text in (*TEXTS, *FILE_ONLY):
            ids = self._graphs.word_piece.ids(text, spec["max_tokens"], text in FILE_ONLY)
            length = bucket(len(ids), spec)
            yield {"tokenizer": "wordpiece", "text": text, "ids": ids, "padded_length": length}
        for text in (*TEXTS, *FILE_ONLY):
            ids = clip.ids(text, text in FILE_ONLY)
            yield {"tokenizer": "clip", "text": text, "ids": ids, "padded_length": CLIP_TOKENS}

    def _decoding(self) -> Iterator[dict[str, Any]]:
        for case in decoding_cases(self._pictures["cat"][40:80, 60:116]):
            file = f"images/{case.name}"
            rgb = f"images/{Path(case.name).stem}.rgb.png"
            (self._folder / file).write_bytes(case.content)
            self._save(rgb, case.rgb)
            yield {"file": file, "rgb": rgb, "max_levels": case.max_levels}

    def _preprocessing(self) -> Iterator[dict[str, Any]]:
        for index, case in enumerate(RESIZES):
            box = (case.top, case.left, case.height, case.width)
            out = (case.out_height, case.out_width)
            name = f"images/{case.picture}.w{index}.png"
            self._save(name, resize(self._pictures[case.picture], box, out, case.interpolation))
            fields = asdict(case)
            yield {"image": _picture(fields.pop("picture")), **fields, "pixels": name}

    def _embeddings(self) -> Iterator[dict[str, Any]]:
        for text in EMBEDDED_TEXTS:
            core, clip = (self._graphs.embedding(graph, text) for graph in ("core_text", "clip_text"))
            yield {"text": text, "core": _rounded(core), "clip": _rounded(clip)}

    def _similarities(self) -> Iterator[dict[str, Any]]:
        for case in SIMILARITIES:
            values = self._graphs.similarities(
                self._pictures[case.picture], case.texts, case.window_px, case.top, case.left
            )
            fields = asdict(case)
            yield {
                "image": _picture(fields.pop("picture")),
                **fields,
                "values": [_rounded(row) for row in values],
            }

    def _scores(self) -> Iterator[dict[str, Any]]:
        for picture, text in SCORES:
            mos = self._graphs.mos(self._pictures[picture], text)
            realness = self._graphs.rating(mos)
            yield {
                "image": _picture(picture),
                "text": text,
                "mos": round(mos, 6),
                "realness": round(realness, 4),
            }

    def _probes(self) -> Iterator[dict[str, Any]]:
        for picture in PROBED:
            found = self._graphs.probe(self._pictures[picture], "real-fake")
            numbers = {name: round(value, 6) for name, value in found.items() if isinstance(value, float)}
            yield {"image": _picture(picture), **found, **numbers}

    def _maps(self) -> Iterator[dict[str, Any]]:
        for index, case in enumerate(MAPS):
            fields = asdict(case)
            picture = fields.pop("picture")
            values = self._graphs.map(self._pictures[picture], **fields)
            name = f"maps/{picture}-{index}.npy"
            with (self._folder / name).open("wb") as stream:
                np.lib.format.write_array(stream, values.astype("<f4"), version=(1, 0))
            yield {"image": _picture(picture), **fields, "values": name}


def _picture(name: str) -> str:
    return f"images/{name}.png"


def _rounded(values: Any) -> list[float]:
    """Seven digits: what a float32 holds."""
    return [float(f"{value:.7g}") for value in values]


def _json(content: dict[str, Any]) -> str:
    """JSON in ASCII, one entry of a list per line: invisible characters show, and a change is one line."""
    parts = []
    for key, value in content.items():
        if isinstance(value, list):
            entries = ",\n".join(f"  {json.dumps(entry, allow_nan=False)}" for entry in value)
            parts.append(f'"{key}": [\n{entries}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def check(golden: Path) -> list[str]:
    """Differences between the golden vectors in a folder and those that would be written now, one line each."""
    if not (golden / "golden.json").is_file():
        return [f"{golden / 'golden.json'}: is missing"]
    with TemporaryDirectory() as folder:
        fresh = Path(folder)
        Writer(fresh).write()
        return [line.replace(f"{fresh}", "what would be written now") for line in differences(golden, fresh)]


def main(arguments: Sequence[str] | None = None, golden: Path = GOLDEN) -> int:
    """The command line; returns the exit code. `golden`: the folder to write or to check."""
    parser = argparse.ArgumentParser(description="Write the golden vectors beside this file.")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="write nothing; exit code 1 on a difference")
    mode.add_argument(
        "--clip-tokenizer", metavar="FILE", type=Path, help="write CLIP's tokenizer, nothing else"
    )
    options = parser.parse_args(arguments)
    if options.clip_tokenizer is not None:
        options.clip_tokenizer.write_text(clip_tokenizer(), encoding="utf-8")
        return 0
    if not options.check:
        Writer(golden).write()
        return 0
    found = check(golden)
    for line in found:
        print(line, file=sys.stderr)
    if found:
        print(
            "golden vectors differ; if the new ones are right: python tests/golden/write.py", file=sys.stderr
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
