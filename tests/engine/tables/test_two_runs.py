"""Two runs on one table: the second is refused at once, and the first goes on."""

from __future__ import annotations

import subprocess
import sys

import pytest

from realm_engine.bundle.columns import Column
from realm_engine.errors import OutputError
from realm_engine.machine.files import hold, is_held
from realm_engine.tables.journal import ResultFile
from realm_engine.tables.rows import Measured

COLUMNS = (Column("mos", "mos", -3.0, 2.0, "high", "score"),)
RUN = {"bundle": "b", "manifest": "m", "precision": "fp32", "measures": "core"}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")


def test_the_second_is_refused_and_the_first_finishes(tmp_path):
    table = tmp_path / "t.csv"
    with ResultFile(table, {"a.png": None}, RUN, COLUMNS) as first:
        for resume in (False, True):
            with pytest.raises(
                OutputError, match=r"t\.csv: another run writes it now; wait for it, or choose"
            ):
                ResultFile(table, {"a.png": None}, RUN, COLUMNS, resume)
        first.write(Measured("a.png", {"mos": 0.5}))
    assert table.read_text().splitlines()[1].startswith("a.png,0.5")
    ResultFile(table, {"a.png": None}, RUN, COLUMNS, resume=True)  # nobody holds it any more


def test_what_a_killed_process_held_is_free(tmp_path):
    path = tmp_path / "held"
    code = "import os; from realm_engine.machine.files import hold; "
    code += f"f = open({str(path)!r}, 'w'); hold(f); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert path.exists() and not is_held(path)
    with path.open("w") as stream:
        hold(stream)
        assert is_held(path)
    assert not is_held(path) and not is_held(tmp_path / "absent")
