"""What is handed out, sdist and wheel: complete, described, and working where no clone is."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import pytest
from readme_renderer import markdown
from repository import ROOT, SAMPLES

from realm_engine import Engine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, Path]:
    """The sdist, and the wheel, of this tree; both by the backend that pip asks as well."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", str(folder), cwd=ROOT)
    return {"sdist": next(folder.glob("*.tar.gz")), "wheel": next(folder.glob("*.whl"))}


@pytest.fixture(scope="module", params=["sdist", "wheel"])
def installed(request, built, tmp_path_factory) -> Path:
    """The `bin` folder of an environment that has nothing of REALM but what one distribution brought.

    What REALM needs is there already: a `.pth` file lends it, whose own `.pth` files (this clone's) do not count.
    """
    home = tmp_path_factory.mktemp(request.param)
    run(sys.executable, "-m", "venv", "--without-pip", str(home / "env"), cwd=home)
    python = home / "env" / "bin" / "python"
    site = run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).stdout
    lent = Path(site.strip()) / "lent.pth"
    lent.write_text(sysconfig.get_path("purelib") + "\n")
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed", "--quiet"]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", *options]
    run(*pip, str(built[request.param]), cwd=home)
    return python.parent


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command that succeeds, away from this clone's PYTHONPATH."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    result = subprocess.run(
        command, cwd=cwd, env=kept, capture_output=True, text=True, check=False, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def test_an_installation_scores_as_the_clone_does(installed, tmp_path):
    place = run(
        str(installed / "python"), "-c", "import realm_engine; print(realm_engine.__file__)", cwd=tmp_path
    )
    assert Path(place.stdout.strip()).is_relative_to(installed.parent)
    command = [str(installed / "realm-engine"), "score", str(SAMPLES / "cat.jpg"), "--no-descriptions"]
    scored = run(*command, "--device", "cpu", "--threads", "1", cwd=tmp_path)
    (row,) = csv.DictReader(io.StringIO(scored.stdout))
    with Engine.open(device="cpu", threads=1) as engine:
        expected = engine.score(SAMPLES / "cat.jpg")[0]
    assert float(row["mos"]) == pytest.approx(expected.mos, abs=1e-4)


def test_an_installation_knows_its_bundle_and_version(installed, tmp_path):
    said = run(str(installed / "realm-engine"), "info", "realm-tiny", cwd=tmp_path).stdout
    assert "realm-tiny" in said and str(installed.parent) in said
    version = run(str(installed / "realm-engine"), "--version", cwd=tmp_path).stdout
    assert metadata_version() in version
    assert "usage" in run(str(installed / "realm-train"), "--help", cwd=tmp_path).stdout.lower()


def metadata_version() -> str:
    found = re.search(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
    assert found
    return found[1]


def tracked(*folders: str) -> set[str]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", *folders], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    return {name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()}


def test_the_wheel_holds_all_of_the_two_packages_and_nothing_else(built):
    with zipfile.ZipFile(built["wheel"]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert tracked("realm_engine", "realm_train") <= names
    assert {name.split("/")[0] for name in names} == {"realm_engine", "realm_train"}
    assert not [name for name in names if "__pycache__" in name]


def test_the_sdist_holds_what_a_clone_has(built):
    with tarfile.open(built["sdist"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert tracked() <= names
    assert not [name for name in names if name.startswith(("out/", "runs/", ".venv/", "shared/"))]


def test_most_of_the_wheel_is_the_bundle(built):
    """What docs/packaging.md weighs when it keeps both in one distribution."""
    with zipfile.ZipFile(built["wheel"]) as wheel:
        sizes = {item.filename: item.compress_size for item in wheel.infolist()}
    bundle = sum(size for name, size in sizes.items() if "/bundles/" in name)
    assert sum(sizes.values()) - bundle < 2_000_000
    assert sum(sizes.values()) < 100_000_000, "more than an index takes"


@pytest.fixture(scope="module")
def metadata(built) -> Message:
    with zipfile.ZipFile(built["wheel"]) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return BytesParser().parsebytes(wheel.read(name))


def test_the_long_description_renders_and_needs_no_file_beside_it(metadata):
    text = metadata.get_payload()
    rendered = markdown.render(text)
    assert rendered and re.search("<h1[^>]*>REALM", rendered)
    targets = re.findall(r'(?:href|src)="([^"]+)"', rendered)
    elsewhere = [target for target in targets if not target.startswith("#user-content-")]
    assert elsewhere and all(target.startswith("https://") for target in elsewhere), elsewhere
    assert "](" not in re.sub(r"```.*?```|`[^`]*`|\]\(https://", "", text, flags=re.DOTALL)


def test_the_metadata_says_whose_and_under_which_terms(metadata):
    assert metadata["License-Expression"] == "Apache-2.0 AND LicenseRef-Research-Non-Commercial"
    licences = metadata.get_all("License-File")
    assert "LICENSE" in licences and any("LICENSE-NIQE" in name for name in licences)
    assert metadata["Author"] and metadata["Keywords"]
    assert metadata.get_all("Project-URL") == ["Paper, https://arxiv.org/abs/2509.13289"]


def test_classifiers_are_known_and_name_the_versions_that_are_tested(metadata):
    from trove_classifiers import classifiers

    said = set(metadata.get_all("Classifier"))
    assert said <= set(classifiers)
    tested = re.findall(r'"(3\.\d+)"', (ROOT / ".github" / "workflows" / "ci.yml").read_text())
    versions = {line.rpartition(" ")[2] for line in said if re.search(r":: 3\.\d+$", line)}
    assert versions == set(tested)
