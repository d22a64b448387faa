"""A folder of real pictures of many kinds, and two ways to run the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from realm_engine.cli.main import main

VERBS = ("score", "map", "compare", "report")  # those that open the small bundle


@pytest.fixture
def pictures(tmp_path: Path, photo) -> Path:
    """Four good pictures, one in a subfolder, two of a size, with descriptions for two of them."""
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    Image.fromarray(photo(72, 96, 1)).save(folder / "a.png")
    Image.fromarray(photo(72, 96, 2)).save(folder / "b.jpg", quality=90)
    Image.fromarray(photo(80, 100, 3)).convert("L").save(folder / "sub" / "c.webp", lossless=True)
    Image.fromarray(photo(64, 64, 4)).save(folder / "d.bmp")
    (folder / "image_descriptions.csv").write_text(
        'filename,MOS,description\na.png,0.1,"Yes, the face is melted"\nc.png,0.2,a doubled hand\n',
        encoding="utf-8",
    )
    return folder


@pytest.fixture
def cli(bundle_path: Path) -> Callable[..., Result]:
    """Run the command line here. `bundle` is added to `VERBS`; a bug shows as its exception."""

    def run(verb: str, *arguments: object, bundle: object = bundle_path) -> Result:
        extra = ["--bundle", str(bundle), "--threads", "1"] if verb in VERBS else []
        result = CliRunner().invoke(main, [verb, *map(str, arguments), *extra])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def script(bundle_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the installed console script in a process of its own."""
    path = Path(sys.executable).with_name("realm-engine")

    def run(verb: str, *arguments: object, **options) -> subprocess.CompletedProcess[str]:
        extra = ["--bundle", str(bundle_path), "--threads", "1"] if verb in VERBS else []
        command = [str(path), verb, *map(str, arguments), *extra]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)

    return run
