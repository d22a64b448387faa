"""JSON, Markdown and picture of the benchmarks on books made by hand."""

from __future__ import annotations

import json
import math

import pytest

from benchmarks import names
from benchmarks.accuracy import compare_maps, compare_scores
from benchmarks.engines import specs
from benchmarks.plots import draw
from benchmarks.report import duration, markdown, number, render
from benchmarks.results import Book, Case, Row, Table, clean
from benchmarks.settings import CACHE, Settings

MAP = {"pearson": 0.9999, "spearman": 0.999, "max_abs_diff": 0.001}
MOS = {"srocc": 0.999, "mos_max_abs_diff": 0.002, "mos_mean_abs_diff": 0.001}
MACHINE = {
    "cpu": "a processor",
    "cores_usable": 2,
    "cores_present": 4,
    "gpu": None,
    "flags": ["avx2"],
    "packages": {"onnxruntime": "1.2.3"},
    "peaks": {"fp32": 300.4, "int8": 900.0},
}


def rows(published: list[float], accuracy: dict, units: int = 165) -> list[Row]:
    """Contenders whose engine rows are 2 (fp32), 10 (bf16) and 20 (int8) times as fast as the published loop."""

    def scaled(factor: float) -> list[float]:
        return [value / factor for value in published]

    return [
        Row("published fp32", "published", "cpu", "fp32", "1 per forward", 33, published, accuracy),
        Row("eager fp32", "eager", "cpu", "fp32", "", units, scaled(1.6), accuracy),
        Row("eager bf16", "eager", "cpu", "bf16", "", units, scaled(4), accuracy),
        Row("eager bf16, forward alone", "eager", "cpu", "bf16", "", units, scaled(5), {}),
        Row("engine openvino int8", "engine", "openvino", "int8", "", units, scaled(20), accuracy),
        Row("engine openvino fp32", "engine", "openvino", "fp32", "", units, scaled(2), accuracy),
        Row("engine openvino bf16", "engine", "openvino", "bf16", "", units, scaled(10), accuracy),
        Row("engine cpu bf16", "engine", "cpu", "bf16", error="no bf16 variant"),
    ]


def book() -> Book:
    case = Case("dream", "vitb32", "ViT-B/32", 165, rows([20.0, 22.0], MAP))
    case.gflop_per_unit, case.peak_gflops = 8.8, {"fp32": 300.0, "bf16": 1000.0}
    core = Case("core", "resnet-bert", "ResNet", 64, rows([30.0, 33.0], MOS, 64))
    large = Case("dream", "vitb32", "ViT-B/32", 2337, rows([300.0, 320.0], MAP, 2337)[:1])
    settings = {"threads": 2, "command": "python -m benchmarks dream", "date": "2030-01-02"}
    return Book(dict(MACHINE), settings, [case, large, core])


