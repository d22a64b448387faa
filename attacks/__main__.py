"""`python -m attacks [NAME...]`: every attack, what happened, and whether that is what must; `mutated`: a generator."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from attacks.attack import all_attacks, last_line
from attacks.mutated import run_mutated
from attacks.run import problems
from attacks.victim import ROOT

PROGRAM = ROOT / "out" / "hosts" / "cpp" / "release" / "realm_host"


def main() -> int:
    """Run what was asked for; the exit code is 1 where something else happened than must."""
    parser = argparse.ArgumentParser(prog="python -m attacks", description=__doc__)
    parser.add_argument("names", nargs="*", help="attacks, by default all; or the word 'mutated'")
    parser.add_argument(
        "--cpp", type=Path, default=PROGRAM, help="realm_host; left out where it is not built"
    )
    parser.add_argument("--count", type=int, default=500, help="of mutated bundles")
    parser.add_argument("--seed", type=int, default=0, help="of mutated bundles")
    parser.add_argument("--hosts", default="python,cpp", help="that the mutated bundles meet")
    given = parser.parse_args()
    program = given.cpp.resolve() if given.cpp.is_file() else None
    if program is None:
        print("the C++ program is not built (make hosts): Python alone", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="realm-attacks-") as folder:
        if given.names == ["mutated"]:
            return run_mutated(Path(folder), given.count, given.seed, program, given.hosts.split(","))
        return _run(given.names, Path(folder), program)


def _run(names: list[str], folder: Path, program: Path | None) -> int:
    attacks = all_attacks()
    unknown = [name for name in names if name not in attacks]
    if unknown:
        print(f"no attack {unknown[0]!r}; there are {', '.join(attacks)}", file=sys.stderr)
        return 2
    wrong = 0
    for name in names or attacks:
        for host, (done, problem) in problems(
            attacks[name], folder / name.replace(" ", "-"), program
        ).items():
            wrong += problem is not None
            verdict = "ok   " if problem is None else "WRONG"
            numbers = f"{done.cpu_seconds:5.1f} s {done.peak_mb:5.0f} MB"
            print(
                f"{verdict}  {name:34}  {host:6}  {done.exit_code:3}  {numbers}  {problem or last_line(done)}",
                flush=True,
            )
    print(f"{wrong} wrong" if wrong else "all as they must be")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
