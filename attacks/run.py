"""Run an attack against the command line, or against the C++ program."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from attacks.attack import MEMORY, Attack, CommandAttack
from attacks.victim import ROOT, Victim
from attacks.watch import Watched, watch

OWNED = 66  # stands for the exit code where the code of a stranger ran


def python_command(*arguments: str, module: str = "realm_engine") -> list[str]:
    """A command of ours that looks for no module in the working folder."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment(folder: Path) -> dict[str, str]:
    """Of a command that runs in a folder: this repository's code, and a cache of its own."""
    return {"PYTHONPATH": str(ROOT), "REALM_CACHE_DIR": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}


def build(attack: Attack, folder: Path) -> tuple[Path, Path]:
    """The hostile bundle and a harmless picture, in an empty folder."""
    victim = Victim(folder / "bundle")
    attack.build(victim)
    victim.seal()
    picture = folder / "picture.png"
    with (folder / "texts.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("filename", "description"), (picture.name, attack.text)])
    Image.linear_gradient("L").resize((96, 80)).convert("RGB").save(picture)
    return victim.folder, picture


def against_python(attack: Attack | CommandAttack, folder: Path) -> Watched:
    """What the command line makes of an attack that is built in an empty folder."""
    if isinstance(attack, CommandAttack):
        done = watch(attack.build(folder), folder, environment(folder))
        return replace(done, exit_code=OWNED) if (folder / "owned").exists() else done
    bundle, picture = build(attack, folder)
    return watch(
        python_command(*host_arguments(attack, bundle, picture)),
        folder,
        environment(folder),
    )


def against_cpp(attack: Attack, folder: Path, program: Path) -> Watched:
    """What the C++ program makes of it."""
    bundle, picture = build(attack, folder)
    return watch([str(program), *host_arguments(attack, bundle, picture)], folder, {})


def host_arguments(attack: Attack, bundle: Path, picture: Path) -> Sequence[str]:
    """A verb on a picture with a bundle, as both programs take it."""
    folder = picture.parent
    if attack.verb not in ("score", "map"):
        return (attack.verb, os.fspath(bundle))
    texts = ("--descriptions", os.fspath(folder / "texts.csv")) if attack.text else ()
    output = ("--output", os.fspath(folder / "maps")) if attack.verb == "map" else ()
    limits = ("--max-memory", MEMORY, "--threads", "1")
    return (attack.verb, os.fspath(picture), "--bundle", os.fspath(bundle), *texts, *output, *limits)


def problems(
    attack: Attack | CommandAttack,
    folder: Path,
    program: Path | None,
    hosts: Sequence[str] = ("python", "cpp"),
) -> dict[str, tuple[Watched, str | None]]:
    """By host, what happened, and what is wrong with it (None: nothing)."""
    found: dict[str, tuple[Watched, str | None]] = {}
    for host in hosts:
        home = folder / host
        if host == "python":
            home.mkdir(parents=True)
            done = against_python(attack, home)
            found[host] = (done, attack.python.problem(done))
        elif isinstance(attack, Attack) and attack.cpp is not None and program is not None:
            home.mkdir(parents=True)
            done = against_cpp(attack, home, program)
            found[host] = (done, attack.cpp.problem(done))
    return found
