"""The suite `measures`: what is timed beside what, on the embedded default."""

from __future__ import annotations

from benchmarks.report import render
from benchmarks.results import Book
from benchmarks.settings import Settings
from benchmarks.suites import measures
from realm_engine.bundle.bundle import Bundle
from realm_engine.opened import Contents


def test_the_first_alone_then_with_each_other_one_then_all():
    assert measures.combinations(["a"]) == [("a",)]
    assert measures.combinations(["a", "b"]) == [("a",), ("a", "b")]
    assert measures.combinations(["a", "b", "c"]) == [("a",), ("a", "b"), ("a", "c"), ("a", "b", "c")]


def test_numbers_of_a_manifest_are_one_line_each():
    worth = {"images": 510, "auc": {"clean": 0.95, "jpeg_70": [0.9, 0.94]}, "protocol": "nested"}
    assert list(measures.numbers(worth)) == [
        ("images", "510"), ("auc clean", "0.95"), ("auc jpeg 70", "0.9 to 0.94"), ("protocol", "nested"),
    ]  # fmt: skip


def test_every_measure_of_the_embedded_default_is_timed_and_its_worth_told(tmp_path, monkeypatch):
    monkeypatch.setattr(measures, "QUICK_IMAGES", 1)
    monkeypatch.setattr(measures, "HEAD_CALLS", 2)
    settings = Settings(("measures",), ("tiny",), (), ("cpu",), True, tmp_path, 1, 0, 1, cache=tmp_path)
    monkeypatch.setattr(Settings, "most_rounds", 1)
    book = Book({"cpu": "x"}, {"command": "c", "date": "d", "threads": 1})
    measures.run(settings, book, lambda _: None)
    assert book.failures == []
    listed = Contents(Bundle.open("realm-tiny")).measures.all
    cost = {record["command"]: record for record in book.records("measures")}
    names = [measure.name for measure in listed]
    wanted = ["core", *(f"core,{name}" for name in names[1:]), ",".join(names)]
    maps = [f"map --metric {measure.name}" for measure in listed if measure.attribution is not None]
    assert list(cost) == [*(f"score --metric {each}" for each in wanted), *maps]
    assert cost["score --metric core"]["ratio"] == 1 and all(
        record["seconds"] > 0 for record in cost.values()
    )
    assert ("brisque", "brisque_machine") in {
        (record["measure"], record["graph"]) for record in book.records("measures, heads")
    }
    told = {(record["measure"], record["what"]): record for record in book.records("measures, worth")}
    worth = Bundle.open("realm-tiny").manifest["measures"]["niqe"]["metrics"]
    assert told["niqe", "srocc mos"]["value"] == str(worth["srocc_mos"])
    assert "nss_worth.py" in told["niqe", "srocc mos"]["command"]
    text = render(book)
    assert "| `score --metric core,niqe` |" in text and "graph `brisque_machine` of brisque alone" in text
    assert "## What is each measure worth?" in text
