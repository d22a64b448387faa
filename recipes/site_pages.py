"""Hooks of mkdocs (mkdocs.yml): pages of the repository that lie outside docs/, and links between all of them.

Markdown that a page of docs/ or README.md links to becomes a page as well, pictures are copied, and a link to any other
file of the repository becomes its text: the site has no sources, and the repository no address that this tree knows.
"""

from __future__ import annotations

import posixpath
import re
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = "docs"
START = ("README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")
PICTURES = (".png", ".jpg", ".jpeg", ".svg", ".webp")

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_FENCED = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)


def site_name(path: str) -> str:
    """Where a file of the repository, by its path from the root, lies among the site's sources."""
    if path == "README.md":
        return "index.md"
    if path.startswith(f"{DOCS}/"):
        return path.removeprefix(f"{DOCS}/")
    return path.lower() if "/" not in path else path


def linked(path: str) -> list[str]:
    """What a page links to in the repository, as paths from its root."""
    outside = "".join(_FENCED.split((ROOT / path).read_text(encoding="utf-8"))[::2])
    found = [_resolved(match[3], path) for match in _LINK.finditer(outside)]
    return [target for target, _ in filter(None, found)]


@cache
def pages_and_pictures() -> set[str]:
    """Every file that the site shows: what is reached from the first pages."""
    docs = [path.relative_to(ROOT).as_posix() for path in (ROOT / DOCS).rglob("*.md")]
    todo, found = [*START, *docs], set[str]()
    while todo:
        path = todo.pop()
        if path in found or not (ROOT / path).is_file():
            continue
        if path.endswith(".md"):
            found.add(path)
            todo += linked(path)
        elif path.endswith(PICTURES) or path.startswith(f"{DOCS}/"):
            found.add(path)
    return found


def _resolved(target: str, page: str) -> tuple[str, str] | None:
    """A link's path from the root and its anchor; None for what leads elsewhere, or stays on the page."""
    if "://" in target or target.startswith(("#", "mailto:")):
        return None
    path, _, anchor = target.partition("#")
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), path)), anchor


def mended(text: str, page: str, shown: set[str]) -> str:
    """A page's Markdown with links as the site needs them; `shown`: what it has."""
    here = posixpath.dirname(site_name(page))

    def link(match: re.Match[str]) -> str:
        picture, words, target = match[1], match[2], match[3]
        found = _resolved(target, page)
        if found is None:
            return match[0]
        path, anchor = found
        if path not in shown:
            return "" if picture else words
        there = posixpath.relpath(site_name(path), here or ".")
        return f"{picture}[{words}]({there}{'#' + anchor if anchor else ''})"

    parts = _FENCED.split(text)
    return "".join(part if index % 2 else _LINK.sub(link, part) for index, part in enumerate(parts))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give every page of docs/ a place in the navigation."""
    nav: list[Any] = config.nav or []
    named = set(re.findall(r"[\w/-]+\.md", str(nav)))
    more = sorted(path.name for path in (ROOT / DOCS).glob("*.md") if path.name not in named)
    next(part for part in nav if isinstance(part, dict) and "Use" in part)["Use"].extend(more)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside docs/."""
    for path in sorted(pages_and_pictures()):
        if not path.startswith(f"{DOCS}/"):
            files.append(File.generated(config, site_name(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Mend the links of a page."""
    shown = pages_and_pictures()
    by_name = {site_name(path): path for path in shown}
    return mended(markdown, by_name[page.file.src_uri], shown)
