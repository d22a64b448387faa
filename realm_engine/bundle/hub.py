"""Repositories of the Hugging Face Hub, through `huggingface_hub`: its addresses, its token, its endpoint."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

from realm_engine.bundle.source import HubSource
from realm_engine.errors import DownloadError, UsageError
from realm_engine.machine.download import Advance, Wanted, download
from realm_engine.machine.online import check_address
from realm_engine.machine.packages import MissingPackageError, install_command


class HubFiles:
    """Files of one commit of a repository. Raises MissingPackageError, UsageError, DownloadError."""

    def __init__(self, source: HubSource) -> None:
        self._hub = import_hub()
        self._source = source
        self._commit: str | None = None

    @property
    def commit(self) -> str | None:
        """The commit that the revision means, known once a file was fetched."""
        return self._commit

    def fetch(self, relative: str, path: Path, wanted: Wanted, advance: Advance) -> None:
        """Fetch a file into `path`, as `download` does. Raises DownloadError, OutputError."""
        address = self._hub.hf_hub_url(
            self._source.repository, relative, revision=self._commit or self._source.revision
        )
        try:
            found: Any = self._hub.get_hf_file_metadata(address)
            headers = self._hub.utils.build_hf_headers()
        except Exception as error:  # the hub client raises a dozen types, those of its HTTP library included
            raise DownloadError(f"{self._source.words}: {relative}: {hub_words(error)}") from error
        if self._commit is None:
            self._commit = found.commit_hash
        if found.size is not None and (
            found.size > wanted.size_bytes or (wanted.exact and found.size != wanted.size_bytes)
        ):
            raise DownloadError(
                f"{self._source.words}: {relative} has {found.size} bytes, "
                f"{'' if wanted.exact else 'at most '}{wanted.size_bytes} were announced; nothing of it is kept"
            )
        size, exact = (wanted.size_bytes, wanted.exact) if found.size is None else (found.size, True)
        # A large file lies elsewhere, at a signed address, which no token goes to.
        token = {"authorization": headers["authorization"]} if "authorization" in headers else {}
        own = found.location.startswith(f"{endpoint(self._hub)}/")
        download(found.location, path, Wanted(size, wanted.sha256, exact, token if own else {}), advance)


def import_hub() -> ModuleType:
    """`huggingface_hub`, told to report nothing. Raises MissingPackageError, or UsageError for an endpoint by http."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.utils
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise
        raise MissingPackageError(
            f"the Hugging Face Hub needs huggingface_hub, which is not installed; {install_command('hub')}"
        ) from error
    check_address(endpoint(huggingface_hub))
    return huggingface_hub


def endpoint(hub: ModuleType) -> str:
    """Where the hub is: HF_ENDPOINT, else its own place."""
    found = str(hub.constants.ENDPOINT)
    if not found:
        raise UsageError("HF_ENDPOINT is empty; unset it")
    return found


def hub_words(error: Exception) -> str:
    """What went wrong at the hub, in a line with the cure."""
    known = {
        "RepositoryNotFoundError": "no such repository, or it is private: log in with `hf auth login`",
        "GatedRepoError": "its owner asks for consent; give it on the repository's page, and `hf auth login`",
        "RevisionNotFoundError": "no such revision",
        "EntryNotFoundError": "no such file in the repository",
        "RemoteEntryNotFoundError": "no such file in the repository",
        "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set; unset it, or give a bundle that is here",
    }
    line = (str(error).strip().splitlines() or [""])[0]
    name = type(error).__name__
    return known.get(name, f"the hub cannot be asked ({line or name})")
