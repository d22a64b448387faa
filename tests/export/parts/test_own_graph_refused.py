"""What cannot be a measure of one's own, networks and commands: what is said, and that no bundle is left behind."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import onnxruntime
import pytest
from own_graphs import COMMAND, MEAN_LEVEL, SIDE, export, parsed, saved

from export.errors import ExportError
from export.measures import View
from export.parts.graph import OwnGraph


def refusal(tmp_path: Path, path: Path, view: View = SIDE, **options: object) -> str:
    with pytest.raises(ExportError) as error:
        export(tmp_path / "b", OwnGraph(path, "own", "high", view, **options))
    assert not (tmp_path / "b").exists()
    assert "\n" not in str(error.value)
    return str(error.value)


FIXED = "float[N, 3, 32, 48] x"
REFUSED = {
    "two inputs": (parsed("y = Add(a, b)", "float[N] a, float[N] b"), "takes 2 inputs (a, b)"),
    "two outputs": (
        parsed("y, z = Split<axis = 1>(x)", output="float[N] y, float[N] z"),
        "gives 2 outputs (y, z)",
    ),
    "uint8": (
        parsed("f = Cast<to = 1>(x) y = ReduceMean<axes = [1, 2, 3], keepdims = 0>(f)", "uint8[N, 3, H, W] x"),
        "its input x is uint8; float32 is needed",
    ),
    "rank 3": (
        parsed("y = ReduceMean<axes = [1, 2], keepdims = 0>(x)", "float[N, 3, W] x"),
        "its input x is [any, 3, any]; [N, 3, H, W] is needed",
    ),
    "no rank": (parsed("y = ReduceMean<axes = [1, 2, 3], keepdims = 0>(x)", "float[] x"), "[N, 3, H, W] is needed"),
    "one channel": (parsed(MEAN_LEVEL, "float[N, 1, H, W] x"), "its input x is [any, 1, any, any]"),
    "channels last": (parsed(MEAN_LEVEL, "float[N, H, 48, 3] x"), "export it with channels first"),
    "batch of one": (parsed(MEAN_LEVEL, "float[1, 3, H, W] x"), "1 picture at a time, no more and no less; export it"),
    "batch of four": (parsed(MEAN_LEVEL, "float[4, 3, H, W] x"), "takes 4 pictures at a time"),
    "another size": (parsed(MEAN_LEVEL, "float[N, 3, 224, 448] x"), "give --view whole:448x224"),
    "another height": (parsed(MEAN_LEVEL, "float[N, 3, 224, W] x"), "give --view whole:WIDTHx224"),
    "two numbers": (
        parsed("p = GlobalAveragePool(x) y = Flatten(p)", output="float[N, 3] y"),
        "its output y is [any, 3]; [N] or [N, 1] is needed",
    ),
    "a map": (parsed("y = Relu(x)", output="float[N, 3, H, W] y"), "[N] or [N, 1] is needed"),
    "integers": (
        parsed(MEAN_LEVEL.replace("y =", "m =") + " y = Cast<to = 7>(m)", output="int64[N] y"),
        "its output y is int64; float32 is needed",
    ),
    "opset 7": (parsed("y = GlobalAveragePool(x)", opset=7), "its opset is 7; export it with opset 8 or newer"),
    "opset of the future": (parsed(MEAN_LEVEL, opset=99), f"ONNX Runtime {onnxruntime.__version__} refuses it"),
    "unknown operator": (parsed("y = Nonesuch(x)"), "refuses it"),
    "not a number": (parsed(f"{MEAN_LEVEL.replace('y =', 'm =')} z = Sub(m, m) y = Div(z, z)"), "gives nan on photo"),
    "beyond 0 to 1": (
        parsed(f"{MEAN_LEVEL.replace('y =', 'm =')} c = Constant<value = float {{100.0}}>() y = Mul(m, c)"),
        "give its usual range, --range LOW HIGH",
    ),
    "looks at its neighbours": (
        parsed(
            f"{MEAN_LEVEL.replace('y =', 'm =')} b = ReduceMean<keepdims = 1>(m) s = Mul(m, b) "
            "c = Constant<value = float {0.5}>() y = Mul(s, c)"
        ),
        "changes with the others of its batch",
    ),
    "one number for all": (
        parsed("y = ReduceMean<keepdims = 0>(x)", output="float[N] y"),
        "gives 1 numbers for 3 pictures at once",
    ),
    "a batch of one inside": (
        parsed(
            "s = Constant<value = int64[3] {1, 3, 1536}>() r = Reshape(x, s) "
            "m = ReduceMean<axes = [1, 2], keepdims = 0>(r) y = Identity(m)",
            FIXED,
        ),
        "does not run on 3 pictures at once; export it with a dynamic batch axis",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_networks_that_cannot_be_a_measure(case, tmp_path):
    model, words = REFUSED[case]
    message = refusal(tmp_path, saved(model, tmp_path))
    assert words in message and ("net.onnx" in message or "own of a picture" in message)


def test_a_fixed_size_is_no_native_view(tmp_path):
    path = saved(parsed(MEAN_LEVEL, FIXED), tmp_path)
    assert "give --view whole:48x32" in refusal(tmp_path, path, View("native"))


def test_a_rank_that_is_not_known(tmp_path):
    model = parsed(MEAN_LEVEL)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    assert "the rank of its input x is not known" in refusal(tmp_path, saved(model, tmp_path))


def test_weights_in_another_file(network, tmp_path):
    model = onnx.load(network[1])
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    message = refusal(tmp_path, tmp_path / "net.onnx")
    assert "keeps weights in net.data; save it as one file" in message


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x08\x12"])
def test_files_that_are_no_graph(content, tmp_path):
    (tmp_path / "net.onnx").write_bytes(content)
    message = refusal(tmp_path, tmp_path / "net.onnx")
    assert "not a readable ONNX file" in message or "takes no input" in message


REFUSED_COMMANDS = [
    ({"--licence": None}, "--graph without --licence"),
    ({"--licence": " "}, "--licence is empty"),
    ({"--licence": "LICENSE.md"}, "--licence LICENSE.md: no such file"),
    ({"--measure": None}, "--graph without --measure"),
    ({"--better": None}, "--graph without --better"),
    ({"--view": None}, "--graph without --view"),
    ({"--measure": "Taste"}, "--measure Taste: a measure's name has lower case letters"),
    ({"--measure": "1st"}, "begins with a letter"),
    ({"--measure": "a_b"}, "a measure's name has"),
    ({"--measure": "filename"}, "every table has a column of that name"),
    ({"--measure": "error"}, "every table has a column of that name"),
    ({"--measure": "realness"}, "taken by CORE or DREAM"),
    ({"--view": "centre:224"}, "--view centre:224: write whole:WIDTHxHEIGHT"),
    ({"--view": "whole:0x32"}, "sides are 1 to 16384 pixels"),
    ({"--mean": "0.5"}, "--mean 0.5: write three numbers"),
    ({"--std": "1,0,1"}, "--std is above 0"),
    ({"--range": "1 0"}, "--range 1 0: give the lower number first"),
    ({"--precision": "fp16"}, "there is no fp16 of it"),
    ({"--storage": "fp16"}, "leave --storage out"),
    ({"--core": "run"}, "leave --core and --clip out"),
    ({"--terms": __file__}, "say its terms with --licence, and leave --terms out"),
]


def run_in_process(arguments: list[str]) -> tuple[int, str]:
    """`python -m export` without a process of its own: exit status and stderr."""
    from contextlib import redirect_stderr
    from io import StringIO
    from unittest.mock import patch

    from export.__main__ import main

    errors = StringIO()
    with patch.object(sys, "argv", ["export", *arguments]), redirect_stderr(errors):
        try:
            main()
        except SystemExit as exit:
            return int(exit.code or 0), errors.getvalue()
    return 0, errors.getvalue()


@pytest.mark.parametrize(("changes", "words"), REFUSED_COMMANDS, ids=lambda value: str(value))
def test_commands_that_are_refused(changes, words, tmp_path):
    path = saved(parsed(MEAN_LEVEL), tmp_path)
    options = {"--graph": str(path), "--output": str(tmp_path / "b"), **COMMAND, **changes}
    arguments = [
        word
        for name, value in options.items()
        if value is not None
        for word in (name, *(value.split() if name == "--range" else [value]))
    ]
    status, errors = run_in_process(arguments)
    assert status == 2 and len(errors.strip().splitlines()) == 1 and errors.startswith("error: "), errors
    assert words in errors
    assert not (tmp_path / "b").exists()


def test_options_of_a_network_need_one():
    status, errors = run_in_process(["--core", "run", "--measure", "own", "--output", "nowhere"])
    assert status == 2 and "--measure without --graph" in errors
