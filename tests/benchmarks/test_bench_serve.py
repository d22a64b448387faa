"""What the suite for servers is made of: a real server kept busy, and the table of what came out."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks import names
from benchmarks.report import render
from benchmarks.results import Book, Table
from benchmarks.serving import processor_s, server
from benchmarks.settings import UnavailableError
from benchmarks.suites.serve import COLUMNS


def test_a_server_is_kept_busy_and_watched(bundle_path, photo, tmp_path):
    paths = [tmp_path / f"{seed}.png" for seed in range(5)]
    for seed, path in enumerate(paths):
        Image.fromarray(photo(48, 56, seed)).save(path)
    with server(bundle_path, 1) as asked:
        before = asked.processor_s()
        asked.score(paths, ["a seam"] * 5, together=2, clients=2)
        assert len(asked.seconds) == 3 and min(asked.seconds) > 0
        assert asked.processor_s() > before >= processor_s() > 0
        assert asked.memory_mb() > 50
        paths[0].write_bytes(b"no picture")
        with pytest.raises(UnavailableError, match="not an image that can be read"):
            asked.score(paths, [""] * 5, together=1, clients=1)


def test_a_server_that_does_not_start_says_why(tmp_path):
    with pytest.raises(UnavailableError, match=r"error: .*nowhere"), server(tmp_path / "nowhere", 1):
        pass


def test_the_table_of_a_server():
    book = Book({}, {})
    table = Table("serve", names.SERVE, list(COLUMNS))
    table.rows += [
        ["score", 3, 40.0, 1.0, 1.0, 1.0, np.nan, np.nan, 0.038],
        ["8 a request, 4 at once", 3, 38.0, 0.95, 0.91, 0.99, 0.25, 0.5, 0.039],
    ]
    memory = Table("serve", names.SERVE_MEMORY, ["when", "megabytes"])
    memory.rows += [["before the first request", 270.0], ["after the last one", 310.0]]
    book.tables += [table, memory]
    said = render(book)
    assert "| 8 a request, 4 at once | 38.0 | 95% (91% .. 99%) | 250 ms | 500 ms | 39.0 ms | 3 |" in said
    assert "holds 270 MB before the first request, 310 MB after the last one." in said
