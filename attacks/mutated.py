"""Bundles that are mutated at random, each by seed and number: no crash, no traceback, no hang, no flood of memory."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from attacks.attack import Attack, Must
from attacks.run import problems
from attacks.victim import Victim
from attacks.watch import Watched

SURVIVES = Must((0, 1, 2), "")
GRAPHS = ("core", "text", "trunk", "windows", "photographs", "dream")
FILES = {
    "core": "core",
    "text": "clip_text",
    "trunk": "trunk",
    "windows": "windows",
    "photographs": "photographs",
}
ODD_NUMBERS = (0, -1, 1, 2**31, 2**63, 10**400, 0.5, -1e308, 1e308, 3e38, 1e-320, True)
ODD_VALUES: tuple[Any, ...] = (
    *ODD_NUMBERS,
    *(None, "", "x", "../x", "/etc/passwd", "\x1b[2J\n", "a" * 9999, "\ud800", [], {}, [[]], [1] * 999),
)


def mutated(seed: int, number: int) -> Attack:
    """The mutation of a number: the same thing every time."""
    random = Random(f"{seed} {number}")
    kinds: tuple[Callable[[Victim, Random], None], ...] = (
        *(_manifest, _manifest, _manifest_bytes, _graph_bytes, _graph_nodes),
        *(_graph_weights, _tokenizer, _tokenizer, _phrases),
    )
    kind = random.choice(kinds)
    verb, text = random.choice((("score", "the face is melted"), ("map", "the face is melted"), ("map", "")))
    return Attack(
        f"{number} {kind.__name__.strip('_')}",
        lambda victim: kind(victim, random),
        SURVIVES,
        SURVIVES,
        verb,
        text,
    )


def run_mutated(folder: Path, count: int, seed: int, program: Path | None, hosts: Sequence[str]) -> int:
    """Run so many against hosts; the exit code is 1 where one is a crash, a traceback, a hang or a flood of memory."""
    codes: Counter[tuple[str, int]] = Counter()
    wrong, slowest, largest = 0, 0.0, 0.0
    for number in range(count):
        attack = mutated(seed, number)
        for host, (done, problem) in _each_host(seed, number, folder, program, hosts):
            codes[host, done.exit_code] += 1
            slowest, largest = max(slowest, done.cpu_seconds), max(largest, done.peak_mb)
            if problem is not None:
                wrong += 1
                print(f"WRONG  --seed {seed}, {attack.name}, {host}: {problem}", flush=True)
        shutil.rmtree(folder / str(number), ignore_errors=True)
    for (host, code), times in sorted(codes.items()):
        print(f"{host}: exit code {code} {times} times")
    print(f"{count} bundles: {wrong} wrong; the slowest took {slowest:.1f} s, the largest {largest:.0f} MB")
    return int(wrong > 0)


def _each_host(
    seed: int, number: int, folder: Path, program: Path | None, hosts: Sequence[str]
) -> Iterator[tuple[str, tuple[Watched, str | None]]]:
    """Building draws from the numbers of the seed, so the attack is made anew for each host."""
    for host in hosts:
        yield from problems(mutated(seed, number), folder / str(number) / host, program, (host,)).items()


def _manifest(victim: Victim, random: Random) -> None:
    for _ in range(random.choice((1, 1, 3))):
        _mutate(victim.manifest, random)


def _manifest_bytes(victim: Victim, random: Random) -> None:
    victim.seal()
    path = victim.folder / "bundle.json"
    path.write_bytes(_flipped(path.read_bytes(), random))


def _graph_bytes(victim: Victim, random: Random) -> None:
    name = random.choice(GRAPHS) + ".onnx"
    victim.write(name, _flipped((victim.folder / name).read_bytes(), random))


def _graph_nodes(victim: Victim, random: Random) -> None:
    """Other operators, numbers and sizes in a graph that is well-formed."""
    graph = FILES[random.choice(tuple(FILES))]
    model = victim.model(graph)
    for _ in range(random.choice((1, 3))):
        node = random.choice(model.graph.node)
        change = random.randrange(4)
        if change == 0:
            node.op_type = random.choice(
                ("Loop", "If", "Expand", "ConstantOfShape", "Range", "Tile", "Identity", "Nope")
            )
        elif change == 1 and node.input:
            node.input[random.randrange(len(node.input))] = random.choice(
                (*random.choice(model.graph.node).input, "nowhere")
            )
        elif change == 2 and node.attribute:
            attribute = random.choice(node.attribute)
            attribute.i = random.choice((-1, 0, 1 << 40, 1 << 62))
            attribute.ints[:] = [random.choice((-1, 0, 3, 1 << 33)) for _ in attribute.ints]
        else:
            node.domain = random.choice(("evil", "com.microsoft", "ai.onnx.ml"))
    victim.write_model(graph, model)


def _graph_weights(victim: Victim, random: Random) -> None:
    graph = FILES[random.choice(tuple(FILES))]
    model = victim.model(graph)
    tensor = random.choice(model.graph.initializer)
    change = random.randrange(3)
    if change == 0:
        tensor.dims[:] = [random.choice((-1, 0, 7, 1 << 31, 1 << 62)) for _ in tensor.dims] or [1 << 40]
    elif change == 1:
        tensor.data_type = random.choice((1, 2, 7, 8, 10, 16, 99))
    else:
        tensor.raw_data = _flipped(tensor.raw_data, random) if tensor.raw_data else b"\xff" * 64
    victim.write_model(graph, model)


def _tokenizer(victim: Victim, random: Random) -> None:
    settings = victim.json("tokenizer.json")
    part = random.choice(("normalizer", "pre_tokenizer", "post_processor", "added_tokens", "model", ""))
    target = settings[part] if part else settings
    if part == "model" and random.random() < 0.5:
        target.update(
            {random.choice(("unk_token", "type", "max_input_chars_per_word")): random.choice(ODD_VALUES)}
        )
    else:
        _mutate(target, random)
    victim.write_json("tokenizer.json", settings)


def _phrases(victim: Victim, random: Random) -> None:
    bank = victim.json("phrases.json")
    _mutate(bank, random)
    victim.write_json("phrases.json", bank)


def _mutate(value: Any, random: Random) -> None:
    """Change, remove or add one thing somewhere inside a value."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = random.choice(keys)
        inside = value[key]
        if isinstance(inside, (dict, list)) and inside and random.random() < 0.85:
            value = inside
            continue
        change = random.randrange(4)
        if change == 0:
            del value[key]
        elif change == 1 and isinstance(value, dict):
            value[random.choice(("x", "Regex", "encoder", "../up", "\x1b"))] = random.choice(ODD_VALUES)
        else:
            value[key] = random.choice(ODD_VALUES)
        return


def _flipped(content: bytes, random: Random) -> bytes:
    """A few bytes changed, or the end cut."""
    data = bytearray(content)
    if not data or random.random() < 0.2:
        return bytes(data[: random.randrange(len(data) + 1)])
    for _ in range(random.choice((1, 4, 40))):
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data)
