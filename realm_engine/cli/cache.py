"""`realm-engine cache`: the engines that were built on this machine."""

import click

from realm_engine.cli.command import Verbs
from realm_engine.cli.options import json_option, show, show_json
from realm_engine.cli.progress import TERMINAL, say


@click.group(cls=Verbs)
def cache() -> None:
    """Engines built by and for TensorRT: what there is, and making room."""


@cache.command("list")
@json_option()
def list_command(as_json: bool) -> None:
    """List the engines, the last used first."""
    from realm_engine.verbs.cache import EngineCache, describe_entry

    found = EngineCache()
    entries = [describe_entry(entry) for entry in found.entries()]
    foreign = [str(path) for path in found.foreign()]
    if as_json:
        facts = {"folder": str(found.folder), "engines": entries, "foreign": foreign}
        show_json(facts)
        return
    for entry in entries:
        target = entry["gpu"] or entry["arch"]
        show(
            f"{entry['model']}  {entry['precision']}  {entry['runtime']}  {target}  "
            f"{entry['size_bytes'] / 1e6:.1f} MB  used {entry['used']}"
        )
    for path in foreign:
        TERMINAL.warn(f"{path}: not an engine of ours; realm-engine cache prune removes it")
    say(f"{found.folder}: {len(entries)} engines, {found.size_bytes() / 1e6:.1f} MB")


@cache.command("prune")
@click.option(
    "--max-size",
    metavar="SIZE",
    help="Keep at most this much, such as 2G; 0 removes all. [default: REALM_ENGINE_CACHE_SIZE, else 8G]",
)
def prune(max_size: str | None) -> None:
    """Remove what is damaged or foreign, then the engines used longest ago until the rest fits."""
    from realm_engine.verbs.cache import EngineCache, parse_limit

    found = EngineCache()
    removed = found.prune(None if max_size is None else parse_limit(max_size))
    for path in removed:
        show(str(path))
    say(f"{found.folder}: {len(removed)} removed, {found.size_bytes() / 1e6:.1f} MB kept")
