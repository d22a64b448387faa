"""Processes that are killed at random moments and gone on with: nothing lost, nothing torn, nothing twice.

    python tests/support/kills.py --count 200 --verb score --verb map --verb train --verb build --verb tune

A round starts a verb on a new output, kills it up to three times, each time going on from what it left, lets it end,
and compares with a run in one go. Every process is a fork of this one, which has imported everything: kills strike the
work and not the imports.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bundles import build_bundle
from PIL import Image

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
MOST_KILLS = 3  # of one output
HOURS_AGO_S = 2 * 3600.0
Content = Mapping[str, object]


@dataclass(frozen=True)
class Verb:
    """What is killed: `run(arguments, output)` in a child. `again` goes on from what a kill left.

    `content(output)`: what must be equal in the end. `check(output, expected)`: what a kill left is whole, each file.
    """

    name: str
    run: Callable[[Sequence[str], Path], None]
    again: tuple[str, ...]
    content: Callable[[Path], Content]
    check: Callable[[Path, Content], None]


@dataclass
class Count:
    rounds: int = 0
    kills: int = 0
    ended: int = 0  # processes that were done before the signal


def engine_main(arguments: Sequence[str]) -> None:
    from realm_engine.cli.main import main

    main(list(arguments))


def picture_folder(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for index in range(count):
        pixels = np.random.default_rng(index).integers(0, 255, (64, 80, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"p{index:02}.png")
    return folder


def visible(folder: Path) -> dict[str, bytes]:
    """Every file but hidden ones and journals, which a kill leaves on purpose."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and not path.name.endswith(".csv.partial")
    }


def same_bytes(folder: Path, expected: Content) -> None:
    """What lies there has the bytes of the run in one go; the record of maps is one that grows."""
    for name, found in visible(folder).items():
        if name != "map.run.jsonl":
            assert found == expected[name], f"{name} is torn, or of another run"


def score_verb(work: Path) -> Verb:
    pictures, bundle = picture_folder(work / "scored", 30), build_bundle(work / "test-bundle")

    def run(extra: Sequence[str], output: Path) -> None:
        places = [str(pictures), "--output", str(output / "t.csv"), "--bundle", str(bundle)]
        engine_main(["score", *places, "--threads", "1", "--batch-size", "1", *extra])

    return Verb("score", run, ("--resume",), visible, same_bytes)


def map_verb(work: Path) -> Verb:
    pictures, bundle = picture_folder(work / "mapped", 10), build_bundle(work / "test-bundle")

    def run(extra: Sequence[str], output: Path) -> None:
        places = [str(pictures), "--output", str(output), "--bundle", str(bundle)]
        how = ["--text", "a seam", "--window", "24", "--stride", "8", "--threads", "1"]
        engine_main(["map", *places, *how, *extra])

    return Verb("map", run, ("--resume",), visible, same_bytes)


def train_verb(work: Path) -> Verb:
    from train_data import write_data, write_text_tower

    from realm_train.cli.main import main

    write_data(work / "data", 12)
    write_text_tower(work / "bert")
    settings = [
        "image_tower=test_efficientnet",
        "image_weights=none",
        "image_height_px=32",
        "image_width_px=48",
    ]
    settings += ["stages=1,3", "max_tokens=16", "hidden=8", "batch_size=4", "epochs=4"]
    settings += ["freeze_image=none", "mixed_precision=no"]

    def run(extra: Sequence[str], output: Path) -> None:
        places = [
            "--data",
            str(work / "data"),
            "--text-tower",
            str(work / "bert"),
            "--output",
            str(output / "run"),
        ]
        how = [part for setting in settings for part in ("--set", setting)]
        main(["core", *places, *how, "--device", "cpu", *extra])

    def content(output: Path) -> Content:
        names = ("checkpoint.safetensors", "metrics.csv", "predictions.csv", "split.json", "config.json")
        return {name: (output / "run" / name).read_bytes() for name in names}

    def check(output: Path, expected: Content) -> None:
        from safetensors.torch import load_file

        for path in (output / "run").glob("*.safetensors"):
            load_file(path)
        for path in (output / "run").glob("*.json"):
            json.loads(path.read_bytes())

    return Verb("train", run, ("--resume",), content, check)


def build_verb(work: Path) -> Verb:
    """Engines of two builds need not be the same bytes: each must be found whole, and nothing built twice."""
    import tensorrt_rtx  # noqa: F401  # to be forked with the rest

    bundle = build_bundle(work / "test-bundle")

    def run(extra: Sequence[str], output: Path) -> None:
        os.environ["REALM_CACHE_DIR"] = str(output)
        engine_main(["build", str(bundle), "--device", "tensorrt-rtx", "--gpu-arch", "sm_89", *extra])

    def content(output: Path) -> Content:
        from realm_engine.runtimes.tensorrt.plan_cache import read_entry

        plans = sorted((output / "engines").glob("*.plan"))
        return {path.name: read_entry(path) is not None for path in plans}

    def check(output: Path, expected: Content) -> None:
        for path in (output / "engines").glob("*.plan"):
            assert path.name in expected

    return Verb("build", run, (), content, check)