def tables() -> list[Table]:
    """The tables of the suites besides dream and core, with the columns that those suites write."""
    nothing = [math.nan] * 5
    return [
        Table("fast", names.CURVE, [
            *("method", "setting", "share", "pearson_median", "pearson_min", "spearman_median"),
            *("spearman_min", "max_abs_diff", "speedup", "images"),
        ], [
            ["full grid", 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 7],
            ["fraction", 0.5, 0.5002, 0.999, 0.998, 0.99, 0.98, 0.012, 2.0, 7],
            ["fraction", 0.2, 0.2, 0.995, 0.99, 0.99, 0.98, 0.1, 4.1, 7],
            ["preset fast", 0.2, 0.2, 0.995, 0.9899, 0.99, 0.98, 0.1, 4.2, 7],
            ["coarser stride", 16.0, 0.2598, 0.991, 0.98, 0.99, 0.98, 0.05, 3.8, 7],
        ]),
        Table("startup", names.COMMANDS, [
            *("command", "device", "precision", "runs", "median_s", "low_s", "high_s", "peak_memory_mb"),
        ], [["map, 2337 windows", "cpu", "fp32", 3, 2.0, 1.9, 2.1, 243.9]]),
        Table("startup", names.PROCESSES, [
            *("model", "pass", "contender", "ready_s", "first_s", "build_s", "second_s", "peak_memory_mb", "note"),
        ], [
            ["realm-tiny", "48 windows", "published fp32", 7.0, 0.5, 0.0, 0.5, 967.1, ""],
            ["realm-tiny", "48 windows", "engine cpu fp32", 0.2, 0.05, 0.01, 0.04, 227.4, "90 MB on the GPU"],
            ["realm-tiny", "48 windows", "engine openvino bf16", *nothing, "no such units"],
        ]),
        Table("sizes", names.SIZES, [
            *("side_px", "device", "precision", "windows", "map_s", "windows_per_s", "score_s", "note"),
        ], [
            [256, "cpu", "fp32", 49, 0.0384, 1276.0, 0.033, ""],
            [4096, "cpu", "fp32", 16129, math.nan, math.nan, 0.7, "out of memory"],
        ]),
        Table("hosts", names.HOSTS, [
            *("work", "rounds", "python_s", "cpp_s", "ratio", "ratio_low", "ratio_high"),
        ], [["one score", 5, 0.6047, 0.2527, 2.338, 1.838, 2.964]]),
    ]  # fmt: skip


def answers(text: str) -> dict[str, list[str]]:
    """Lines of a report by heading."""
    parts = [part.splitlines() for part in text.split("## ")[1:]]
    return {lines[0]: [line for line in lines[1:] if line] for lines in parts}


def test_accuracy():
    same = compare_maps([[1.0, 2.0], [3.0, 5.0]], [[1.0, 2.0], [3.0, 5.0]])
    assert same == pytest.approx({"pearson": 1, "spearman": 1, "max_abs_diff": 0})
    turned = compare_scores([1.0, 2.0, 3.0], [3.0, 2.0, 1.0])
    assert turned == pytest.approx({"srocc": -1, "mos_max_abs_diff": 2, "mos_mean_abs_diff": 4 / 3})


def test_json_holds_samples_statistics_and_no_folders(tmp_path):
    found = book()
    found.fail("core, tiny", "no such file: /srv/somebody/data/run/config.json")
    found.cases[0].rows[0].accuracy["srocc"] = float("nan")
    found.save(tmp_path / "results.json")
    text = (tmp_path / "results.json").read_text(encoding="utf-8")
    data = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    row = data["cases"][0]["rows"][6]
    assert row["seconds"] == [2.0, 2.2]
    assert row["statistics"]["p50_s"] == pytest.approx(2.1)
    assert row["statistics"]["windows_per_s"] == pytest.approx(165 / 2.1)
    assert row["statistics"]["fraction_of_peak"] == pytest.approx(165 / 2.1 * 8.8 / 1000)
    assert row["statistics"]["speedup"]["against eager bf16"]["median"] == pytest.approx(2.5)
    assert data["cases"][0]["rows"][0]["statistics"]["extrapolated"]
    assert data["failures"] == ["core, tiny: no such file: config.json"]
    assert "somebody" not in text


def test_a_report_says_machine_versions_command_and_date():
    text = render(book())
    for fact in (
        *("a processor", "2 cores usable (4 present)", "avx2", "onnxruntime 1.2.3", "GPU: none"),
        *("300 GFLOP/s in fp32, 900 GOP/s in int8", "`python -m benchmarks dream`, 2030-01-02, 2 threads"),
    ):
        assert fact in text[: text.index("## ")]


