"""The notebooks: stored without outputs, and executed to their last cell with the results that they speak of."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from repository import ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def read(path: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def run(name: str, monkeypatch: pytest.MonkeyPatch) -> list[nbformat.NotebookNode]:
    """Every output of a notebook. Raises what a cell raises."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the kernel's engine is this tree's
    notebook = read(FOLDER / f"{name}.ipynb")
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(FOLDER)}})
    client.execute()
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def printed(outputs: list[nbformat.NotebookNode]) -> str:
    return "".join(each.text for each in outputs if each.output_type == "stream" and each.name == "stdout")


def shown(outputs: list[nbformat.NotebookNode], kind: str) -> list[str]:
    return [each.data[kind] for each in outputs if "data" in each and kind in each.data]


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["1_score_and_compare", "2_maps", "3_your_own_measure"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_stored(path):
    cells = read(path).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code and not any(cell.outputs or cell.execution_count for cell in code)
    assert cells[0].source.startswith("# ")


@pytest.mark.slow
def test_score_and_compare(monkeypatch):
    outputs = run("1_score_and_compare", monkeypatch)
    assert len(shown(outputs, "text/html")) == 2  # tables
    said = printed(outputs)
    assert re.search(r"realness \d+, for 90 % of pictures between \d+ and \d+", said)
    assert "report.html" in said and "photographs" in said
    assert shown(outputs, "text/plain")[-1].endswith("closed>")


@pytest.mark.slow
def test_maps(monkeypatch):
    outputs = run("2_maps", monkeypatch)
    assert len(shown(outputs, "image/png")) == 4
    stands_out = re.findall(r"something stands out: (\w+)", printed(outputs))
    assert stands_out == [
        "True",
        "False",
        "False",
        "None",
    ]  # the melted cup, a photograph, the cat, other windows


@pytest.mark.slow
def test_your_own_measure(monkeypatch):
    said = printed(run("3_your_own_measure", monkeypatch))
    assert "verified fp32" in said and "['bundle.json', 'detail.onnx']" in said
    found = re.search(r"engine (\d\.\d+), PyTorch (\d\.\d+)", said)
    assert found
    assert float(found[1]) == pytest.approx(float(found[2]), abs=1e-6) and float(found[1]) > 0
