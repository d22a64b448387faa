"""The reference that golden vectors come from: Pillow, plain onnxruntime and loops, none of the engine's arithmetic.

The graphs get windows that Pillow has cut and resized, one at a time, with the identity in place of the resample
matrices. Token ids come from the published tokenizers in Python; maps are means over covering windows, counted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image
from tokenizers import Tokenizer

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

CLIP_TOKENS = 77
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class DisagreementError(Exception):
    """Two sources of the same number do not agree: no golden vector can be written."""


def resize(picture: UInt8, box: tuple[int, int, int, int], out: tuple[int, int], interpolation: str) -> UInt8:
    """Pillow's crop and resize; box = (top, left, height, width), out = (height, width), uint8 RGB."""
    top, left, height, width = box
    crop = Image.fromarray(picture).crop((left, top, left + width, top + height))
    return np.array(crop.resize(out[::-1], FILTERS[interpolation]))


def bucket(length: int, spec: dict[str, Any]) -> int:
    """The padded length of so many tokens; `spec` is a `text` object of the manifest."""
    return int(spec["max_tokens"] if spec["fixed_length"] else min(b for b in spec["buckets"] if b >= length))


class WordPiece:
    """BERT's published tokenizer in Python, over the vocabulary of a bundle's tokenizer file."""

    def __init__(self, tokenizer_json: Path) -> None:
        from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

        self._ours = Tokenizer.from_file(str(tokenizer_json))
        vocabulary = json.loads(tokenizer_json.read_text(encoding="utf-8"))["model"]["vocab"]
        with TemporaryDirectory() as folder:
            lines = Path(folder, "vocab.txt")
            lines.write_text(
                "\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n", encoding="utf-8"
            )
            published: Any = BertTokenizerLegacy  # its __init__ has no types
            self._published = published(str(lines), do_lower_case=True)

    def ids(self, text: str, max_tokens: int, file_only: bool = False) -> list[int]:
        """Ids with [CLS] and [SEP], cut to `max_tokens`; `file_only`: by the tokenizer file alone."""
        ours = self._ours.encode(text).ids
        if not file_only and (published := self._published.encode(text)) != ours:
            raise DisagreementError(f"WordPiece of {text!r}: published {published}, tokenizer file {ours}")
        return list(ours) if len(ours) <= max_tokens else [*ours[: max_tokens - 1], ours[-1]]


class ClipBpe:
    """open_clip's own tokenizer."""

    def __init__(self, tokenizer_json: str) -> None:
        self._ours = Tokenizer.from_str(tokenizer_json)

    def ids(self, text: str, file_only: bool = False) -> list[int]:
        """Ids with start and end, cut to 77 as open_clip cuts them; `file_only`: by the tokenizer file alone."""
        import open_clip

        ours = self._ours.encode(text).ids
        ours = ours if len(ours) <= CLIP_TOKENS else [*ours[: CLIP_TOKENS - 1], ours[-1]]
        if file_only:
            return list(ours)
        padded = open_clip.tokenize(text, context_length=CLIP_TOKENS)[0].tolist()
        published = padded[: padded.index(open_clip.tokenizer._tokenizer.eot_token_id) + 1]
        if "<end_of_text>" in text:  # a literal end token stands before the end
            published = padded[: len(ours)]
        if published != ours or any(padded[len(ours) :]):
            raise DisagreementError(f"CLIP ids of {text!r}: open_clip {published}, tokenizer file {ours}")
        return list(published)