def test_contenders_are_rows_and_every_case_of_a_model_is_a_column():
    table = answers(render(book()))["How fast is a map of a 512 x 384 picture?"]
    assert table == [
        "| contender | ViT-B/32, 165 windows | ViT-B/32, 2337 windows | ViT-B/32: Pearson, largest difference |",
        "| --- | --- | --- | --- |",
        "| published fp32 | 21.0 s* | 310 s* | 0.9999, 0.001 |",  # 33 windows stand for 165 and 2337
        "| eager fp32 | 13.1 s (1.60 x) | - | 0.9999, 0.001 |",
        "| eager bf16 | 5.25 s (4.00 x) | - | 0.9999, 0.001 |",
        "| engine openvino fp32 | 10.5 s (2.00 x) | - | 0.9999, 0.001 |",
        "| engine openvino bf16 | 2.10 s (10.00 x) | - | 0.9999, 0.001 |",
        "| engine openvino int8 | 1.05 s (20.00 x) | - | 0.9999, 0.001 |",
    ]  # a bound (forward alone) is no contender, and what has no time has no row


def test_scores_and_what_varies_between_calls_of_the_engine():
    found = book()
    batches = [
        Row(f"engine cpu fp32, batches of {n}", "engine", "cpu", "fp32", "", 32, [16.0 / n]) for n in (1, 8)
    ]
    found.cases.append(Case("core", "resnet-bert", "ResNet", 32, batches, variation="batch size"))
    found.cases[2].note = " Accuracy is against eager fp32: no weights."
    lines = answers(render(found))["How fast are scores of 512 x 384 pictures with a text?"]
    assert lines[0] == "| contender | ResNet, 64 images | ResNet: SROCC, largest difference of MOS |"
    assert "| engine openvino bf16 | 3.15 s (10.00 x) | 0.999, 0.002 |" in lines
    assert lines[-1] == (
        "Accuracy is against eager fp32: no weights. "
        "ResNet, 32 images, engine cpu fp32, images/s by batch size: 1: 2; 8: 16."
    )


def test_the_other_questions():
    found = book()
    found.tables += tables()
    found.fail("core, tiny", "no weights")
    found.cases[1].rows.append(Row("eager fp32", "eager", "cpu", "fp32", error="MemoryError: no room"))
    lines = answers(render(found))
    assert lines["What does a larger picture cost? (64 px windows, stride 32)"] == [
        "|  | 256 px, 49 windows | 4096 px, 16129 windows |",
        "| --- | --- | --- |",
        "| map, cpu fp32 | 38.4 ms | - |",
        "| score, cpu fp32 | 33.0 ms | 700 ms |",
    ]
    curve = "What do fewer of the 64 px windows at stride 8 save and lose? ([curve](fast-curve.png))"
    assert lines[curve] == [
        "| median of 7 images | `fast`: 20% | 50% | stride 16: 26% |",
        "| --- | --- | --- | --- |",
        "| times as fast | 4.2 | 2 | 3.8 |",
        "| Pearson | 0.995 | 0.999 | 0.991 |",
        "| Pearson, worst image | 0.9899 | 0.998 | 0.98 |",
        "| largest difference of a pixel | 0.1 | 0.012 | 0.05 |",
    ]
    first = "How long until the first answer of a new process, and how much memory does it take?"
    assert lines[first] == [
        "|  | published fp32 | engine cpu fp32 |",
        "| --- | --- | --- |",
        "| `realm-engine map`, 2337 windows | - | 2.00 s, 244 MB |",
        "| realm-tiny, 48 windows | 7.50 s, 967 MB | 250 ms, 227 MB, 90 MB on the GPU |",
    ]
    assert lines["How fast is the C++ host?"][2:] == [
        "| one score | 605 ms | 253 ms | 2.34 x (1.84 .. 2.96) | 5 |"
    ]
    assert lines["What could not be measured, and why?"] == [
        "* core, tiny: no weights",
        "* ViT-B/32, engine cpu bf16: no bf16 variant",
        "* ViT-B/32, eager fp32: MemoryError: no room",  # it has a time on fewer windows
        "* ResNet, engine cpu bf16: no bf16 variant",
        "* realm-tiny, 48 windows, engine openvino bf16: no such units",
        "* 4096 px on cpu: out of memory",
    ]


def test_what_was_not_asked_has_no_heading():
    assert list(answers(render(Book(dict(MACHINE), {}, [book().cases[2]])))) == [
        "How fast are scores of 512 x 384 pictures with a text?",
        "What could not be measured, and why?",
    ]


