"""JPEGs that break off: the three hosts agree which are whole, by the end marker alone."""

from __future__ import annotations

import io
from pathlib import Path

import cpp_host
import pytest
from cpp_host import run
from PIL import Image
from test_web import npm as npm

from realm_engine.errors import ImageError
from realm_engine.pictures.decode import load_image

release = cpp_host.release

WHOLE, BROKEN = "whole", "broken"
# What stands in the place of the end marker. Decoders take some of it for an end, and fill up with grey.
TAILS = {
    "nothing": b"",
    "half": b"\xff",
    "zeros": bytes(100),
    "text": b"and some more text than a marker",
    "restart": b"\xff\xd0",
    "scan": b"\xff\xda\0\0",
    "comment": b"\xff\xfe\0\x04\xff\xd9",  # an end marker inside a segment is none
}


@pytest.fixture(scope="module")
def jpegs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files called broken-* and whole-*."""
    folder = tmp_path_factory.mktemp("jpegs")
    picture = Image.linear_gradient("L").resize((83, 61)).rotate(20).convert("RGB")
    for kind, options in {
        "baseline": {},
        "progressive": {"progressive": True},
        "restarts": {"restart_marker_rows": 1},
        "grey": {},
    }.items():
        stream = io.BytesIO()
        (picture.convert("L") if kind == "grey" else picture).save(stream, "JPEG", **options)
        content = stream.getvalue()
        assert content.endswith(b"\xff\xd9")
        (folder / f"{WHOLE}-{kind}.jpg").write_bytes(content)
        (folder / f"{WHOLE}-{kind}-and-more.jpg").write_bytes(content + b"what a camera leaves there")
        for cut in (2, 30):
            for tail, added in TAILS.items():
                (folder / f"{BROKEN}-{kind}-{cut}-{tail}.jpg").write_bytes(content[:-cut] + added)
    return folder


def test_python(jpegs) -> None:
    for path in sorted(jpegs.iterdir()):
        if path.name.startswith(WHOLE):
            load_image(path)
            continue
        with pytest.raises(ImageError) as caught:
            load_image(path)
        assert str(caught.value) == f"{path}: broken or truncated image (the file ends early)"


def test_cpp(release, jpegs) -> None:
    files = sorted(jpegs.iterdir())
    done = run(release / "probe", "decode", *files)
    assert done.returncode == 0, done.stderr
    for path, answer in zip(files, done.stdout.splitlines(), strict=True):
        if path.name.startswith(WHOLE):
            assert answer.startswith("61 83 "), path.name
        else:
            assert answer.endswith(f"{path.name}: broken or truncated image (the file ends early)"), answer


def test_the_page(npm, jpegs) -> None:
    npm("test", "--", "decode", REALM_JPEGS=str(jpegs))
