"""docs/library.md: its program, the Python blocks one after the other, runs from the root of a clone."""

from __future__ import annotations

import re

import pytest
from repository import ROOT

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "library.md").read_text(), flags=re.DOTALL)


@pytest.mark.slow
def test_the_program_of_the_page_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    program: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block, "docs/library.md", "exec"), program)
    said = capsys.readouterr().out
    assert len(BLOCKS) >= 4
    assert said.startswith("<Engine realm-tiny on cpu (ONNX Runtime")
    assert "samples/coffee.jpg" in said and '"percentile_generated"' in said
    assert re.search(r"tensor\(\d+\.\d+\)", said)
