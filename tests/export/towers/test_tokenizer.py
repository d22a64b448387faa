"""CLIP's tokenizer as JSON against open_clip's own."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import open_clip
import pytest
from repository import ROOT
from tokenizers import Tokenizer

from export.towers.tokenizer import clip_tokenizer

HARD = [
    "",
    "   ",
    "Yes, the edge of the face melts into the background.",
    "café naïve ÅÉ Ünïcödé ß İstanbul",
    "e\u0301toile, o\u0308l",
    "日本語のテキスト 漢字 हिन्दी ไทย العربية кириллица ЁЖ",
    "emoji 😀👩‍👩‍👧 🇩🇪 👍🏽",
    "it's I'LL don't've 'd'll s's",
    "don’t “quoted” ‘x’ ʼn",
    "AT&amp;T &lt;b&gt; &quot;q&quot; &#39;s &amp;lt; &nbsp; x",
    "tabs\t\tand\n\nnewlines \u00a0nbsp\u2003em",
    "ﬁne ﬂow ﬃ",
    "ＦＵＬＬ　width１２３！ ｶﾞ ﾊﾟ",
    "12345 1st 2.5% x²½ ①",
    "a_b-c--d!!??... …— – ‐ ™®©",
    "\u200bzero\u200dwidth\ufeff",
    "<start_of_text> literal <end_of_text>",
    "control\x00\x07chars\x1b[31mred",
    "ǆ Ǆ ĳ",
    "a" * 300,
    "supercalifragilisticexpialidocious " * 30,
]


@pytest.fixture(scope="module")
def ours() -> Tokenizer:
    return Tokenizer.from_str(clip_tokenizer())


def reference_ids(text: str) -> list[int]:
    reference = open_clip.tokenizer._tokenizer
    return [reference.sot_token_id, *reference.encode(text), reference.eot_token_id]


@pytest.mark.parametrize("text", HARD)
def test_hard_texts(ours, text):
    assert ours.encode(text).ids == reference_ids(text)


def test_vocabulary_has_the_size_clip_was_trained_with(ours):
    assert ours.get_vocab_size() == 49408
    assert ours.encode("x").ids[0] == 49406
    assert ours.padding is None and ours.truncation is None


@pytest.mark.raise_td
def test_real_descriptions(ours):
    home = ROOT.parent / "shared" / "data" / "raise-td"
    root = Path(os.environ.get("REALM_RAISE_TD", home))
    if not root.is_dir():
        pytest.skip("RAISE-TD is not here")
    file = next(root.rglob("image_descriptions.csv"))
    with file.open(encoding="utf-8", newline="") as stream:
        texts = [row["description"] for row in csv.DictReader(stream)]
    assert len(texts) > 100
    assert [text for text in texts if ours.encode(text).ids != reference_ids(text)] == []


@pytest.mark.xfail(strict=True, reason="documented: normalisers cannot repair mojibake")
def test_mojibake(ours):
    text = "donâ€™t"
    assert ours.encode(text).ids == reference_ids(text)
