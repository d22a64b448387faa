"""Progress: a bar on a terminal, lines elsewhere, never on stdout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from realm_engine.cli import progress as module
from realm_engine.cli.progress import TERMINAL
from realm_engine.verbs.choices import spoken


def test_short_work_says_nothing(capsys) -> None:
    with TERMINAL.progress("scoring", 3) as advance:
        for done in (1, 2, 3):
            advance(done)
    assert capsys.readouterr() == ("", "")


def test_long_work_says_a_line_now_and_then(capsys, monkeypatch) -> None:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.0)
    with TERMINAL.progress("mapping", 2) as advance:
        for done in (0.5, 1, 2):
            advance(done, "9 windows/s")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [f"mapping: {done} of 2, about 0 s left, 9 windows/s" for done in (0, 1)]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (59.7, "1 min"),
        (200, "3 min 20 s"),
        (10307, "2 h 52 min"),
        (7200, "2 h"),
        (97200, "1 d 3 h"),
    ],
)
def test_times_are_said_as_people_say_them(seconds, words) -> None:
    assert spoken(seconds) == words


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_a_terminal_gets_a_bar_and_stdout_only_rows(pictures: Path, bundle_path: Path) -> None:
    main, terminal = os.openpty()
    script = Path(sys.executable).with_name("realm-engine")
    command = [str(script), "score", str(pictures), "--bundle", str(bundle_path), "--threads", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal, text=True)
    os.close(terminal)
    stdout, _ = process.communicate(timeout=60)
    shown = os.read(main, 1 << 16).decode("utf-8", "replace")
    os.close(main)
    assert process.returncode == 0
    assert len(stdout.splitlines()) == 5 and stdout.startswith("filename,")
    assert "scoring" in shown and "4/4" in shown
