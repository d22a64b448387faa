"""One grammar: the same word means the same in every verb, and its help is there to be read."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from realm_engine.cli.command import SECTIONS
from realm_engine.cli.main import main

PICTURES = ("score", "map", "report", "compare")
SHORT = {"-o": "--output", "-b": "--bundle", "-d": "--device", "-q": "--quiet", "-v": "--verbose"}


def commands(group: click.Group, path: str = ""):
    for name, each in group.commands.items():
        if isinstance(each, click.Group):
            yield from commands(each, f"{name} ")
        else:
            yield path + name, each


COMMANDS = dict(commands(main))


def options(command: click.Command) -> dict[str, click.Option]:
    return {name: each for each in command.params if isinstance(each, click.Option) for name in each.opts}


@pytest.mark.parametrize("verb", COMMANDS)
def test_short_names_mean_the_same_everywhere(verb):
    found = options(COMMANDS[verb])
    for name, option in found.items():
        if not name.startswith("--"):
            assert (SHORT | {"-0": "--null"})[name] in option.opts
    for short, long in SHORT.items():
        assert (long in found) == (short in found), long


def test_those_that_look_at_pictures_have_the_same_words():
    need = {"--output", "--bundle", "--device", "--precision", "--threads", "--max-memory", "--resume"}
    texts = {"--text", "--descriptions", "--no-descriptions", "--missing-text"}
    for verb in PICTURES:
        assert need <= set(options(COMMANDS[verb])), verb
    for name in texts:
        assert len({options(COMMANDS[verb])[name].help for verb in ("score", "map", "report")}) == 1, name


@pytest.mark.parametrize("verb", COMMANDS)
def test_help_is_whole_and_in_sections(verb):
    shown = CliRunner().invoke(main, [*verb.split(), "-h"], terminal_width=80)
    _, _, said = shown.stdout.partition("\n\n")
    assert shown.exit_code == 0, shown.stderr
    assert not re.search(r"\w\.\.\.$", said, re.M)
    for name in options(COMMANDS[verb]):
        assert name in shown.stdout, name
    heads = re.findall(r"^([A-Z][a-z ]+):$", shown.stdout, re.M)
    heads = [head for head in heads if head != "Examples"]
    assert heads[-1] == "Running" and set(heads) <= {"Options", *SECTIONS}


def test_the_list_of_commands_is_in_the_order_of_use_and_says_whole_sentences():
    shown = CliRunner().invoke(main, ["-h"]).stdout
    assert "..." not in shown.partition("\n\n")[2]
    names = re.findall(r"^  ([a-z-]+)  ", shown[shown.index("Commands:") :], re.M)
    assert names == list(main.commands) and names[:2] == ["score", "map"]


def test_a_text_of_all_pictures_is_used_as_descriptions_are(cli, pictures, tmp_path):
    (tmp_path / "own.csv").write_text("filename,description\na.png,a melted hand\n")
    names = [pictures / "a.png"]
    by_file = cli("score", *names, "--descriptions", tmp_path / "own.csv")
    by_word = cli("score", *names, "--text", "a melted hand")
    alone = cli("score", *names, "--no-descriptions")
    assert by_word.stdout == by_file.stdout != alone.stdout


def test_lists_and_patterns_give_the_rows_that_the_files_give(cli, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(pictures)
    (tmp_path / "list.txt").write_text("d.bmp\ngone.png\nsub/c.webp\n")
    done = cli("score", f"@{tmp_path / 'list.txt'}")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert done.exit_code == 1 and [row["filename"] for row in rows] == ["d.bmp", "gone.png", "sub/c.webp"]
    assert [bool(row["error"]) for row in rows] == [False, True, False]
    assert cli("score", "*.bmp", "sub/*").stdout == cli("score", "d.bmp", "sub/c.webp").stdout


def test_a_map_takes_a_list_on_standard_input(pictures, bundle_path, tmp_path):
    command = ["map", "--files-from", "-", "--bundle", bundle_path, "--text", "x", "-o", tmp_path]
    done = subprocess.run(
        [sys.executable, "-m", "realm_engine", *map(str, command), "--format", "json", "-q"],
        input=f"{pictures / 'a.png'}\n{pictures / 'sub' / 'c.webp'}\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert json.loads((tmp_path / "sub" / "c.json").read_text())["texts"] == ["x"]


def test_quiet_says_nothing_but_errors(cli, pictures):
    loud, quiet = cli("score", pictures), cli("score", pictures, "-q")
    assert loud.stderr and not quiet.stderr and loud.stdout == quiet.stdout
    (pictures / "a.png").write_bytes(b"no picture")
    wrong = cli("score", pictures, "-q", "--strict")
    assert wrong.exit_code == 1
    missing = cli("score", pictures / "nowhere", "--quiet")
    assert missing.exit_code == 2 and missing.stderr.startswith("error: ")


def test_a_warning_that_quiet_keeps_back_still_fails_a_strict_run(cli, pictures):
    done = cli("score", pictures, "-q", "--strict")  # two pictures have no description
    assert done.exit_code == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: --strict: a warning (")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(shell):
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0 and "_REALM_ENGINE_COMPLETE" in done.stdout and "realm-engine" in done.stdout


def test_bash_completes_commands_options_and_values():
    script = """
        eval "$(realm-engine completion bash)"
        complete_words() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _realm_engine_completion realm-engine; printf '%s ' "${COMPREPLY[@]}"; echo
        }
        complete_words realm-engine sco
        complete_words realm-engine score --dev
        complete_words realm-engine score --device cu
        complete_words realm-engine score --bundle realm-t
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["score"], ["--device"], ["cuda"], ["realm-tiny"]
    ], done.stderr  # fmt: skip


