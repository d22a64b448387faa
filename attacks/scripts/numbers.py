"""Numbers of a manifest and a phrase bank that are none, or beyond all reason."""

from __future__ import annotations

import json
from typing import Any

from attacks.attack import Attack, Build, Must, refused
from attacks.victim import Victim

HUGE = 10**400


def set_to(*path: str | int, value: Any) -> Build:
    """A field of the manifest, of another value."""

    def build(victim: Victim) -> None:
        target: Any = victim.manifest
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value

    return build


def raw(old: str, new: str) -> Build:
    """A manifest in which a text stands in the place of another."""

    def build(victim: Victim) -> None:
        text = json.dumps(victim.manifest)
        assert old in text
        (victim.folder / "bundle.json").write_text(text.replace(old, new, 1), encoding="utf-8")

    return build


def phrase(**changes: Any) -> Build:
    """A phrase bank with one odd phrase."""

    def build(victim: Victim) -> None:
        bank = victim.json("phrases.json")
        bank["phrases"][0].update(changes)
        victim.write_json("phrases.json", bank)

    return build


def phrases(count: int) -> Build:
    """A phrase bank of so many phrases."""

    def build(victim: Victim) -> None:
        one = victim.json("phrases.json")["phrases"][0]
        victim.write_json("phrases.json", {"phrases": [{**one, "text": f"flaw {i}"} for i in range(count)]})

    return build


def preset(**changes: Any) -> Build:
    """The recommended preset, changed."""
    return lambda victim: victim.manifest["dream"]["presets"]["released"].update(changes)


COLUMN = ("measures", "core", "columns", 0)
ANY = refused("export|get the bundle|update|no phrase|is none")
BANK = Must((1, 2), "phrase")
ATTACKS = (
    Attack("version of 5000 digits", set_to("format_version", value="1" * 5000 + ".0"), ANY, ANY),
    Attack("minor version of 5000 digits", set_to("format_version", value="1." + "1" * 5000), ANY, ANY),
    Attack("version in other digits", set_to("format_version", value="\u0661.0"), ANY, ANY),
    Attack("version of a superscript", set_to("format_version", value="1.\u00b2"), ANY, ANY),
    Attack("rating of NaN", raw('"offset": 64', '"offset": NaN, "x": 64'), ANY, ANY),
    Attack("rating of infinity", raw('"offset": 64', '"offset": Infinity, "x": 64'), ANY, ANY),
    Attack("rating of 1e400", raw('"offset": 64', '"offset": 1e400, "x": 64'), ANY, ANY),
    Attack("rating of 10^400", set_to("core", "rating", "offset", value=HUGE), ANY, ANY),
    Attack("rating of 1e300", set_to("core", "rating", "slope", value=1e300), ANY, ANY),
    Attack("rating as text", set_to("core", "rating", "slope", value="x"), ANY, ANY),
    Attack("range of 10^400", set_to(*COLUMN, "high", value=HUGE), ANY, ANY),
    Attack("range of 1e308", set_to(*COLUMN, "high", value=1e308), ANY, ANY),
    Attack("range upside down", set_to(*COLUMN, "high", value=-9), ANY, ANY),
    Attack("metrics of NaN", raw('"metrics": {', '"metrics": {"x": NaN, '), ANY, None, "info"),
    Attack("pad of 10^400", set_to("core", "text", "pad_id", value=HUGE), ANY, ANY),
    Attack("size of 10^400", set_to("core", "image", "height_px", value=HUGE), ANY, ANY),
    Attack("bytes of 10^400", set_to("files", "core.onnx", "size_bytes", value=HUGE), ANY, ANY),
    Attack("bytes below zero", set_to("files", "core.onnx", "size_bytes", value=-1), ANY, ANY),
    Attack("phrase mean of 10^400", phrase(mean=HUGE), BANK, BANK, "map", ""),
    Attack("phrase mean of 1e300", phrase(mean=1e300), BANK, BANK, "map", ""),
    Attack("phrase std of 1e-300", phrase(std=1e-300), BANK, BANK, "map", ""),
    Attack("phrase of a megabyte", phrase(text="a" * (1 << 20)), BANK, BANK, "map", ""),
    Attack("20 000 phrases", phrases(20000), BANK, BANK, "map", ""),
    Attack("preset of window 1 stride 1", preset(windows_px=[1], stride_px=1), ANY, ANY, "map"),
    Attack("preset of stride 1", preset(stride_px=1), ANY, ANY, "map"),
    Attack("preset of a thousand windows", preset(windows_px=list(range(8, 1008))), ANY, ANY, "map"),
    Attack("preset of a window of 10^12", preset(windows_px=[10**12]), ANY, ANY, "map"),
    Attack("threshold of 1e300", preset(stands_out={"text": 1e300}), ANY, ANY, "map"),
)
