"""Pages of reports, read as a reader would: what they show, and what they would fetch or run."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "link", "br", "hr", "input", "source", "base", "area", "col", "wbr", "embed", "track"}


@dataclass
class Page(HTMLParser):
    """The texts, headings and addresses of a page. Fails on elements that are not closed in order."""

    html: str
    text: str = ""
    headings: list[tuple[int, str]] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    ids: list[str] = field(default_factory=list)
    alternatives: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self.feed(self.html)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        for name, value in attrs:
            assert not name.startswith("on"), f"{tag} has {name}"
            if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag == "img" or given.get("role") == "img":
            self.alternatives.append(given.get("alt") or given.get("aria-label") or "")
        if tag[0] == "h" and tag[1:].isdigit():
            self.headings.append((int(tag[1:]), ""))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1] == tag, f"</{tag}> closes {self._open[-1:]}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text += data
        if self._open and self._open[-1] in ("h1", "h2", "h3", "bdi") and self.headings:
            inside = [tag for tag in self._open if tag[0] == "h" and tag[1:].isdigit()]
            if inside:
                level, said = self.headings[-1]
                self.headings[-1] = (level, said + data)


def check_page(content: bytes) -> Page:
    """What every page holds: nothing is fetched or run, headings go down step by step, pictures have a text."""
    assert len(content) <= 15_000_000
    page = Page(content.decode("utf-8"))
    assert "Content-Security-Policy" in page.html and "default-src &#39;none&#39;" not in page.html
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page.html
    assert not page.tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for address in page.addresses:
        assert address.startswith(("#", "data:image/jpeg;base64,")), address[:80]
    assert len(set(page.ids)) == len(page.ids)
    anchors = {address[1:] for address in page.addresses if address.startswith("#")}
    assert anchors <= set(page.ids)
    assert "url(http" not in page.html and "@import" not in page.html
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert all(page.alternatives)
    return page