@pytest.mark.parametrize(
    ("command", "per_line"),
    [
        ("info", False),
        ("measures", False),
        ("doctor", False),
        ("models list", False),
        ("models verify realm-tiny", True),
        ("cache list", False),
        ("verify BUNDLE", True),
    ],
)
def test_what_people_read_programs_can_read(command, per_line, bundle_path, tmp_path, monkeypatch):
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path))
    words = command.replace("BUNDLE", str(bundle_path)).split()
    done = CliRunner().invoke(main, [*words, "--json", "-q"])
    assert done.exit_code == 0 and done.stderr == ""
    texts = done.stdout.splitlines() if per_line else [done.stdout]
    assert texts and all(isinstance(json.loads(text), dict | list) for text in texts)
    if per_line:
        assert all(json.loads(text)["ok"] for text in texts)


def test_a_damaged_bundle_is_a_line_for_programs_and_an_error_for_people(tmp_path, monkeypatch, bundle_path):
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path))
    shutil.copytree(bundle_path, tmp_path / "bundles" / "mine")
    (tmp_path / "bundles" / "mine" / "core.onnx").write_bytes(b"x")
    done = CliRunner().invoke(main, ["models", "verify", "mine", "realm-tiny", "--json"])
    assert done.exit_code == 1 and done.stderr.startswith("error: mine: ")
    assert [json.loads(line)["ok"] for line in done.stdout.splitlines()] == [False, True]


def test_a_report_takes_a_list_as_well(cli, pictures, tmp_path):
    (tmp_path / "list.txt").write_text(f"{pictures / 'a.png'}\n{pictures / 'd.bmp'}\n")
    out = tmp_path / "report"
    done = cli(
        "report", f"@{tmp_path / 'list.txt'}", "--output", out, "--text", "a melted hand", "--no-gallery"
    )
    assert done.exit_code == 0, done.stderr
    rows = list(csv.DictReader((out / "scores.csv").open(newline="")))
    assert [row["filename"] for row in rows] == ["a.png", "d.bmp"]
