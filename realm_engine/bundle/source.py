"""Where a bundle can be fetched: an https address with a pinned checksum, or a repository of the Hugging Face Hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from realm_engine.errors import UsageError
from realm_engine.machine.online import check_address

HUB = "hf:"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,127}", re.ASCII)


@dataclass(frozen=True)
class AddressSource:
    """`url` of a bundle.json or of an archive, whose content has this sha256."""

    url: str
    sha256: str

    @property
    def words(self) -> str:
        """For records and people: what follows a "?" may be a key, and is left out."""
        return urlunsplit((*urlsplit(self.url)[:3], "", ""))


@dataclass(frozen=True)
class HubSource:
    """`repository` ("owner/name") of the hub at a branch, tag or commit; `sha256` of its bundle.json, if pinned."""

    repository: str
    revision: str
    sha256: str | None = None

    @property
    def words(self) -> str:
        """As it is written."""
        return f"{HUB}{self.repository}@{self.revision}"

    @property
    def is_commit(self) -> bool:
        """Whether the revision can never mean something else."""
        return _COMMIT.fullmatch(self.revision) is not None


Source = AddressSource | HubSource


def parse_source(text: str, sha256: str | None) -> Source:
    """An address or "hf:owner/name[@revision]". Raises UsageError, with what is missing or wrong."""
    pin = None if sha256 is None else sha256.strip().lower()
    if pin is not None and re.fullmatch("[0-9a-f]{64}", pin) is None:
        raise UsageError(
            f"--sha256 {sha256}: not a checksum; it has 64 hexadecimal digits, as sha256sum prints them"
        )
    if text.startswith(HUB):
        return _hub_source(text, pin)
    if "://" not in text:
        raise UsageError(f"{text}: neither an address (https://...) nor hf:owner/name@revision")
    check_address(text)
    if urlsplit(text).fragment:
        raise UsageError(f"{text}: leave out what follows '#', and give the checksum with --sha256")
    if pin is None:
        raise UsageError(
            f"{text}: its checksum is missing; give the one that its publisher states, with --sha256 "
            "(of the bundle.json or archive behind the address)"
        )
    return AddressSource(text, pin)


def _hub_source(text: str, pin: str | None) -> HubSource:
    repository, _, revision = text.removeprefix(HUB).partition("@")
    wrong = _REPOSITORY.fullmatch(repository) is None or ".." in text or "--" in repository
    if wrong or ("@" in text and _REVISION.fullmatch(revision) is None):
        raise UsageError(
            f"{text}: not a repository of the hub; write hf:owner/name or hf:owner/name@revision"
        )
    return HubSource(repository, revision or "main", pin)
