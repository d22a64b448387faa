"""The program that stands in docs/embedding.md, and how far its answers are from the golden vectors."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import dropwhile, takewhile
from types import SimpleNamespace
from typing import Any

import numpy as np
from repository import ROOT

GOLDEN_FOLDER = ROOT / "tests" / "golden"
GOLDEN = json.loads((GOLDEN_FOLDER / "golden.json").read_text(encoding="utf-8"))
TOLERANCES = GOLDEN["tolerances"]
PAGE = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
PROGRAM = "\n".join(BLOCKS)
ANSWERS = ("similarity", "MOS", "map")
CLIP_SPEC = {"max_tokens": 77, "pad_id": 0, "fixed_length": True}

Change = tuple[str, str]


def table(marker: str) -> dict[str, list[str]]:
    """The rows of the table below a marker or heading: first cell -> the others."""
    assert PAGE.count(marker) == 1
    lines = dropwhile(lambda line: not line.startswith("|"), PAGE[PAGE.index(marker) :].splitlines())
    rows = list(takewhile(lambda line: line.startswith("|"), lines))[2:]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in rows]
    return {first: rest for first, *rest in cells}


# ---------------------------------------------------------------------- the program


class Memory:
    """Answers of graphs by what went in: most mistakes change what is fed to few calls, or none."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Any] = {}

    def wrap(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def remembered(graph: str, output: str, **feeds: Any) -> Any:
            parts = [(name, value.shape, value.dtype.str, value.tobytes()) for name, value in feeds.items()]
            key = (graph, output, *parts)
            if key not in self._known:
                self._known[key] = run(graph, output, **feeds)
            return self._known[key]

        return remembered


MEMORY = Memory()


def program(changes: Iterable[Change] = ()) -> SimpleNamespace:
    """What the page's program defines, after changes that must each apply exactly once."""
    text = PROGRAM
    for old, new in changes:
        assert text.count(old) == 1, f"stands {text.count(old)} times on the page: {old}"
        text = text.replace(old, new)
    defined: dict[str, Any] = {"__name__": "page"}
    exec(compile(text, "docs/embedding.md", "exec"), defined)
    defined["run"] = MEMORY.wrap(defined["run"])
    return SimpleNamespace(**defined)


def wrong_tokens(page: SimpleNamespace, kind: str, clip: Any) -> Iterator[str]:
    """Texts of the golden vectors whose ids or padding are wrong."""
    core = page.MANIFEST["core"]["text"]
    file = json.loads((page.BUNDLE / core["tokenizer"]).read_text(encoding="utf-8"))
    tokenizer, spec = {"wordpiece": (file, core), "clip": (clip, CLIP_SPEC)}[kind]
    for entry in GOLDEN["tokens"]:
        if entry["tokenizer"] == kind:
            ids = page.encode(entry["text"], tokenizer, spec["max_tokens"])
            padding = entry["padded_length"] - len(entry["ids"])
            padded, mask = page.pad(ids, spec)
            right = padded.tolist() == [entry["ids"] + [0] * padding]
            if not right or mask.tolist() != [[1] * len(entry["ids"]) + [0] * padding]:
                yield entry["text"]


def levels_off(page: SimpleNamespace, entry: dict[str, Any]) -> int:
    box = page.load(GOLDEN_FOLDER / entry["image"])[entry["top"] :, entry["left"] :]
    kernel = page.KERNELS[entry["interpolation"]]
    rows, cols = (
        page.resample_matrix(entry[side], entry[f"out_{side}"], *kernel) for side in ("height", "width")
    )
    resized = page.resize(box[: entry["height"], : entry["width"]], rows, cols)
    return int(np.abs(resized - page.load(GOLDEN_FOLDER / entry["pixels"])).max())


def allowed_levels(entry: dict[str, Any]) -> int:
    """None on squares, as the page says; elsewhere what the golden vectors allow."""
    square = (entry["height"], entry["out_height"]) == (entry["width"], entry["out_width"])
    return 0 if square else int(TOLERANCES["preprocessing_levels"])


def worst(page: SimpleNamespace, answer: str) -> float:
    """The largest difference of a kind of answer from the golden vectors."""

    def similarities(entry: dict[str, Any]) -> Any:
        embeddings = np.concatenate(
            [page.embed("dream", "clip_text", "text_embedding", text) for text in entry["texts"]]
        )
        pixels = page.load(GOLDEN_FOLDER / entry["image"])
        found = page.similarities(pixels, entry["window_px"], entry["top"], entry["left"], embeddings)
        return found - np.array(entry["values"])

    def mos(entry: dict[str, Any]) -> Any:
        return page.score(page.load(GOLDEN_FOLDER / entry["image"]), entry["text"])[0] - entry["mos"]

    def maps(entry: dict[str, Any]) -> Any:
        names = ("texts", "windows_px", "stride_px", "aggregate", "quantity")
        values = page.draw_map(
            page.load(GOLDEN_FOLDER / entry["image"]), **{name: entry[name] for name in names}
        )
        assert values.dtype == np.float32
        golden = np.load(GOLDEN_FOLDER / entry["values"])
        if (np.isnan(values) != np.isnan(golden)).any():
            raise ValueError("other pixels are NaN")
        return np.nan_to_num(values) - np.nan_to_num(golden)

    section, difference = {
        "similarity": ("similarities", similarities),
        "MOS": ("scores", mos),
        "map": ("maps", maps),
    }[answer]
    # The page's program sends every window through the tower; one pass is told in words and by docs/bundle.md.
    entries = [entry for entry in GOLDEN[section] if entry.get("encoder") != "one-pass"]
    return max(float(np.abs(difference(entry)).max()) for entry in entries)


def limit(answer: str) -> float:
    return float(TOLERANCES[f"{answer.lower()}_max_abs"])
