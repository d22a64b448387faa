"""Bundles from elsewhere, and to elsewhere: the work behind `realm-engine models`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from realm_engine.bundle.bundle import MANIFEST, Bundle, find_bundle
from realm_engine.bundle.hub import hub_words, import_hub
from realm_engine.bundle.source import HUB, HubSource, parse_source
from realm_engine.bundle.store import BundleStore, Stored, check_stored, stored_bundles
from realm_engine.errors import DownloadError, OutputError, UsageError
from realm_engine.machine.files import sha256_of
from realm_engine.machine.online import refuse_offline, stay_offline
from realm_engine.opened import Contents
from realm_engine.verbs.model_card import model_card

CARD = "README.md"

__all__ = [
    "BundleStore",
    "check_stored",
    "find_bundle",
    "parse_source",
    "publish",
    "stay_offline",
    "stored_bundles",
    "stored_facts",
]


@dataclass(frozen=True)
class Published:
    """Where a bundle was written or uploaded to: a folder or `hf:owner/name@commit`; `sha256` is its manifest's."""

    place: str
    sha256: str


def stored_facts(stored: Stored) -> dict[str, Any]:
    """What `models list` says of a bundle, ready for JSON."""
    return {
        "name": stored.name,
        "path": str(stored.path),
        "embedded": stored.embedded,
        "size_bytes": stored.size_bytes,
        "pulled": None if stored.pulled is None else asdict(stored.pulled),
    }


def publish(
    name_or_path: str, folder: Path | None, repository: str | None, private: bool, say: Callable[[str], None]
) -> list[Published]:
    """Write a bundle with its model card into a new folder, upload it to a repository of the hub, or both.

    Raises:
        UsageError: neither is asked for, or not what it should be.
        BundleError: the bundle is not sound.
        OfflineError, DownloadError: the repository cannot be written.
        OutputError: the folder cannot.
    """
    if folder is None and repository is None:
        raise UsageError("nowhere to publish to; give --to DIR, --repo OWNER/NAME, or both")
    if repository is not None:
        source = parse_source(HUB + repository, None)
        if not isinstance(source, HubSource) or source.repository != repository:
            raise UsageError(f"--repo {repository}: write OWNER/NAME")
        refuse_offline(f"{HUB}{repository}", "--to DIR writes the same into a folder")
    contents = Contents(Bundle.open(name_or_path))
    if CARD in contents.bundle.manifest["files"]:
        raise UsageError(
            f"{contents.bundle.name}: lists a {CARD} of its own, which the model card would replace"
        )
    made = []
    with tempfile.TemporaryDirectory(prefix=".realm-push-", dir=_beside(folder)) as temporary:
        page = Path(temporary, contents.bundle.name)
        _write(contents, page)
        sha256 = sha256_of(page / MANIFEST)
        if repository is not None:
            say(f"uploading {contents.bundle.name} to {repository}")
            made.append(Published(_upload(page, repository, private), sha256))
        if folder is not None:
            _place(page, folder)
            made.append(Published(str(folder), sha256))
    return made


def _beside(folder: Path | None) -> Path | None:
    """Where a folder is prepared so that it can take its place in one step; None: anywhere. Raises OutputError."""
    if folder is None:
        return None
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise OutputError(f"{folder}: is there already, and not an empty folder; choose another")
        folder.resolve().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
    return folder.resolve().parent


def _write(contents: Contents, page: Path) -> None:
    """The files that the manifest lists and no others, the manifest, and the card."""
    bundle = contents.bundle
    try:
        for relative in (MANIFEST, *bundle.manifest["files"]):
            target = page / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.root / relative, target)
        (page / CARD).write_text(model_card(contents), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{page}: cannot be written ({error.strerror})") from error


def _place(page: Path, folder: Path) -> None:
    try:
        if folder.is_dir():
            folder.rmdir()  # it is empty
        page.rename(folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error


def _upload(page: Path, repository: str, private: bool) -> str:
    hub = import_hub()
    try:
        api = hub.HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository, folder_path=page, commit_message=f"{page.name}, by realm-engine models push"
        )
    except Exception as error:  # the hub client raises a dozen types, those of its HTTP library included
        raise DownloadError(f"{HUB}{repository}: not uploaded: {hub_words(error)}") from error
    return f"{HUB}{repository}@{done.oid}"