class Graphs:
    """The graphs of a bundle in plain onnxruntime on one CPU thread, fp32."""

    def __init__(self, bundle: Path) -> None:
        self.manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
        self.core = self.manifest["core"]
        self.dream = self.manifest["dream"]
        self._bundle = bundle
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}
        self._embeddings: dict[tuple[str, str], Float32] = {}

    @cached_property
    def word_piece(self) -> WordPiece:
        """The tokenizer of both towers."""
        if self.core["text"]["tokenizer"] != self.dream["text"]["tokenizer"]:
            raise DisagreementError("the golden bundle has two tokenizers; write golden vectors for both")
        return WordPiece(self._bundle / self.core["text"]["tokenizer"])

    def _run(self, graph: str, feeds: dict[str, Any], output: str) -> Float32:
        file = self.manifest["graphs"][graph]["variants"]["fp32"]
        if file not in self._sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1  # the order of additions, and so the last bits, stay the same
            self._sessions[file] = onnxruntime.InferenceSession(
                str(self._bundle / file), options, providers=["CPUExecutionProvider"]
            )
        return np.asarray(self._sessions[file].run([output], feeds)[0])

    def embedding(self, graph: str, text: str) -> Float32:
        """`text_features` of "core_text" or `text_embedding` of "clip_text", float32 (D,)."""
        if (graph, text) not in self._embeddings:
            part, output = {
                "core_text": (self.core, "text_features"),
                "clip_text": (self.dream, "text_embedding"),
            }[graph]
            spec = part["text"]
            ids = self.word_piece.ids(text, spec["max_tokens"])
            length = bucket(len(ids), spec)
            feeds = {
                "input_ids": np.array([ids + [spec["pad_id"]] * (length - len(ids))], dtype=np.int64),
                "attention_mask": np.array([[1] * len(ids) + [0] * (length - len(ids))], dtype=np.int64),
            }
            self._embeddings[graph, text] = self._run(graph, feeds, output)[0]
        return self._embeddings[graph, text]

    def similarities(
        self, picture: UInt8, texts: Sequence[str], window_px: int, tops: Sequence[int], lefts: Sequence[int]
    ) -> Float64:
        """Cosines (windows, texts); Pillow cuts and resizes each window, the graph sees it alone."""
        size = self.dream["image_size_px"]
        rows = []
        for top, left in zip(tops, lefts, strict=True):
            box = (top, left, window_px, window_px)
            feeds = {
                "image": resize(picture, box, (size, size), self.dream["interpolation"]),
                "top": np.array([0], dtype=np.int64),
                "left": np.array([0], dtype=np.int64),
                "resample": np.eye(size, dtype=np.float32),
                "text": np.stack([self.embedding("clip_text", text) for text in texts]),
            }
            rows.append(self._run("dream", feeds, "similarity")[0])
        return np.array(rows, dtype=np.float64)

    def pooled_similarities(
        self, picture: UInt8, texts: Sequence[str], window_px: int, tops: Sequence[int], lefts: Sequence[int]
    ) -> Float64:
        """The same of windows in one pass over the picture, one at a time; its pixels in each cell are counted."""
        names = [output["name"] for output in self.manifest["graphs"]["trunk"]["outputs"]]
        stages = {name: self._run("trunk", {"image": picture}, name) for name in names}
        sizes = {stage["name"]: stage["shape"][1] for stage in self.manifest["graphs"]["trunk"]["outputs"]}
        cells = {int(rows.split("_")[1]): stages[name].shape[1:] for name, rows in sizes.items()}

        def shares(first: int, px: int, count: int) -> Float32:
            found = np.zeros((1, count), dtype=np.float32)
            for pixel in range(first, first + window_px):
                found[0, pixel // px] += 1
            return found / np.float32(window_px)

        rows = []
        text = np.stack([self.embedding("clip_text", each) for each in texts])
        for top, left in zip(tops, lefts, strict=True):
            down = {f"down_{px}": shares(top, px, count[0]) for px, count in cells.items()}
            across = {f"across_{px}": shares(left, px, count[1]) for px, count in cells.items()}
            rows.append(self._run("windows", {**stages, **down, **across, "text": text}, "similarity")[0])
        return np.array(rows, dtype=np.float64)

    def mos(self, picture: UInt8, text: str | None) -> float:
        """MOS of a picture that Pillow resizes; None or blank: without a description."""
        missing = text is None or not text.strip()
        features = self.embedding("core_text", "" if missing else str(text))
        return float(
            self._look(picture, np.zeros_like(features) if missing else features, not missing, "mos")[0]
        )

    def probe(self, picture: UInt8, name: str) -> dict[str, float | str]:
        """The columns of a measure of the kind "head" on CORE's features of a picture that Pillow resizes."""
        measure = self.manifest["measures"][name]
        tower, head = self.manifest["towers"][measure["tower"]], measure["graph"]
        if tower["graph"] != "core":
            raise DisagreementError(f"the head {name} has a tower of its own; write its pixels as CORE's")
        nothing = np.zeros_like(self.embedding("core_text", ""))
        features = self._look(picture, nothing, False, tower["output"])
        (given,) = self.manifest["graphs"][head]["inputs"]

        def answer(column: dict[str, Any]) -> float:
            return float(self._run(head, {given["name"]: features}, column["output"]).item())

        numbers = {column["name"]: answer(column) for column in measure["columns"]}
        places = {column["name"]: answer(column) for column in measure["word_columns"]}
        words = {column["name"]: column["words"] for column in measure["word_columns"]}
        return {**numbers, **{name: words[name][int(place)] for name, place in places.items()}}

    def _look(self, picture: UInt8, features: Float32, has_text: bool, output: str) -> Float32:
        """An output of CORE for a picture that Pillow resizes."""
        height, width = self.core["image"]["height_px"], self.core["image"]["width_px"]
        feeds = {
            "pixels": resize(
                picture, (0, 0, *picture.shape[:2]), (height, width), self.core["image"]["interpolation"]
            )[None],
            "resample_rows": np.eye(height, dtype=np.float32)[None, None],
            "resample_cols": np.eye(width, dtype=np.float32)[None, None],
            "text_features": features[None],
            "has_text": np.array([has_text], dtype=np.float32),
        }
        return self._run("core", feeds, output)

    def rating(self, mos: float) -> float:
        """The 0-100 rating of a MOS."""
        line = self.core["rating"]
        return float(min(100.0, max(0.0, line["offset"] + line["slope"] * mos)))

    def map(
        self,
        picture: UInt8,
        texts: Sequence[str],
        windows_px: Sequence[int],
        stride_px: int,
        aggregate: str,
        quantity: str,
        encoder: str = "each-window",
    ) -> Float32:
        """A map, float32 (H, W), by adding each window to the pixels it covers and dividing by how many did."""
        height, width = picture.shape[:2]
        scales = []
        for window in windows_px:
            corners = [
                (top, left)
                for top in range(0, height - window + 1, stride_px)
                for left in range(0, width - window + 1, stride_px)
            ]
            similar = self.pooled_similarities if encoder == "one-pass" else self.similarities
            similarity = similar(picture, texts, window, *zip(*corners, strict=True))
            total, count = np.zeros((height, width)), np.zeros((height, width))
            for (top, left), cosines in zip(corners, similarity, strict=True):
                area = slice(top, top + window), slice(left, left + window)
                total[area] += 1.0 - cosines.mean()
                count[area] += 1
            scales.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
        stacked = np.stack(scales)
        covered = ~np.isnan(stacked).all(axis=0)
        values = np.full((height, width), np.nan)
        combine = np.nanmax if aggregate == "max" else np.nanmean
        values[covered] = combine(stacked[:, covered], axis=0)
        if quantity == "similarity":
            values = 1.0 - values
        return np.where(covered, values, np.nan).astype(np.float32)
