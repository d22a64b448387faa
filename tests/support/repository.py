"""Where the repository lies, wherever a test stands in it."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SUPPORT = Path(__file__).parent
SAMPLES = ROOT / "samples"