def tune_verb(work: Path) -> Verb:
    """Speeds differ between two runs: the record must be whole, or not there."""
    from realm_engine.verbs import tune

    pictures, bundle = picture_folder(work / "tuned", 3), build_bundle(work / "two", fp16=True)
    tune.ROUNDS, tune.SECONDS_PER_ROUND = 1, 0.001

    def run(extra: Sequence[str], output: Path) -> None:
        os.environ["REALM_CACHE_DIR"] = str(output)
        engine_main(
            ["tune", str(pictures), "--bundle", str(bundle), "--device", "cpu", "--threads", "1", *extra]
        )

    def content(output: Path) -> Content:
        return {
            path.name: sorted(
                (one["part"], one["precision"]) for one in json.loads(path.read_bytes())["measured"]
            )
            for path in (output / "tune").glob("*.json")
        }

    def check(output: Path, expected: Content) -> None:
        assert content(output) in ({}, expected)

    return Verb("tune", run, (), content, check)


VERBS = {"score": score_verb, "map": map_verb, "train": train_verb, "build": build_verb, "tune": tune_verb}


def started(verb: Verb, extra: Sequence[str], output: Path, log: Path) -> int:
    """Fork a process that runs the verb; its id."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        for stream in (1, 2):
            os.dup2(said, stream)
        verb.run(extra, output)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except KeyboardInterrupt:  # before the verb had begun
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """The exit code, of a signal negative."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def left_over(output: Path) -> list[str]:
    """Temporary files, of which the locks of engines are none."""
    return [
        path.relative_to(output).as_posix()
        for path in output.rglob("*")
        if path.name.endswith((".partial", ".tmp")) or path.name.startswith(".")
    ]


def age(output: Path) -> None:
    """Make what is left over two hours old: younger files may be those of another process."""
    then = time.time() - HOURS_AGO_S
    for name in left_over(output):
        if not name.endswith(".csv.partial"):
            os.utime(output / name, (then, then))


def killed_round(
    verb: Verb, expected: Content, takes_s: float, output: Path, rng: np.random.Generator, count: Count
) -> None:
    """One output, some kills, one end. Raises AssertionError where something is not as it must be."""
    log, extra = output.with_suffix(".log"), ()
    output.mkdir()
    for _ in range(int(rng.integers(1, MOST_KILLS + 1))):
        child, sent = started(verb, extra, output, log), SIGNALS[int(rng.integers(len(SIGNALS)))]
        time.sleep(float(rng.uniform(0, takes_s)))
        os.kill(child, sent)
        code = ended(child)
        if code == 0:
            count.ended, extra = count.ended + 1, verb.again
            break
        assert code in (-sent, 130, 1) and "Traceback" not in log.read_text(), f"{code}: {log.read_text()}"
        count.kills += 1
        verb.check(output, expected)
        extra = verb.again
    age(output)
    code = ended(started(verb, extra, output, log))
    assert code == 0 and "Traceback" not in log.read_text(), f"{code}: {log.read_text()}"
    assert verb.content(output) == expected, f"another end than in one go: {sorted(verb.content(output))}"
    assert not left_over(output), f"left over: {left_over(output)}"
    count.rounds += 1
    shutil.rmtree(output)


def kill_all(
    names: Sequence[str], kills: int, seed: int, work: Path, say: Callable[[str], None]
) -> dict[str, Count]:
    """So many kills of each verb. Raises AssertionError, which names the output that is kept."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "REALM_CACHE_DIR": str(work / "cache")}
    counts: dict[str, Count] = {}
    for name in names:
        verb, count = VERBS[name](work / f"{name}-work"), Count()
        whole = work / f"{name}-whole"
        whole.mkdir()
        began = time.monotonic()
        code = ended(started(verb, (), whole, whole.with_suffix(".log")))
        assert code == 0, whole.with_suffix(".log").read_text()
        takes_s, expected = time.monotonic() - began, verb.content(whole)
        say(f"{name}: {takes_s:.1f} s in one go")
        attempt = 0
        while count.kills < kills:
            output = work / f"{name}-{attempt}"
            rng = np.random.default_rng((seed, attempt))
            try:
                killed_round(verb, expected, takes_s, output, rng, count)
            except AssertionError as error:
                raise AssertionError(f"{name}, seed {seed}, round {attempt} ({output}): {error}") from error
            attempt += 1
        counts[name] = count
        say(
            f"{name}: {count.kills} kills in {count.rounds} outputs, {count.ended} were done before; all as in one go"
        )
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200, help="kills, shared among the verbs")
    parser.add_argument("--verb", action="append", choices=list(VERBS), help="by default all")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    names = asked.verb or list(VERBS)
    folder = Path(tempfile.mkdtemp(prefix="realm-kills-"))
    try:
        kill_all(
            names, -(-asked.count // len(names)), asked.seed, folder, lambda line: print(line, flush=True)
        )
    except AssertionError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
