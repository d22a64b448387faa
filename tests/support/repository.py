"""Where the repository lies, wherever a test stands in it."""

from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUPPORT = Path(__file__).parent
SAMPLES = ROOT / "samples"


@cache
def words(file: str) -> str:
    """A file of the repository in one line, however it is broken into lines."""
    return " ".join((ROOT / file).read_text(encoding="utf-8").split())