def test_the_report_of_everything_fits_in_80_lines():
    """All models on a machine with a GPU, every suite, with every contender that a run can have."""
    devices = ("cpu", "openvino", "cuda")
    settings = Settings((), (), (), devices, False, CACHE, 2, 0, 3)
    contenders = specs(settings, ("fp32", "fp16", "int8"), compiled=True)
    assert len(contenders) == 11
    accuracy = {**MAP, **MOS}
    found = book()
    found.cases, found.tables = [], tables()
    for suite, models, counts in (
        ("dream", ("tiny", "vitb32", "vitb16", "vitl14"), (165, 2337, 26227)),
        ("core", ("tiny", "resnet-bert"), (1, 8, 64, 256)),
    ):
        for model in models:
            for units in counts:
                measured = [
                    Row(spec.key, spec.family, spec.device, spec.precision, "", units, [1.0, 2.0], accuracy)
                    for spec in contenders
                ]
                found.cases.append(Case(suite, model, model, units, measured))
        found.cases.append(Case(suite, "tiny", "tiny", 32, measured[-1:], variation="batch size"))
    sizes, hosts = (next(t for t in found.tables if t.name == name) for name in (names.SIZES, names.HOSTS))
    sizes.rows[:] = [
        [side, device, "fp32", side, 1.0, 1.0, 1.0, ""] for side in (256, 4096) for device in devices
    ]
    hosts.rows *= 6
    processes = next(t for t in found.tables if t.name == names.PROCESSES)
    processes.rows[:] = [
        [model, f"{units} windows", spec.key, *[1.0] * 5, ""]
        for spec in contenders
        for model, units in (("a", 48), ("a", 2337), ("a", 26227), ("a", 8), ("b", 48), ("c", 8))
    ]
    text = render(found)
    assert text.count("\n## ") == 6
    assert len(text.splitlines()) <= 80


@pytest.mark.parametrize(
    ("devices", "files", "engines"),
    [
        (("cpu",), ("fp32",), ["cpu fp32"]),
        (("cpu", "openvino"), ("fp32", "fp16", "int8"), [
            *("cpu fp32", "cpu int8", "openvino fp32", "openvino bf16", "openvino int8"),
        ]),
        (("cuda",), ("fp32", "fp16"), ["cuda fp32", "cuda fp16"]),
    ],
)  # fmt: skip
def test_the_engine_competes_in_what_its_bundle_or_runtime_has(devices, files, engines):
    found = specs(Settings((), (), (), devices, True, CACHE, 1, 0, 1), files, compiled=False)
    assert [spec.key for spec in found if spec.family == "engine"] == [f"engine {name}" for name in engines]
    half = "fp16" if "cuda" in devices else "bf16"
    assert [spec.key for spec in found[:3]] == ["published fp32", "eager fp32", f"eager {half}"]


def test_markdown_cells_cannot_break_a_table():
    assert markdown(["a", "b"], [["1", "x|y"]]) == ["| a | b |", "| --- | --- |", "| 1 | x/y |"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (12345.6, "12346"), (0.00012, "1.2e-04"), (0.98765, "0.9877"), (float("nan"), "")],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0.01234, "12.3 ms"), (0.098, "98.0 ms"), (0.9994, "999 ms"), (0.99951, "1.00 s"), (1.4, "1.40 s")),
        *((99.94, "99.9 s"), (99.96, "100 s"), (2860.4, "2860 s"), (float("nan"), "")),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_clean():
    assert clean("cannot read /tmp/a-b/c.d/file.onnx: gone") == "cannot read file.onnx: gone"
    assert clean("2 windows/s and/or 3") == "2 windows/s and/or 3"


def test_the_picture_is_drawn_where_its_table_is(tmp_path):
    found = book()
    draw(found, tmp_path)
    assert list(tmp_path.iterdir()) == []
    found.tables += tables()
    draw(found, tmp_path)
    (picture,) = tmp_path.iterdir()
    assert picture.name == "fast-curve.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
