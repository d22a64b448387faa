"""Tokenizers that explode: texts that double, expressions that backtrack or panic, words without end."""

from __future__ import annotations

from typing import Any

from attacks.attack import Attack, Build, Must
from attacks.victim import Victim

AS = "a" * 3000
LONG_WORD = "the " + "a" * 100_000


def tokenizer(**changes: Any) -> Build:
    """The tokenizer, some of whose parts are others."""
    return lambda victim: victim.write_json("tokenizer.json", {**victim.json("tokenizer.json"), **changes})


def model(**changes: Any) -> Build:
    """The tokenizer, with a changed model."""

    def build(victim: Victim) -> None:
        settings = victim.json("tokenizer.json")
        settings["model"].update(changes)
        victim.write_json("tokenizer.json", settings)

    return build


def without(token: str) -> Build:
    """A vocabulary that lacks a token."""

    def build(victim: Victim) -> None:
        settings = victim.json("tokenizer.json")
        del settings["model"]["vocab"][token]
        victim.write_json("tokenizer.json", settings)

    return build


def replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    """A step that replaces."""
    return {"type": "Replace", "pattern": pattern, "content": content}


def steps(*each: dict[str, Any]) -> Build:
    """A normaliser of these steps."""
    return tokenizer(normalizer={"type": "Sequence", "normalizers": list(each)})


def split(regex: str) -> Build:
    """Words by an expression."""
    step = {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
    return tokenizer(pre_tokenizer=step)


def template(count: int) -> Build:
    """A template that repeats its text."""

    def build(victim: Victim) -> None:
        settings = victim.json("tokenizer.json")
        settings["post_processor"]["single"] = [{"Sequence": {"id": "A", "type_id": 0}}] * count
        victim.write_json("tokenizer.json", settings)

    return build


DOUBLE = replace({"String": "a"}, "aa")
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
MUST = Must((1, 2), "tokenizer.json: ")
ATTACKS = (
    Attack("replaced by twice, 40 times", steps(*[DOUBLE] * 40), MUST, MUST, text=AS),
    Attack(
        "replaced through capitals",
        steps(*[replace({"String": "a"}, "AA"), {"type": "Lowercase"}] * 40),
        MUST,
        MUST,
        text=AS,
    ),
    Attack(
        "replaced through letters",
        steps(*(replace({"String": chr(97 + i)}, chr(98 + i) * 9) for i in range(20))),
        MUST,
        MUST,
        text=AS,
    ),
    Attack(
        "every letter by a megabyte", steps(replace({"Regex": "."}, "a" * (1 << 20))), MUST, MUST, text=AS
    ),
    Attack("nothing replaced by something", steps(replace({"String": ""}, "a")), MUST, MUST, text=AS),
    Attack("expression that backtracks", steps(replace({"Regex": "(a+)+$"}, "")), MUST, MUST, text=AS + "b"),
    Attack("expression that is polynomial", steps(replace({"Regex": "a*a*a*a*c"}, "")), MUST, MUST, text=AS),
    Attack("expression that is none", steps(replace({"Regex": "("}, "")), MUST, MUST),
    Attack("split that backtracks", split("(a|a)*$"), MUST, MUST, text=AS + "b"),
    Attack("split by a huge repeat", split("((a{1000}){1000}){1000}"), MUST, MUST),
    Attack(
        "bytes of bytes, 40 times",
        tokenizer(pre_tokenizer={"type": "Sequence", "pretokenizers": [BYTES] * 40}),
        MUST,
        MUST,
        text="\u00e9" * 300,
    ),
    Attack("vocabulary without [UNK]", without("[UNK]"), MUST, MUST, text="\u4e00 xq"),
    Attack("another unknown token", model(unk_token="[NOWHERE]"), MUST, MUST, text="\u4e00 xq"),
    Attack("words of 1e9 characters", model(max_input_chars_per_word=10**9), MUST, MUST, text=LONG_WORD),
    Attack("words of -1 characters", model(max_input_chars_per_word=-1), MUST, MUST),
    Attack(
        "id of 2^31",
        model(vocab={"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "the": 2**31 - 1}),
        Must((1, 2), "tokenizer|text.onnx"),
        Must((1, 2), "tokenizer|text.onnx"),
    ),
    Attack("id below zero", model(vocab={"[UNK]": -5}), MUST, MUST),
    Attack("vocabulary that is a list", model(vocab=["the"]), MUST, MUST),
    Attack(
        "dropout",
        tokenizer(model={"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.5}),
        MUST,
        MUST,
    ),
    Attack("model of a later time", model(type="Telepathy"), MUST, MUST),
    Attack("text a million times", template(100_000), MUST, MUST, text=AS),
    Attack("template of nothing", template(0), MUST, MUST),
    Attack("no model", tokenizer(model=None), MUST, MUST),
    Attack(
        "steps within steps",
        tokenizer(
            normalizer={
                "type": "Sequence",
                "normalizers": [{"type": "Sequence", "normalizers": [DOUBLE] * 600}],
            }
        ),
        MUST,
        MUST,
        text=AS,
    ),
)
