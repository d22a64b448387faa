"""What belongs together: by prompt, else by file name, where 80 % of each folder have partners."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from realm_engine.errors import UsageError
from realm_engine.verbs.compare.pairing import pair
from realm_engine.verbs.compare.scores import Row


def rows(generator: str, names: Sequence[str], prompts: Sequence[str | None] | None = None) -> list[Row]:
    return [
        Row(generator, name, {}, prompt)
        for name, prompt in zip(names, prompts or [None] * len(names), strict=True)
    ]


def numbered(count: int, suffix: str = ".png", start: int = 0) -> list[str]:
    return [f"{index:03}{suffix}" for index in range(start, start + count)]


def test_names_without_extension_belong_together():
    found = pair({"a": rows("a", numbered(10)), "b": rows("b", numbered(10, ".jpg"))})
    assert found.by == "file name" and found.keys == tuple(f"{i:03}" for i in range(10))
    assert found.left_out == {"a": 0, "b": 0}


def test_prompts_come_before_names():
    texts = [f"a cat, number {index}" for index in range(5)]
    found = pair({"a": rows("a", numbered(5), texts), "b": rows("b", numbered(5, start=50), texts[::-1])})
    assert found.by == "prompt" and found.keys == tuple(texts)


@pytest.mark.parametrize(("shared", "paired"), [(8, True), (7, False)])
def test_eighty_percent_of_each_folder_decide(shared, paired):
    found = pair({"a": rows("a", numbered(10)), "b": rows("b", numbered(10, start=10 - shared))})
    assert found.paired is paired
    assert found.left_out == dict.fromkeys("ab", 10 - shared if paired else 0)
    assert ("4 pictures without partners are left out" in found.why) if paired else ("70%" in found.why)


def test_a_partner_is_in_every_other_folder():
    three = {"a": rows("a", numbered(10)), "b": rows("b", numbered(10)), "c": rows("c", numbered(9))}
    found = pair(three)
    assert found.left_out == {"a": 1, "b": 1, "c": 0} and len(found.keys) == 9
    assert found.keeps(three["a"][0]) and not found.keeps(three["a"][9])


def test_names_in_other_subfolders_belong_together_where_they_are_unique():
    deep = [f"images/{name}" for name in numbered(6)]
    assert pair({"a": rows("a", numbered(6)), "b": rows("b", deep)}).paired
    twice = [f"{folder}/{name}" for folder in ("cats", "dogs") for name in numbered(3)]
    found = pair({"a": rows("a", twice), "b": rows("b", twice)})
    assert found.keys == tuple(name.removesuffix(".png") for name in twice)


def test_a_wish_decides():
    few = {"a": rows("a", numbered(10)), "b": rows("b", numbered(10, start=7))}
    assert pair(few, True).left_out == {"a": 7, "b": 7}
    assert not pair({"a": rows("a", numbered(9)), "b": rows("b", numbered(9))}, False).paired
    with pytest.raises(
        UsageError, match=r"--paired yes: only 0 file name is in all of a, b; give --prompts CSV"
    ):
        pair({"a": rows("a", numbered(9)), "b": rows("b", numbered(9, start=100))}, True)


def test_a_picture_without_prompt_has_no_partner():
    texts: list[str | None] = [f"p{index}" for index in range(10)]
    found = pair({"a": rows("a", numbered(10), [*texts[:9], None]), "b": rows("b", numbered(10), texts)})
    assert found.by == "prompt" and found.left_out == {"a": 1, "b": 1}
