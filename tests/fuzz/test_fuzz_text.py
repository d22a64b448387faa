"""Any text goes through the tokenizers: ids within their limits, or one line."""

from __future__ import annotations

import time

import numpy as np
import pytest
from fuzzing import TEXTS, result_or_line
from hypothesis import example, given
from hypothesis import strategies as st

from realm_engine import Engine
from realm_engine.bundle.bundle import Bundle
from realm_engine.engine import DEFAULT_BUNDLE
from realm_engine.errors import TextError
from realm_engine.opened import Contents
from realm_engine.pictures.inputs import entries
from realm_engine.text import MOST_CHARACTERS, Tokenizer

PICTURE = np.zeros((40, 40, 3), np.uint8)


@pytest.fixture(scope="module", params=["realm-tiny", "test-bundle"])
def tokenizers(request, bundle_path) -> list[Tokenizer]:
    contents = Contents(Bundle.open(DEFAULT_BUNDLE if request.param == "realm-tiny" else bundle_path))
    return [contents.tokenizer(graph) for graph in contents.text_specs()]


@given(text=TEXTS | st.text(st.characters(), min_size=100, max_size=2000))
@example("\0" * 5000)
@example("a\u0301" * 3000)
@example("[CLS][SEP][PAD][UNK] <|endoftext|>")
@example("\u202e\ufeff\U0010ffff")
def test_ids_of_any_text(tokenizers, text):
    (entry,) = entries([PICTURE], [text])
    if entry.error is not None:  # half of a character: said before anything is encoded
        assert "no valid text" in entry.error
        return
    for tokenizer in tokenizers:
        ids, mask = tokenizer.encode([text])
        assert ids.shape == mask.shape == (1, tokenizer.bucket(int(mask.sum())))
        assert mask.sum() <= tokenizer.spec.max_tokens and (ids >= 0).all()
        np.testing.assert_array_equal(tokenizer.encode([text])[0], ids)


@pytest.mark.parametrize("piece", ["a", "melted edges ", "\u4e2d", "\U0001f600", ".", "\u0301", "\n"])
def test_a_million_characters(tokenizers, piece):
    text = (piece * 1_000_000)[:1_000_000]
    for tokenizer in tokenizers:
        began = time.process_time()
        with pytest.raises(TextError, match="give at most"):
            tokenizer.encode([text])
        ids, _ = tokenizer.encode([text[:MOST_CHARACTERS]])
        assert ids.shape[1] <= tokenizer.spec.max_tokens
        assert time.process_time() - began < 60


@given(text=TEXTS | st.none() | st.floats() | st.lists(TEXTS, max_size=3))
def test_any_description_is_a_row_of_its_own(engine: Engine, text):
    rows = engine.score([PICTURE, PICTURE], [text, "a seam"], batch_size=2)
    assert rows[0].error is None or len(rows[0].error.splitlines()) == 1
    assert rows[1].error is None
    result_or_line(lambda: engine.embed_texts([text]) if isinstance(text, str) else None)
