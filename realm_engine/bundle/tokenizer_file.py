"""Tokenizer files: what a bundle's may hold, so that no text makes one run without end or fill the memory.

`tokenizers` runs whatever a file describes: replacements that double a text forty times, regular expressions that
backtrack, words that are compared with a vocabulary at every length. The kinds and numbers here are those of real
tokenizers; see docs/bundle.md, "What a reader refuses".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from realm_engine.bundle.json_file import parse_json
from realm_engine.bundle.manifest import shown
from realm_engine.errors import BundleError

MOST_BYTES, MOST_MEMBERS = 64 << 20, 2_000_000
MOST_STEPS = 512  # CLIP's has 190
MOST_GROWTH = 32.0  # times as many characters as the text had
MOST_ADDED = 1 << 12  # characters that one step puts in, and special tokens of a template
MOST_WORD_CHARS = 1000  # of WordPiece, whose search is quadratic in it; usual is 100
NORMALIZERS = frozenset(
    [
        "BertNormalizer",
        "ByteLevel",
        "Lowercase",
        "NFC",
        "NFD",
        "NFKC",
        "NFKD",
        "Nmt",
        "Prepend",
        "Replace",
        "Sequence",
        "Strip",
        "StripAccents",
    ]
)
PRE_TOKENIZERS = frozenset(
    [
        "BertPreTokenizer",
        "ByteLevel",
        "CharDelimiterSplit",
        "Digits",
        "Metaspace",
        "Punctuation",
        "Sequence",
        "Split",
        "UnicodeScripts",
        "Whitespace",
        "WhitespaceSplit",
    ]
)
POST_PROCESSORS = frozenset(
    ["BertProcessing", "ByteLevel", "RobertaProcessing", "Sequence", "TemplateProcessing"]
)
_ENGLISH = "'s|'t|'re|'ve|'m|'ll|'d"
# Expressions of published tokenizers (CLIP, GPT-2, Llama 3 and Qwen 2), which take no longer than the text is.
REGEXES = frozenset(
    (
        rf"{_ENGLISH}|[\p{{L}}]+|[\p{{N}}]|[^\s\p{{L}}\p{{N}}]+",
        rf"<\|startoftext\|>|<\|endoftext\|>|{_ENGLISH}|[\p{{L}}]+|[\p{{N}}]|[^\s\p{{L}}\p{{N}}]+",
        rf"{_ENGLISH}| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
        r"\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
        r"\s+(?!\S)|\s+",
        "\\x1B\\[[0-9;]*[A-Za-z]|[\\x00-\\x08\\x0B\\x0E-\\x1F\\x7F\\uFEFF]",  # what the export takes out for CLIP
    )
)
# One character or class of them, alone or repeated: it cannot backtrack.
_ONE_CLASS = re.compile(
    r"(\\[sSdDwW]|\\p\{\w+\}|\[(?:[^\[\]\\]|\\.)+\]|[^\\\[\](){}|*+?.^$])(\+|\{\d{1,3},?\})?"
)


def checked_tokenizer(content: bytes, where: str) -> str:
    """A tokenizer file as the JSON that `tokenizers` shall read, without what an encoder has no use for.

    Raises BundleError for a file that is none, or holds more than the limits of this module.
    """
    settings = parse_json(content, where, MOST_BYTES, MOST_MEMBERS)
    if not isinstance(settings, dict):
        raise BundleError(f"{where}: not a tokenizer file (no JSON object); export the bundle again")
    try:
        normalizers = list(_steps(settings.get("normalizer"), "normalizers", NORMALIZERS))
        splits = list(_steps(settings.get("pre_tokenizer"), "pretokenizers", PRE_TOKENIZERS))
        for step in (*normalizers, *splits):
            _check_pattern(step)
        if sum(step["type"] == "ByteLevel" for step in (*normalizers, *splits)) > 1:
            raise ValueError("its text becomes bytes more than once")
        if growth(normalizers) > MOST_GROWTH:
            raise ValueError(f"its replacements could make a text more than {MOST_GROWTH:g} times as long")
        for step in _steps(settings.get("post_processor"), "processors", POST_PROCESSORS):
            _check_template(step)
        _check_model(settings.get("model"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise BundleError(
            f"{where}: not a tokenizer file for bundles ({what}); export the bundle again"
        ) from error
    return json.dumps({**settings, "decoder": None, "truncation": None, "padding": None})


def growth(steps: Sequence[Mapping[str, Any]]) -> float:
    """How many times as long the steps of a normaliser can make a text, an upper bound.

    A character that one replacement put in can be replaced by a later one that looks for it, or for anything after a
    step that changes letters; the factors of such a chain multiply. The longest chain counts.
    """
    ends: list[
        tuple[float, frozenset[str] | None]
    ] = []  # of a chain: its factor, and what its characters can be
    longest = 1.0
    for step in steps:
        if step["type"] != "Replace":
            ends = [(factor, None) for factor, _ in ends]
            continue
        content, pattern = step["content"], step["pattern"].get("String")
        factor = len(content) / len(pattern) if pattern else float(len(content))
        if factor <= 1:
            continue
        wanted = frozenset(pattern) if pattern else None
        before = max(
            (f for f, chars in ends if chars is None or wanted is None or chars & wanted), default=1.0
        )
        ends.append((before * factor, frozenset(content)))
        longest = max(longest, before * factor)
    return longest


def _steps(described: Any, inside: str, kinds: frozenset[str]) -> Iterator[dict[str, Any]]:
    """The steps of a component, those of sequences one after the other."""
    left, count = [described] if described is not None else [], 0
    while left:
        step = left.pop(0)
        count += 1
        if count > MOST_STEPS:
            raise ValueError(f"more than {MOST_STEPS} steps")
        if not isinstance(step, dict) or step.get("type") not in kinds:
            kind = step.get("type") if isinstance(step, dict) else step
            raise ValueError(f"a step of the kind {shown(kind)}")
        if step["type"] == "Sequence":
            left = [*step[inside], *left]
        else:
            yield step


def _check_pattern(step: Mapping[str, Any]) -> None:
    for key in ("content", "prepend"):
        if key in step and (not isinstance(step[key], str) or len(step[key]) > MOST_ADDED):
            raise ValueError(f"{step['type']} with the {key} {shown(step[key])}")
    if step["type"] not in ("Replace", "Split"):
        return
    pattern = step["pattern"]
    if (
        not isinstance(pattern.get("String", "a"), str)
        or pattern.get("String", "a") == ""
        or len(pattern) != 1
    ):
        raise ValueError(f"{step['type']} of {shown(pattern)}")
    regex = pattern.get("Regex", "a")
    if not isinstance(regex, str) or (regex not in REGEXES and _ONE_CLASS.fullmatch(regex) is None):
        raise ValueError(f"the regular expression {shown(regex)}, none of those whose time is bounded")


def _check_template(step: Mapping[str, Any]) -> None:
    if step["type"] != "TemplateProcessing":
        return
    pieces = step["single"]
    if sum("Sequence" in piece for piece in pieces) != 1:
        raise ValueError("a template that does not hold its text once")
    special = step["special_tokens"]
    named = [piece["SpecialToken"]["id"] for piece in pieces if "Sequence" not in piece]
    if sum(len(special[name]["ids"]) for name in named) > MOST_ADDED:
        raise ValueError(f"a template of more than {MOST_ADDED} special tokens")


def _check_model(model: Any) -> None:
    if not isinstance(model, dict):
        raise ValueError("no model")
    kind, unknown = model.get("type"), model.get("unk_token")
    if kind not in ("WordPiece", "BPE", "WordLevel", "Unigram"):
        raise ValueError(f"the model {shown(kind)}")
    if kind == "Unigram":
        if not isinstance(model.get("unk_id"), int) or not 0 <= model["unk_id"] < len(model["vocab"]):
            raise ValueError("a vocabulary without its unknown token")
        return
    if not isinstance(model["vocab"], dict):
        raise ValueError("a vocabulary that is no object")
    if (unknown is not None or kind != "BPE") and unknown not in model["vocab"]:
        raise ValueError(f"a vocabulary without its unknown token {shown(unknown)}")
    if model.get("dropout"):
        raise ValueError("dropout, by which one text has many encodings")
    longest = model.get("max_input_chars_per_word", 100)
    if not isinstance(longest, int) or not 1 <= longest <= MOST_WORD_CHARS:
        raise ValueError(f"words of {shown(longest)} characters, more than {MOST_WORD_CHARS}")
