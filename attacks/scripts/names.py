"""Names and words of a manifest that a terminal takes for commands, or that are more than names."""

from __future__ import annotations

from attacks.attack import Attack, Build, Must, refused
from attacks.victim import Victim

ESCAPE = "\x1b]0;owned\x07\x1b[2J\n\rerror: all is well"


def name(text: str) -> Build:
    """A bundle that is called so."""
    return lambda victim: victim.manifest.update(name=text)


def words(victim: Victim) -> None:
    """Escape codes wherever a manifest has words."""
    victim.manifest.update(description=ESCAPE, training_data=ESCAPE, weights=ESCAPE, metrics={ESCAPE: ESCAPE})
    victim.manifest["licence"]["weights"] = ESCAPE
    for measure in victim.manifest["measures"].values():
        measure.update(says=ESCAPE, training_data=ESCAPE)
        measure["licence"]["weights"] = ESCAPE
        for column in measure["columns"]:
            column["meaning"] = ESCAPE


def graph(victim: Victim) -> None:
    """A graph file that is called so."""
    victim.manifest["graphs"]["core"]["variants"]["fp32"] = "a\x1b[2J.onnx"


def column(victim: Victim) -> None:
    """A column that is called so."""
    victim.manifest["measures"]["core"]["columns"][0]["name"] = ESCAPE


NAME = refused("(no name of a bundle|cannot be a name|'name'|named twice or not allowed)")
FINE = Must((0,), "")
ATTACKS = (
    *(
        Attack(f"name {what}", name(text), NAME, None)
        for what, text in {
            "with escape codes": ESCAPE,
            "up": "../../x",
            "of nothing": "",
            "too long": "a" * 5000,
            "of a device": "/dev/null",
        }.items()
    ),
    Attack("graph with escape codes", graph, refused("does not list"), refused("does not list")),
    Attack("column with escape codes", column, NAME, NAME),
    Attack("words with escape codes, scored", words, FINE, FINE),
    Attack("words with escape codes, shown", words, FINE, None, "info"),
    Attack("words with escape codes, listed", words, FINE, None, "measures"),
    Attack("words with escape codes, verified", words, FINE, None, "verify"),
)
