"""What a long training says in a pipe: a line now and then, also in the middle of a step; nothing where it is quiet."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from realm_train import said


class Lines:
    """Standard error of a pipe, which says when a line has come."""

    def __init__(self) -> None:
        self.text, self.came = "", threading.Event()

    def write(self, text: str) -> int:
        self.text += text
        if text.endswith("\n"):
            self.came.set()
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


@pytest.fixture
def stderr(monkeypatch) -> Lines:
    lines = Lines()
    monkeypatch.setattr(
        said, "sys", SimpleNamespace(stderr=lines)
    )  # pytest sets its own once fixtures are there
    monkeypatch.setattr(said, "SECONDS_BETWEEN_LINES", 0.01)
    return lines


def test_a_step_that_takes_long_is_no_silence(stderr):
    with said.progress("epoch 1/2", 4) as tick:
        assert stderr.came.wait(30)  # before the first step
        tick("loss 0.5000")
        stderr.came.clear()
        assert stderr.came.wait(30) and (stderr.came.clear() or stderr.came.wait(30))
    first, *_, last = stderr.text.splitlines()
    assert first == "epoch 1/2: 0 of 4"
    assert last.startswith("epoch 1/2: 1 of 4, about ") and last.endswith(" left, loss 0.5000")


def test_work_without_steps_says_how_long_it_takes(stderr):
    with said.phase("reading the pictures"):
        assert stderr.came.wait(30)
    assert stderr.text.startswith("reading the pictures: 0 s so far\n")
    assert not [each for each in threading.enumerate() if each.name.endswith("(speak)")]


def test_short_work_and_quiet_work_say_nothing(stderr, monkeypatch):
    with said.progress("quiet", 2, show=False) as tick, said.phase("quiet", show=False):
        tick("")
    monkeypatch.setattr(said, "SECONDS_BETWEEN_LINES", 60.0)
    with said.progress("short", 2) as tick, said.phase("short"):
        tick("")
    assert stderr.text == ""
