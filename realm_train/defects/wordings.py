"""Descriptions of flaws in the manner of RAISE-TD: a verdict, then what looks unreal and where."""

from __future__ import annotations

import json
from importlib import resources
from typing import TypedDict

import numpy as np

MAX_WORDS = 33


class KindWording(TypedDict):
    """`sentences` hold {thing} and {where}; `phrases` stand alone."""

    sentences: list[str]
    phrases: list[str]


WORDINGS: dict[str, KindWording] = json.loads(
    resources.files("realm_train.defects").joinpath("wordings.json").read_text("utf-8")
)

_THINGS = (
    "the object", "the subject", "the main shape", "the surface", "the structure", "one part", "a section",
    "this element", "the material", "a detail", "the figure", "an object", "the form", "the body",
)  # fmt: skip
_TAILS = (
    "making the image look unrealistic",
    "which looks digitally altered",
    "giving it an artificial appearance",
    "which does not happen in a real photograph",
    "suggesting digital manipulation",
    "so the picture looks generated",
    "which breaks the realism of the scene",
    "making it look unnatural",
    "which is inconsistent with the rest of the image",
)
_REMARKS = (
    "Everything else seems realistic",
    "The rest of the image looks natural",
    "The surroundings appear real",
    "Elsewhere nothing looks unusual",
)
_OPENINGS = (
    "",
    "",
    "",
    "",
    "",
    "In this image, ",
    "It looks like ",
    "Clearly, ",
    "On closer look, ",
    "Unnaturally, ",
)

_CLEAN_HEADS = (
    "No, there is nothing unrealistic in this image",
    "No, nothing looks unrealistic in this image",
    "No, nothing looks unreal here",
    "No, everything in the image appears realistic",
    "No. Nothing in the picture looks artificial or altered",
    "No, this looks like a genuine photograph",
    "No, the whole scene looks real",
    "No. There are no visible distortions or odd transitions",
    "No, I see nothing unnatural",
    "Nothing looks unrealistic",
    "There is nothing unreal in this photograph",
    "The image looks natural everywhere",
    "An ordinary, realistic photograph without flaws",
)
_CLEAN_SUBJECTS = (
    "the subject, background, and lighting",
    "the scene and its details",
    "textures, colours, and shadows",
    "the shapes, proportions, and transitions between objects",
    "lighting, perspective, and surfaces",
    "all objects and their edges",
    "the environment and everything in it",
    "the foreground and the background",
)
_CLEAN_VERDICTS = (
    "appear natural and consistent",
    "look natural and believable",
    "appear natural and coherent",
    "are consistent with a real photograph",
    "look convincing and realistic",
    "appear natural and well-proportioned",
    "are plausible, with smooth transitions",
)


def _pick(options: tuple[str, ...] | list[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _where(x: float, y: float, rng: np.random.Generator) -> str:
    """A place in words for the relative centre (x, y) of the flaw, with a leading space; often nothing."""
    if rng.random() < 0.3:
        return ""
    column = "left" if x < 0.38 else "right" if x > 0.62 else ""
    row = "upper" if y < 0.36 else "lower" if y > 0.64 else ""
    options: list[str]
    if column and row:
        end = "top" if row == "upper" else "bottom"
        options = [f"in the {row} {column} corner", f"at the {end} {column}", f"in the {row} {column} part"]
    elif column:
        options = [f"on the {column} side", f"on the {column}", f"in the {column} half of the image"]
    elif row == "upper":
        options = ["at the top", "in the upper part of the image", "near the top"]
    elif row == "lower":
        options = ["at the bottom", "in the lower part of the image", "in the foreground"]
    else:
        options = ["near the centre", "in the middle of the image", "in the central area", "near the center"]
    if y < 0.45:
        options.append("in the background")
    return " " + _pick(options, rng)


def describe(kind: str, centre: tuple[float, float], severity: float, rng: np.random.Generator) -> str:
    """Describe a flaw of `kind` at the relative centre (x, y), in at most `MAX_WORDS` words.

    Mostly "Yes." or "Somewhat." (the stronger, the surer) and a sentence, sometimes without the verdict,
    sometimes only a short phrase.
    """
    wording = WORDINGS[kind]
    if rng.random() < 0.15:
        phrase = _pick(wording["phrases"], rng)
        return _upper(phrase) + "." if rng.random() < 0.3 else phrase
    body = _pick(wording["sentences"], rng).format(thing=_pick(_THINGS, rng), where=_where(*centre, rng))
    sentence = _upper(_pick(_OPENINGS, rng) + body)
    verdict = ""
    if rng.random() < 0.78:
        verdict = "Yes. " if rng.random() < 0.2 + 0.6 * severity else "Somewhat. "
    addition = rng.random()
    end = "."
    if addition < 0.45:
        end = f", {_pick(_TAILS, rng)}."
    elif addition < 0.6:
        end = f". {_pick(_REMARKS, rng)}."
    if len((verdict + sentence + end).split()) > MAX_WORDS:
        end = "."
    return verdict + sentence + end


def clean_description(rng: np.random.Generator) -> str:
    """A description of a picture without any flaw, as "No, there is nothing unrealistic in this image..."."""
    head = _pick(_CLEAN_HEADS, rng)
    if rng.random() < 0.25:
        return head + "."
    return f"{head}. {_upper(_pick(_CLEAN_SUBJECTS, rng))} {_pick(_CLEAN_VERDICTS, rng)}."
