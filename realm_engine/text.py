"""Text: tokenizers, the cache of embedded texts, and files of descriptions."""

from __future__ import annotations

import csv
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from realm_engine.arrays import Float32, Int64
from realm_engine.bundle.manifest import TextSpec
from realm_engine.errors import BundleError, TextError
from realm_engine.runtimes import Session

log = logging.getLogger("realm_engine")


_TEXTS_PER_CALL = 32
_CACHED_TEXTS = 4096
_FIELD_LIMIT = 1 << 20


class Tokenizer:
    """Text to padded token ids with a Hugging Face `tokenizers` JSON file."""

    def __init__(self, path: Path, spec: TextSpec) -> None:
        import tokenizers

        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # the Rust binding raises bare Exception
            raise BundleError(f"{path}: not a tokenizer file ({error}); export the bundle again") from error
        # Length is the host's business: the settings of the file would apply on top of it.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.spec = spec
        self.truncated = False

    def tokens(self, text: str) -> list[int]:
        """Token ids of one text with its special tokens, at most `max_tokens`.

        A longer text loses its end but keeps its final special token; the first time this is logged.
        """
        encoding = self._tokenizer.encode(text)
        ids, limit = list(encoding.ids), self.spec.max_tokens
        if len(ids) <= limit:
            return ids
        if not self.truncated:
            self.truncated = True
            log.warning(
                "a text of %d tokens is cut to the first %d: '%.40s...' (said once)", len(ids), limit, text
            )
        closing = ids[-1:] if encoding.special_tokens_mask[-1] else []
        return ids[: limit - len(closing)] + closing

    def bucket(self, length: int) -> int:
        """The length that ids of this many tokens are padded to."""
        if self.spec.fixed_length:
            return self.spec.max_tokens
        return next(size for size in self.spec.buckets if size >= length)

    def pad(self, token_lists: Sequence[Sequence[int]]) -> tuple[Int64, Int64]:
        """(ids, mask), both int64 (texts, bucket of the longest); the mask is 1 on real tokens."""
        length = self.bucket(max((len(tokens) for tokens in token_lists), default=1))
        ids = np.full((len(token_lists), length), self.spec.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(token_lists):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        return ids, mask

    def encode(self, texts: Sequence[str]) -> tuple[Int64, Int64]:
        """`pad` of the `tokens` of every text."""
        return self.pad([self.tokens(text) for text in texts])


class TextEncoder:
    """Embeds texts with one text graph, each different text once (the last 4096 are kept)."""

    def __init__(
        self, tokenizer: Tokenizer, session: Callable[[], Session], inputs: Sequence[str], output: str
    ) -> None:
        self._tokenizer = tokenizer
        self._session = session
        self._inputs = tuple(inputs)
        self._output = output
        self._cache: OrderedDict[str, Float32] = OrderedDict()

    def features(self, texts: Sequence[str]) -> Float32:
        """Features of the texts, float32 (texts, D), in order. Raises DeviceError when the graph fails."""
        known = {text: self._cache[text] for text in texts if text in self._cache}
        groups: dict[int, dict[str, list[int]]] = {}
        for text in dict.fromkeys(texts):
            if text not in known:
                tokens = self._tokenizer.tokens(text)
                groups.setdefault(self._tokenizer.bucket(len(tokens)), {})[text] = tokens
        for group in groups.values():  # one bucket at a time: a short text never pays for a long one
            names = list(group)
            for start in range(0, len(names), _TEXTS_PER_CALL):
                chunk = names[start : start + _TEXTS_PER_CALL]
                rows = self._embed([group[text] for text in chunk])
                known.update(zip(chunk, rows, strict=True))
        for text, row in known.items():
            self._cache[text] = row
            self._cache.move_to_end(text)
        while len(self._cache) > _CACHED_TEXTS:
            self._cache.popitem(last=False)
        return np.stack([known[text] for text in texts])

    def _embed(self, token_lists: list[list[int]]) -> Float32:
        ids, mask = self._tokenizer.pad(token_lists)
        feeds = {"input_ids": ids, "attention_mask": mask}
        (features,) = self._session().run({name: feeds[name] for name in self._inputs}, [self._output])
        return features.astype(np.float32, copy=False)


@dataclass(frozen=True)
class Descriptions:
    """Descriptions by file name, as read from `source`."""

    source: str
    by_name: dict[str, str]

    def lookup(self, name: str | os.PathLike[str]) -> str | None:
        """The description of an image, None where there is none.

        Tried in this order: the relative path as written, the bare file name, the file name in a row with
        another base folder, the stem (so that a `.webp` finds the row of its `.png`). A row of a different
        folder never matches: `b/x.png` does not take the text of `a/x.png`. Raises TextError where
        several rows match equally well.
        """
        path = PurePosixPath(Path(name).as_posix())
        for key in (str(path), path.name):
            if key in self.by_name:
                return self.by_name[key]
        rows = [row for row in self._by_stem.get(path.stem, ()) if _same_folder(row, path)]
        for matches in (
            [row for row in rows if row.name == path.name],
            [row for row in rows if row.parent == path.parent],
            rows,
        ):
            if len(matches) == 1:
                return self.by_name[str(matches[0])]
            if matches:
                several = ", ".join(sorted(map(str, matches))[:3])
                raise TextError(
                    f"{self.source}: {path} matches several rows ({several}); write the full path"
                )
        return None

    @cached_property
    def _by_stem(self) -> dict[str, list[PurePosixPath]]:
        index: dict[str, list[PurePosixPath]] = {}
        for key in self.by_name:
            index.setdefault(PurePosixPath(key).stem, []).append(PurePosixPath(key))
        return index


def _same_folder(row: PurePosixPath, image: PurePosixPath) -> bool:
    """Whether two relative paths may name one folder from different bases: the shorter ends the longer."""
    short, long = sorted((row.parent.parts, image.parent.parts), key=len)
    return not short or long[-len(short) :] == short


def read_descriptions(path: str | os.PathLike[str]) -> Descriptions:
    """Read a CSV with the columns `filename` and `description` (UTF-8, any further columns ignored).

    Raises TextError, with the line, for a missing column, an empty file name, a row with too few or too
    many fields, and a file name that stands twice (naming both lines).
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return Descriptions(str(path), _read_rows(path, stream))
    except OSError as error:
        raise TextError(f"{path}: cannot be read ({error.strerror}); give a CSV file") from error
    except UnicodeDecodeError as error:
        raise TextError(f"{path}: not UTF-8 text (byte {error.start}); save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise TextError(f"{path}: not a readable CSV ({error})") from error


def _read_rows(path: Path, stream: Iterable[str]) -> dict[str, str]:
    reader = csv.reader(stream, strict=True)
    header = [column.strip().lower() for column in next(reader, [])]
    missing = [column for column in ("filename", "description") if column not in header]
    if missing:
        found = ", ".join(header) or "an empty file"
        raise TextError(
            f"{path}: no column {' and '.join(map(repr, missing))} (found {found}); add it to line 1"
        )
    name_at, text_at = header.index("filename"), header.index("description")
    by_name: dict[str, str] = {}
    lines: dict[str, int] = {}
    line = reader.line_num + 1
    for row in reader:
        start, line = line, reader.line_num + 1  # a quoted field may span lines: errors name the row's first
        if not row:
            continue
        if len(row) != len(header):
            raise TextError(
                f"{path}, line {start}: {len(row)} fields, the header has {len(header)}; "
                "quote text that holds commas"
            )
        name = PurePosixPath(row[name_at].strip().replace("\\", "/"))
        key = str(name) if name.parts else ""
        if not key:
            raise TextError(f"{path}, line {start}: the file name is empty")
        if key in lines:
            raise TextError(f"{path}: {key!r} stands twice, on lines {lines[key]} and {start}; keep one")
        lines[key] = start
        by_name[key] = row[text_at].strip()
    return by_name
