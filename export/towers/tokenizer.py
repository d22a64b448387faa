"""Tokenizers as Hugging Face `tokenizers` JSON: CLIP's BPE built from its vocabulary, or a tower's own.

CLIP's published tokenizer cleans text with ftfy and `html.unescape` before the BPE. The JSON reproduces what
normalisers can express: NFC, curly quotes made straight, Latin ligatures and full-width forms expanded,
the common HTML entities, white space collapsed, lower case. It does not repair mojibake ("â€™"), does not
know the rare HTML entities, and lowers a final capital sigma to "σ", not "ς".
"""

from __future__ import annotations

import gzip
import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftfy.chardata import LIGATURES, WIDTH_MAP
from open_clip.tokenizer import bytes_to_unicode, default_bpe

from export.errors import ExportError

CLIP_START, CLIP_END = "<start_of_text>", "<end_of_text>"
CLIP_VOCABULARY = 49152  # merges listed in the file beyond this belong to no CLIP vocabulary
# `&` last, so that one round unescapes "&amp;lt;" to "&lt;" and no further.
HTML_ENTITIES = ("lt", "gt", "quot", "apos", "#39", "#x27", "#34", "nbsp", "hellip", "ndash", "mdash", "amp")
CONTROLS = "\\x1B\\[[0-9;]*[A-Za-z]|[\\x00-\\x08\\x0B\\x0E-\\x1F\\x7F\\uFEFF]"  # terminal escapes first


def cut(ids: list[int], max_tokens: int) -> list[int]:
    """A text that is too long loses its end but keeps its last special token, as in the engine."""
    return ids if len(ids) <= max_tokens else [*ids[: max_tokens - 1], ids[-1]]


def clip_tokenizer(bpe_file: str | Path | None = None) -> str:
    """CLIP's lower-casing byte-level BPE (49408 tokens) as `tokenizers` JSON.

    Args:
        bpe_file: `bpe_simple_vocab_16e6.txt.gz`; None takes the one that open_clip installs.

    Returns:
        JSON text; encoding adds the start and end tokens, neither pads nor truncates.
    """
    with gzip.open(bpe_file or default_bpe(), "rt", encoding="utf-8") as stream:
        merges = stream.read().split("\n")[1 : CLIP_VOCABULARY - 256 - 2 + 1]
    alphabet = list(bytes_to_unicode().values())
    tokens = alphabet + [symbol + "</w>" for symbol in alphabet]
    tokens += ["".join(merge.split()) for merge in merges] + [CLIP_START, CLIP_END]
    ids = {token: index for index, token in enumerate(tokens)}
    return _dump(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [_special(token, ids[token]) for token in (CLIP_START, CLIP_END)],
            "normalizer": {"type": "Sequence", "normalizers": _clip_normalizers()},
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [
                    {
                        "type": "Split",
                        "pattern": {"Regex": r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"},
                        "behavior": "Removed",
                        "invert": True,
                    },
                    _byte_level(prefix_space=False, use_regex=False),
                ],
            },
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [_part(CLIP_START), {"Sequence": {"id": "A", "type_id": 0}}, _part(CLIP_END)],
                "pair": [
                    _part(CLIP_START),
                    {"Sequence": {"id": "A", "type_id": 0}},
                    {"Sequence": {"id": "B", "type_id": 0}},
                    _part(CLIP_END),
                ],
                "special_tokens": {
                    token: {"id": token, "ids": [ids[token]], "tokens": [token]}
                    for token in (CLIP_START, CLIP_END)
                },
            },
            "decoder": _byte_level(prefix_space=True, use_regex=True),
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": CLIP_END,
                "continuing_subword_prefix": "",
                "end_of_word_suffix": "</w>",
                "fuse_unk": False,
                "byte_fallback": False,
                "vocab": ids,
                "merges": [merge.split() for merge in merges],
            },
        }
    )


