"""The documentation as a site: built without a warning, complete, and asking no other host for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from repository import ROOT

from recipes import site_pages


class Requests(HTMLParser):
    """What a page makes a browser fetch when it is opened, and what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attributes}
        if "src" in found:
            self.fetched.append(found["src"])
        if tag == "link" and found.get("rel") != "canonical":
            self.fetched.append(found.get("href", ""))
        if tag == "a" and "href" in found:
            self.links.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    result = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0 and "WARNING" not in result.stderr, result.stderr
    return folder


def read(page: Path) -> Requests:
    requests = Requests()
    requests.feed(page.read_text(encoding="utf-8"))
    return requests


@pytest.mark.slow
def test_pages_fetch_nothing_from_other_hosts_and_their_links_lead_somewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        found = read(page)
        assert "mermaid" not in page.read_text(encoding="utf-8")  # the theme would fetch what draws it
        assert found.fetched and not [target for target in found.fetched if "//" in target], page
        for target in (*found.fetched, *found.links):
            path = target.partition("#")[0].partition("?")[0]
            if path and "://" not in path and not path.startswith("mailto:") and page.name != "404.html":
                there = (page.parent / path).resolve()
                assert there.exists() and there.is_relative_to(site.resolve()), f"{page}: {target}"


@pytest.mark.slow
def test_style_sheets_fetch_nothing_from_other_hosts(site):
    sheets = [sheet.read_text(encoding="utf-8") for sheet in site.rglob("*.css")]
    assert sheets and not any(re.search(r"url\(\s*[\"']?(https?:)?//|@import", sheet) for sheet in sheets)


@pytest.mark.slow
def test_the_reference_has_what_the_package_names_public(site):
    import realm_engine

    shown = "".join(page.read_text(encoding="utf-8") for page in (site / "reference").glob("*.html"))
    for name in set(realm_engine.__all__) - {"__version__"}:
        assert re.search(rf'id="realm_engine\.[\w.]+\.{name}"|id="realm_engine\.{name}"', shown), name
    assert 'id="realm_engine.engine.Engine.iter_scores"' in shown and "uint8" in shown


@pytest.mark.slow
def test_every_page_has_a_place_in_the_navigation(site):
    home = read(site / "index.html")
    for page in (ROOT / "docs").glob("*.md"):
        assert f"{page.stem}.html" in home.links


def test_links_are_mended_for_where_pages_lie():
    shown = {"README.md", "docs/bundle.md", "docs/map.jpg", "hosts/cpp/README.md", "SECURITY.md"}

    def mended(text: str, page: str) -> str:
        return site_pages.mended(text, page, shown)

    assert mended("[a](docs/bundle.md#b) ![c](docs/map.jpg)", "README.md") == "[a](bundle.md#b) ![c](map.jpg)"
    assert mended("[a](../README.md#map)", "docs/bundle.md") == "[a](index.md#map)"
    assert mended("[a](../../docs/bundle.md)", "hosts/cpp/README.md") == "[a](../../bundle.md)"
    assert mended("[a](hosts/cpp/README.md), [b](SECURITY.md)", "README.md") == (
        "[a](hosts/cpp/README.md), [b](security.md)"
    )
    assert mended("[a `b`](export/into.py) ![c](out/d.png)", "README.md") == "a `b` "
    same = "[a](https://example.org/x.md) [b](#there)\n```\n[c](export/into.py)\n```"
    assert mended(same, "README.md") == same


def test_what_pages_link_to_is_found():
    found = site_pages.pages_and_pictures()
    assert {"README.md", "docs/bundle.md", "docs/map.jpg", "SECURITY.md", "hosts/cpp/README.md"} <= found
    assert all((ROOT / path).is_file() for path in found)
    assert not [path for path in found if path.endswith(".py")]
