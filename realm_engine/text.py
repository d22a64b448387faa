"""Text: tokenizers, and text towers with their cache of embedded texts."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from realm_engine.arrays import Float32, Int64
from realm_engine.bundle.manifest import TextSpec
from realm_engine.bundle.tokenizer_file import checked_tokenizer
from realm_engine.errors import BundleError, TextError
from realm_engine.runtimes.base import Session, first_line

log = logging.getLogger("realm_engine")


MOST_CHARACTERS = 1 << 17
_TOGETHER = 32
_CACHED_TEXTS = 4096


class Tokenizer:
    """Text to padded token ids with a Hugging Face `tokenizers` JSON file."""

    def __init__(self, content: bytes, where: str, spec: TextSpec) -> None:
        """`content`: of the file `where`. Raises BundleError for one that is none (`checked_tokenizer`)."""
        import tokenizers

        checked = checked_tokenizer(content, where)
        self._where = where
        with self._one_line("not a tokenizer file"):
            self._tokenizer = tokenizers.Tokenizer.from_str(checked)
            # Length is the host's business: the settings of the file would apply on top of it.
            self._tokenizer.no_padding()
            self._tokenizer.no_truncation()
        self.spec = spec
        self.truncated = False

    def tokens(self, text: str) -> list[int]:
        """Token ids of one text with its special tokens, at most `max_tokens`.

        A longer text loses its end but keeps its final special token; the first time this is logged.
        Raises TextError for a text of more than `MOST_CHARACTERS`, BundleError where the tokenizer fails.
        """
        if len(text) > MOST_CHARACTERS:
            raise TextError(f"a text of {len(text)} characters; give at most {MOST_CHARACTERS}")
        with self._one_line("the tokenizer failed"):
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

    @contextmanager
    def _one_line(self, what: str) -> Iterator[None]:
        """Turn what the Rust library raises into an error of ours: bare Exception, and for a panic what not even
        derives from it."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            said = first_line(error)
            raise BundleError(f"{self._where}: {what} ({said}); export the bundle again") from error

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
    """Embeds texts with one text graph, each different text once (the last 4096 are kept). Threads may share it."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        session: Callable[[], Session],
        inputs: Sequence[str],
        output: str,
        together: bool = False,
    ) -> None:
        """`together`: texts share calls, as devices want it. Elsewhere each has its own, or its embedding would differ
        in the last bits with its neighbours: runtimes add up in another order for another number of rows.
        """
        self._per_call = _TOGETHER if together else 1
        self._tokenizer = tokenizer
        self._session = session
        self._inputs = tuple(inputs)
        self._output = output
        self._cache: OrderedDict[str, Float32] = OrderedDict()
        self._lock = threading.Lock()  # of the cache

    def features(self, texts: Sequence[str]) -> Float32:
        """Features of the texts, float32 (texts, D), in order. Raises DeviceError when the graph fails."""
        with self._lock:
            known = {text: self._cache[text] for text in texts if text in self._cache}
        groups: dict[int, dict[str, list[int]]] = {}
        for text in dict.fromkeys(texts):
            if text not in known:
                tokens = self._tokenizer.tokens(text)
                groups.setdefault(self._tokenizer.bucket(len(tokens)), {})[text] = tokens
        for group in groups.values():  # one bucket at a time: a short text never pays for a long one
            names = list(group)
            for start in range(0, len(names), self._per_call):
                chunk = names[start : start + self._per_call]
                rows = self._embed([group[text] for text in chunk])
                known.update(zip(chunk, rows, strict=True))
        with self._lock:
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
