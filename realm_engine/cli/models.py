"""`realm-engine models`: bundles from elsewhere, fetched once and then opened by name; and publishing one."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from realm_engine.cli.command import Verbs
from realm_engine.cli.options import json_option, offline_option, show, show_json
from realm_engine.cli.progress import TERMINAL, say
from realm_engine.verbs.paths import GivenPath


@click.group(cls=Verbs)
def models() -> None:
    """Bundles from elsewhere: fetch, list, check, remove, publish."""


@models.command("list")
@json_option()
def list_command(as_json: bool) -> None:
    """List the bundles that can be opened by name."""
    from realm_engine.verbs.models import BundleStore, stored_bundles, stored_facts

    folder = BundleStore(say).folder
    found = [stored_facts(each) for each in stored_bundles()]
    if as_json:
        show_json({"folder": str(folder), "bundles": found})
        return
    for each in found:
        show(f"{each['name']}  {each['size_bytes'] / 1e6:.1f} MB  {_whence(each)}  {each['path']}")
    say(f"{folder}: {sum(not each['embedded'] for each in found)} bundles")


def _whence(facts: dict[str, Any]) -> str:
    if facts["pulled"] is not None:
        return f"from {facts['pulled']['source']}"
    return "part of the package" if facts["embedded"] else "put there by hand"


@models.command()
@click.argument("source", metavar="SOURCE")
@click.option(
    "--sha256",
    metavar="HEX",
    help="Checksum of what lies behind the address (a bundle.json or an archive), as its publisher states it. "
    "Needed for an address; for the hub it is that of bundle.json.",
)
@click.option("--name", metavar="NAME", help="What to call it here. [default: the name in its manifest]")
@offline_option
def pull(source: str, sha256: str | None, name: str | None) -> None:
    """Fetch a bundle, whole and checked, and print where it lies. What is here already is not fetched again.

    SOURCE is https://... of a bundle.json, whose files lie beside it, or of a zip or tar; or hf:owner/name@revision
    of the Hugging Face Hub (pip install 'huggingface_hub'). An interrupted pull goes on where it was.
    """
    from realm_engine.verbs.models import BundleStore, parse_source

    with ExitStack() as stack:
        asked = parse_source(source, sha256)
        stored = BundleStore(say).pull(asked, name, lambda total: _progress(asked.words, total, stack))
    say(f"{stored.name}: use it with --bundle {stored.name}")
    show(str(stored.path))


def _progress(what: str, total: int, stack: ExitStack) -> Callable[[int], None]:
    """A function that takes bytes as they come; `total` 0: nobody knows how many."""
    done = 0
    if total:
        shown = stack.enter_context(TERMINAL.progress(f"{what} (MB)", max(round(total / 1e6), 1)))

    def advance(count: int) -> None:
        nonlocal done
        before, done = done, done + count
        if total:
            shown(done / 1e6)
        elif done // 100_000_000 > before // 100_000_000:
            say(f"{what}: {done / 1e6:.0f} MB")

    return advance


@models.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@json_option("One JSON object per bundle, a line each.")
def verify(names: tuple[str, ...], as_json: bool) -> None:
    """Read every file of the named bundles, or of all, and compare it with its checksum. One line each.

    Exit code 1 when some are damaged, 2 when all are. `realm-engine verify NAME` also runs a bundle's graphs.
    """
    from realm_engine.errors import RealmError
    from realm_engine.verbs.models import check_stored, stored_bundles

    failed = 0
    chosen = names or tuple(each.name for each in stored_bundles())
    for name in chosen:
        try:
            found = check_stored(name)
        except RealmError as error:
            failed += 1
            TERMINAL.error(f"error: {name}: {error}")
            if as_json:
                show_json({"name": name, "ok": False, "detail": str(error)}, indent=None)
            continue
        if as_json:
            show_json({"name": name, "ok": True, "detail": found}, indent=None)
        else:
            show(f"ok      {name}: {found}")
    if failed:
        click.get_current_context().exit(2 if failed == len(chosen) else 1)


@models.command()
@click.argument("name", metavar="NAME")
def path(name: str) -> None:
    """Print the folder of a bundle."""
    from realm_engine.verbs.models import find_bundle

    show(str(find_bundle(name)))


@models.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove(names: tuple[str, ...]) -> None:
    """Remove bundles from the cache folder, and print where they were."""
    from realm_engine.verbs.models import BundleStore

    store = BundleStore(say)
    for name in names:
        show(str(store.remove(name)))


@models.command()
@click.argument("bundle", metavar="NAME|DIR")
@click.option(
    "--to",
    "folder",
    type=GivenPath(path_type=Path, file_okay=False),
    metavar="DIR",
    help="New folder for the bundle and its model card; put it on any https server.",
)
@click.option(
    "--repo", "repository", metavar="OWNER/NAME", help="Repository of the hub to upload to; made if new."
)
@click.option("--private", is_flag=True, help="--repo: make it private, where it is new.")
@offline_option
def push(bundle: str, folder: Path | None, repository: str | None, private: bool) -> None:
    """Publish a bundle with a model card (README.md) that its manifest fills: into a folder, to the hub, or both.

    Prints where it is; the checksum to pull it with is said on stderr. Nothing is uploaded without --repo.
    """
    from realm_engine.verbs.models import publish

    for each in publish(bundle, folder, repository, private, say):
        say(f"{each.place}: sha256 of bundle.json is {each.sha256}")
        show(str(each.place))