def folder_tokenizer(folder: str | Path) -> str:
    """The `tokenizer.json` of a Hugging Face folder, without its padding and truncation settings.

    Raises:
        ExportError: the folder has no `tokenizer.json`, or it is not JSON.
    """
    path = Path(folder) / "tokenizer.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExportError(f"no tokenizer.json in {folder}; save the tower's fast tokenizer there") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ExportError(f"{path} is not a tokenizers JSON file: {error}") from None
    return without_padding(settings)


def without_padding(settings: dict[str, Any]) -> str:
    """A tokenizer's JSON without padding and truncation: those are the host's, from the manifest."""
    return _dump({**settings, "truncation": None, "padding": None})


def with_kwargs(tokenizer_json: str, kwargs: Mapping[str, Any]) -> str:
    """A tower's tokenizer as open_clip's `tokenizer_kwargs` change it.

    `strip_sep_token` puts 0 in place of the separator (CLIPA); `clean` "lower" lowers, "whitespace" changes nothing.

    Raises:
        ExportError: a setting that a tokenizer's JSON cannot say.
    """
    settings = json.loads(tokenizer_json)
    unknown = {key: value for key, value in kwargs.items() if key not in ("strip_sep_token", "clean")}
    clean = kwargs.get("clean", "whitespace")
    if unknown or clean not in ("whitespace", "lower"):
        key, value = next(iter(unknown.items()), ("clean", clean))
        raise ExportError(
            f"text tower: tokenizer_kwargs {key}={value!r} cannot be said in a tokenizer's JSON; use a tower without it"
        )
    if clean == "lower":
        first = [settings["normalizer"]] if settings.get("normalizer") else []
        settings["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, *first]}
    if kwargs.get("strip_sep_token"):
        _strip_separator(settings.get("post_processor") or {})
    return _dump(settings)


def _strip_separator(post_processor: dict[str, Any]) -> None:
    special = post_processor.get("special_tokens", {})
    if post_processor.get("type") == "BertProcessing":
        post_processor["sep"][1] = 0
    elif "[SEP]" in special:
        special["[SEP]"]["ids"] = [0]
    else:
        raise ExportError("text tower: strip_sep_token, but its tokenizer.json adds no [SEP]; leave it out")


def pad_id(tokenizer_json: str, default: int = 0) -> int:
    """Id of the padding token ("[PAD]" or "<pad>") of a tokenizer, or the default where it has none."""
    for token in json.loads(tokenizer_json)["added_tokens"]:
        if token["content"] in ("[PAD]", "<pad>"):
            return int(token["id"])
    return default


def _clip_normalizers() -> list[dict[str, Any]]:
    def replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
        return {"type": "Replace", "pattern": pattern, "content": content}

    entities = [replace({"String": f"&{name};"}, html.unescape(f"&{name};")) for name in HTML_ENTITIES]
    quotes = [
        replace({"Regex": "[\\u02BC\\u2018-\\u201B]"}, "'"),  # as ftfy's uncurl_quotes
        replace({"Regex": "[\\u201C-\\u201F]"}, '"'),
    ]
    ligatures = [replace({"String": chr(code)}, text) for code, text in sorted(LIGATURES.items())]
    widths = [
        replace({"String": chr(code)}, text if isinstance(text, str) else chr(text))
        for code, text in sorted(WIDTH_MAP.items())
    ]
    return [
        *entities,
        *entities,  # "&amp;lt;" is "<": the published code unescapes twice
        *quotes,
        *ligatures,
        *widths,
        replace({"Regex": CONTROLS}, ""),
        {"type": "NFC"},
        replace({"Regex": "\\s+"}, " "),
        {"type": "Lowercase"},
    ]


def _special(token: str, token_id: int) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": token_id, "content": token, **flags}


def _part(token: str) -> dict[str, Any]:
    return {"SpecialToken": {"id": token, "type_id": 0}}


def _byte_level(prefix_space: bool, use_regex: bool) -> dict[str, Any]:
    settings = {"add_prefix_space": prefix_space, "trim_offsets": True, "use_regex": use_regex}
    return {"type": "ByteLevel", **settings}


def _dump(settings: dict[str, Any]) -> str:
    return json.dumps(settings, ensure_ascii=False, separators=(",", ":")) + "\n"
