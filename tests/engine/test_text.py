from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from bundles import CLIP_TEXT, CORE_TEXT
from repository import words

from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.manifest import TextSpec
from realm_engine.errors import BundleError, TextError
from realm_engine.opened import Contents
from realm_engine.pictures.descriptions import Descriptions, read_descriptions
from realm_engine.text import TextEncoder, Tokenizer


@pytest.fixture
def wordpiece(bundle_path: Path) -> Tokenizer:
    bundle = Bundle.open(bundle_path)
    text = Contents(bundle).text_specs()["core_text"]
    path = bundle.file(text.tokenizer)
    return Tokenizer(path.read_bytes(), str(path), text)


@pytest.fixture
def bpe(bundle_path: Path) -> Tokenizer:
    bundle = Bundle.open(bundle_path)
    text = Contents(bundle).text_specs()["clip_text"]
    path = bundle.file(text.tokenizer)
    return Tokenizer(path.read_bytes(), str(path), text)


@pytest.mark.parametrize(
    ("text", "length"),
    [("yes", 8), ("yes the face is melted", 8), ("yes the face is melted no the", 16), ("the " * 30, 32)],
)
def test_ids_are_padded_to_the_bucket(wordpiece, text, length):
    ids, mask = wordpiece.encode([text])
    assert ids.shape == mask.shape == (1, length)
    assert ids.dtype == mask.dtype == np.int64
    assert mask[0].sum() == len(text.split()) + 2
    assert not ids[0][mask[0] == 0].any()


def test_a_batch_takes_the_bucket_of_its_longest(wordpiece):
    ids, mask = wordpiece.encode(["yes", "the " * 10])
    assert ids.shape == (2, 16)
    assert mask.sum(axis=1).tolist() == [3, 12]


def test_fixed_length_ids_are_always_full(bpe):
    ids, mask = bpe.encode(["a"])
    assert ids.shape == (1, CLIP_TEXT["max_tokens"])
    assert ids[0, 0] == 0
    assert mask.sum() == 3


def test_long_text_keeps_its_final_special_token_and_warns_once(wordpiece, caplog):
    with caplog.at_level(logging.WARNING, "realm_engine"):
        tokens = wordpiece.tokens("the " * 100)
        wordpiece.tokens("no " * 100)
    assert len(tokens) == CORE_TEXT["max_tokens"]
    assert tokens[0] == 2
    assert tokens[-1] == 3
    assert len(set(tokens[1:-1])) == 1
    assert wordpiece.truncated
    (record,) = caplog.records
    assert "102 tokens is cut to the first 32" in record.getMessage()


def test_a_text_of_exactly_the_limit_is_not_cut(wordpiece):
    assert len(wordpiece.tokens("the " * 30)) == 32
    assert not wordpiece.truncated


def test_settings_inside_the_tokenizer_file_do_not_count(tmp_path, bundle_path, wordpiece):
    from tokenizers import Tokenizer as Raw

    raw = Raw.from_file(str(bundle_path / "core_tokenizer.json"))
    raw.enable_truncation(4)
    raw.enable_padding(length=50)
    raw.save(str(tmp_path / "set.json"))
    text = "yes the face is melted"
    assert Tokenizer((tmp_path / "set.json").read_bytes(), "set.json", wordpiece.spec).tokens(
        text
    ) == wordpiece.tokens(text)


def test_a_file_that_is_no_tokenizer():
    with pytest.raises(BundleError, match=r"^t\.json: not a tokenizer file"):
        Tokenizer(b"{}", "t.json", TextSpec("t.json", 8, 0, False, (8,)))


class CountingSession:
    """A text graph in numpy: the feature of a text is its number of tokens and the bucket it came in."""

    def __init__(self) -> None:
        self.texts = 0
        self.calls = 0

    def run(self, inputs, outputs):
        mask = inputs["attention_mask"]
        self.texts += len(mask)
        self.calls += 1
        return [np.stack([mask.sum(axis=1), np.full(len(mask), mask.shape[1])], axis=1).astype(np.float32)]

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("together", "calls"), [(True, 2), (False, 3)])
def test_equal_texts_are_embedded_once_and_each_in_its_own_bucket(wordpiece, together, calls):
    session = CountingSession()
    inputs = ["input_ids", "attention_mask"]
    encoder = TextEncoder(wordpiece, lambda: session, inputs, "text_features", together)
    texts = ["yes", "the " * 10, "yes", "no", "the " * 10]
    expected = [[3, 8], [12, 16], [3, 8], [3, 8], [12, 16]]
    np.testing.assert_array_equal(encoder.features(texts), expected)
    assert (session.texts, session.calls) == (3, calls)
    np.testing.assert_array_equal(encoder.features(["no", "yes"]), [[3, 8], [3, 8]])
    assert session.texts == 3


def test_the_cache_of_texts_is_bounded(wordpiece, monkeypatch):
    monkeypatch.setattr("realm_engine.text._CACHED_TEXTS", 2)
    session = CountingSession()
    encoder = TextEncoder(wordpiece, lambda: session, ["attention_mask"], "text_features")
    encoder.features(["yes", "no", "real"])  # "yes" is the oldest and goes
    encoder.features(["real", "no"])
    assert session.texts == 3
    encoder.features(["yes"])
    assert session.texts == 4


