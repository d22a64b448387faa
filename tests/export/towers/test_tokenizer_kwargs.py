"""open_clip's own text transformer with the tokenizer of a BERT, and what `tokenizer_kwargs` make of it."""

from __future__ import annotations

import json

import pytest
import torch
from command_line import SMALL_CLIP
from tokenizers import Tokenizer
from train_data import write_text_tower

from export.errors import ExportError
from export.towers.clip_model import open_clip_model
from export.towers.clip_text import clip_texts

TEXTS = ["yes the face looks warped", "no", "melted hands " * 20]


@pytest.fixture
def tower(tmp_path):
    return write_text_tower(tmp_path / "bert")


def configured(tmp_path, tower, kwargs):
    text = {"context_length": 12, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1, "pool_type": "last"}
    text |= {"hf_tokenizer_name": str(tower), "tokenizer_kwargs": kwargs}
    path = tmp_path / "clip.json"
    path.write_text(json.dumps({**SMALL_CLIP, "text_cfg": text}))
    return path


@pytest.mark.parametrize("kwargs", [{}, {"clean": "whitespace"}, {"strip_sep_token": True}])
def test_ids_are_those_of_open_clip(tmp_path, tower, kwargs):
    from open_clip.tokenizer import HFTokenizer

    clip = open_clip_model(str(configured(tmp_path, tower, kwargs)), "random")
    assert clip.fixed_length and clip.max_tokens == 12
    expected = HFTokenizer(str(tower), context_length=12, **kwargs)(TEXTS)
    tokenizer = Tokenizer.from_str(clip.tokenizer_json)
    tokenizer.enable_truncation(12)
    tokenizer.enable_padding(length=12, pad_id=clip.pad_id)
    ids = torch.tensor([each.ids for each in tokenizer.encode_batch(TEXTS)])
    assert torch.equal(ids, expected)
    with torch.no_grad():
        assert torch.equal(clip_texts(clip, TEXTS), clip.model.encode_text(expected))


@pytest.mark.parametrize(
    "kwargs", [{"clean": "canonicalize"}, {"tokenizer_mode": "clips"}, {"language": "en"}]
)
def test_what_a_json_cannot_say_is_one_line(tmp_path, tower, kwargs):
    with pytest.raises(ExportError, match="cannot be said in a tokenizer's JSON"):
        open_clip_model(str(configured(tmp_path, tower, kwargs)), "random")
