"""Archives of bundles: read by the manifest's names; what holds anything else than files is refused whole."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from realm_engine.bundle.archive import Archive
from realm_engine.errors import BundleError

FILES = {"bundle.json": b'{"a": 1}', "core.onnx": b"weights" * 1000, "more/tokenizer.json": b"{}"}


def write_zip(path: Path, files: dict[str, bytes], prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(prefix + name, content)
    return path


def write_tar(path: Path, files: dict[str, bytes], prefix: str = "", mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


WRITERS: dict[str, Callable[..., Path]] = {
    "zip": write_zip,
    "tar": write_tar,
    **{
        f"tar.{kind}": lambda *a, kind=kind, **k: write_tar(*a, mode=f"w:{kind}", **k)
        for kind in ("gz", "bz2", "xz")
    },
}


@pytest.mark.parametrize("prefix", ["", "./", "realm-mine/", "a/b/"])
@pytest.mark.parametrize("kind", WRITERS)
def test_every_file_comes_out_as_it_went_in(tmp_path, kind, prefix):
    path = WRITERS[kind](tmp_path / "download", {"other.txt": b"x", **FILES}, prefix=prefix)
    with Archive(path, "bundle.json") as archive:
        for name, content in reversed(FILES.items()):
            archive.extract(name, tmp_path / "out", len(content), exact=True)
            assert (tmp_path / "out").read_bytes() == content


def test_folders_may_be_listed(tmp_path):
    (tmp_path / "bundle" / "more").mkdir(parents=True)
    for name, content in FILES.items():
        (tmp_path / "bundle" / name).write_bytes(content)
    with tarfile.open(tmp_path / "a", "w:gz") as archive:
        archive.add(tmp_path / "bundle", ".")
    with zipfile.ZipFile(tmp_path / "b", "w") as archive:
        for each in sorted((tmp_path / "bundle").rglob("*")):
            archive.write(each, each.relative_to(tmp_path))
    for name in "ab":
        with Archive(tmp_path / name, "bundle.json") as opened:
            opened.extract("more/tokenizer.json", tmp_path / "out", 2, exact=True)


def refused(path: Path, match: str) -> None:
    with pytest.raises(BundleError, match=match) as caught:
        Archive(path, "bundle.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["../evil", "/evil", "a/../../evil", "C:/evil", "C:evil", "a\\..\\evil", "..", "//evil"]
)
@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_a_name_that_leaves_the_folder(tmp_path, write, name):
    refused(write(tmp_path / "download", {**FILES, name: b"x"}), "leaves the bundle")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["download"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]
)
def test_a_tar_with_what_is_no_file(tmp_path, kind):
    with tarfile.open(tmp_path / "download", "w") as archive:
        info = tarfile.TarInfo("core.onnx")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    refused(tmp_path / "download", "'core.onnx' is no file")


def test_a_zip_with_a_link(tmp_path):
    with zipfile.ZipFile(tmp_path / "download", "w") as archive:
        info = zipfile.ZipInfo("core.onnx")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    refused(tmp_path / "download", "'core.onnx' is no file")


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_one_name_twice(tmp_path, write):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *arguments, **more: None)
        path = tmp_path / "download"
        if write is write_zip:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("core.onnx", b"1")
                archive.writestr("./core.onnx", b"2")
        else:
            write_tar(path, {"core.onnx": b"1", "./core.onnx": b"2"})
    refused(path, "stands twice")


def test_no_bundle_or_several(tmp_path):
    refused(write_tar(tmp_path / "none", {"a": b"x"}), r"holds no bundle\.json")
    refused(write_zip(tmp_path / "two", {"a/bundle.json": b"{}", "b/bundle.json": b"{}"}), "holds 2 bundle")
    inner = {"bundle.json": b"{}", "deeper/bundle.json": b"x"}
    Archive(write_zip(tmp_path / "inner", inner), "bundle.json").close()


@pytest.mark.parametrize(
    "content", [b"", b"x" * 2000, b"PK\x03\x04nonsense", b"\x1f\x8bnonsense", b"BZhnonsense"]
)
def test_what_is_no_archive(tmp_path, content):
    (tmp_path / "download").write_bytes(content)
    refused(tmp_path / "download", r"not a readable zip or tar|holds no bundle")


@pytest.mark.parametrize("kind", WRITERS)
def test_a_cut_archive(tmp_path, kind):
    path = WRITERS[kind](tmp_path / "download", FILES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 4])
    with pytest.raises(BundleError), Archive(path, "bundle.json") as archive:
        for name, content in FILES.items():
            archive.extract(name, tmp_path / "out", len(content), exact=True)


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_a_file_of_another_length_is_not_even_unpacked(tmp_path, write):
    path = write(tmp_path / "download", FILES)
    with Archive(path, "bundle.json") as archive:
        for size, exact in ((6999, True), (7001, True), (6999, False)):
            with pytest.raises(BundleError, match=r"core\.onnx has 7000 bytes"):
                archive.extract("core.onnx", tmp_path / "out", size, exact)
        with pytest.raises(BundleError, match="missing in it"):
            archive.extract("absent", tmp_path / "out", 1, exact=True)
    assert not (tmp_path / "out").exists()


def test_a_zip_that_unpacks_to_more_than_it_says(tmp_path):
    """The length in both headers is a lie: what comes beyond it is never written."""
    path = write_zip(tmp_path / "download", {"bundle.json": b"{}", "core.onnx": bytes(1 << 22)})
    data = path.read_bytes()
    assert data.count(struct.pack("<I", 1 << 22)) == 2
    path.write_bytes(data.replace(struct.pack("<I", 1 << 22), struct.pack("<I", 10)))
    with Archive(path, "bundle.json") as archive, pytest.raises(BundleError):
        archive.extract("core.onnx", tmp_path / "out", 10, exact=True)
    assert not (tmp_path / "out").exists() or (tmp_path / "out").stat().st_size <= 10


def test_a_tar_whose_header_announces_a_name_of_gigabytes(tmp_path):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 3 << 30
    with gzip.open(tmp_path / "download", "wb", compresslevel=1) as stream:
        stream.write(info.tobuf(tarfile.GNU_FORMAT))
        stream.write(bytes(1 << 20))
    refused(tmp_path / "download", "announces too much")


def test_a_tar_that_announces_terabytes(tmp_path):
    info = tarfile.TarInfo("core.onnx")
    info.size = 1 << 42
    (tmp_path / "download").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    refused(tmp_path / "download", "more than a bundle may hold")


def test_an_encrypted_zip(tmp_path):
    path = write_zip(tmp_path / "download", FILES)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    path.write_bytes(data)
    refused(path, "is encrypted")