# ------------------------------------------------------------- descriptions


def write(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "image_descriptions.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_reads_the_published_layout(tmp_path):
    path = write(
        tmp_path,
        'filename,MOS,description\r\nf1.png,-1.2,"Yes, the ""hand"" isn’t\nright"\r\n\r\nr2.png,0.3,No\r\n',
        "utf-8-sig",
    )
    read = read_descriptions(path)
    assert read.by_name == {"f1.png": 'Yes, the "hand" isn’t\nright', "r2.png": "No"}
    assert read.source == str(path)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", r"no column 'filename' and 'description' \(found an empty file\)"),
        ("name,description\na,b\n", r"no column 'filename' \(found name, description\)"),
        ("filename,MOS\na,1\n", "no column 'description'"),
        ("filename,description\na.png,x\nb.png\n", r"line 3: 1 fields, the header has 2"),
        ("filename,description\na.png,Yes, the hand\n", r"line 2: 3 fields.*quote text"),
        ("filename,description\n ,x\n", "line 2: the file name is empty"),
        (
            'filename,description\na.png,"x\ny"\nb.png,x\na.png,z\n',
            r"'a\.png' stands twice, on lines 2 and 5",
        ),
        ("filename,description\na.png,x\n./a.png,z\n", r"'a\.png' stands twice, on lines 2 and 3"),
        ('filename,description\na.png,"x\n', "not a readable CSV"),
    ],
)
def test_a_fault_names_the_line(tmp_path, text, match):
    with pytest.raises(TextError, match=match) as caught:
        read_descriptions(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text(tmp_path):
    with pytest.raises(TextError, match="not UTF-8 text"):
        read_descriptions(write(tmp_path, "filename,description\na.png,é\n", "latin-1"))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(TextError, match=r"none\.csv: cannot be read"):
        read_descriptions(tmp_path / "none.csv")


def test_lookup_prefers_path_then_name_then_stem():
    table = Descriptions(
        "d.csv", {"a/x.png": "path", "x.png": "name", "b/y.jpg": "stem", "z.png": "1", "c/z.bmp": "2"}
    )
    assert table.lookup("a/x.png") == "path"
    assert table.lookup(Path("b") / "x.png") == "name"
    assert table.lookup("y.webp") == "stem"
    assert table.lookup("none.png") is None


def test_an_ambiguous_stem_is_an_error_unless_one_is_nearer():
    table = Descriptions("d.csv", {"z.png": "1", "z.bmp": "2", "c/z.tif": "3"})
    with pytest.raises(TextError, match=r"z\.webp matches several rows .*write the full path"):
        table.lookup("z.webp")
    assert table.lookup("c/z.webp") == "3"


def test_a_row_of_another_folder_never_matches():
    table = Descriptions("d.csv", {"a/x.png": "a", "train/images/y.png": "y", "p/z.png": "1", "q/z.png": "2"})
    assert table.lookup("b/x.png") is None
    assert table.lookup("x.webp") == "a"
    assert table.lookup("images/y.png") == "y"
    assert table.lookup("data/train/images/y.webp") == "y"
    assert table.lookup("q/z.webp") == "2"
    with pytest.raises(TextError, match="matches several rows"):
        table.lookup("z.png")


class Spy:
    """A text graph that answers the first token of every text, and notes how many texts each call has."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def run(self, feeds, outputs):
        self.calls.append(len(feeds["input_ids"]))
        return [feeds["input_ids"][:, :1].astype(np.float32)]


class Digits:
    """Texts that are numbers, of one bucket."""

    def tokens(self, text: str) -> list[int]:
        return [int(text)]

    def bucket(self, length: int) -> int:
        return 8

    def pad(self, lists):
        return np.array(lists, dtype=np.int64), np.ones((len(lists), 1), dtype=np.int64)


def test_the_last_4096_texts_are_kept_and_32_share_a_call_on_a_device():
    assert "Embeddings of the last 4096 texts of each kind are kept" in words("hosts/cpp/README.md")
    assert "each different text once (the last 4096 are kept)" in words("realm_engine/text.py")
    assert "| 1-32 texts of up to the tokenizer's limit |" in words("docs/tensorrt.md")
    spy = Spy()
    encoder = TextEncoder(Digits(), lambda: spy, ("input_ids",), "text_features", together=True)
    found = encoder.features([str(number) for number in range(4096)])
    assert found[:, 0].tolist() == list(range(4096)) and spy.calls == [32] * 128
    spy.calls.clear()
    encoder.features(["0", "4095"])
    assert spy.calls == []  # all of them are kept
    encoder.features(["5000"])  # one too many: "1" is now the one not used for longest
    assert encoder.features(["0", "2", "5000"])[:, 0].tolist() == [0, 2, 5000] and spy.calls == [1]
    encoder.features(["1"])
    assert spy.calls == [1, 1]
