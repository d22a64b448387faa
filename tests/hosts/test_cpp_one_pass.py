"""One pass of DREAM in the C++ host: the Python engine's maps, the trunk run once, and what is refused in its words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cpp_host
import numpy as np
import onnx
import pytest
from bundles import read_manifest, write_manifest
from cpp_host import errors, run
from one_pass_bundle import build_one_pass_bundle
from PIL import Image

from realm_engine import DreamConfig, Engine, RealnessMap
from realm_engine.errors import BundleError

release, asan, corner = cpp_host.release, cpp_host.asan, cpp_host.corner

TEXTS = ["yes the face", "a doubled hand"]
Facts = dict[str, Any]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return build_one_pass_bundle(tmp_path_factory.mktemp("one-pass") / "bundle")


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """A bundle that has no graph `dream`."""
    return build_one_pass_bundle(tmp_path_factory.mktemp("alone") / "bundle", each_window=False)


def mapped(
    release: Path, bundle: Path, image: np.ndarray, folder: Path, *more: object
) -> tuple[np.ndarray, Facts]:
    Image.fromarray(image).save(folder / "picture.png")
    arguments = [folder / "picture.png", "--bundle", bundle, "--output", folder / "maps", *more]
    done = run(release / "realm_host", "map", *arguments)
    assert done.returncode == 0, done.stderr
    stem = folder / "maps" / "picture"
    return np.load(f"{stem}.npy"), json.loads(Path(f"{stem}.json").read_text(encoding="utf-8"))


def assert_same(found: tuple[np.ndarray, Facts], expected: RealnessMap) -> None:
    values, facts = found
    np.testing.assert_allclose(values, expected.values, atol=1e-4)
    assert (facts["preset"], facts["encoder"]) == (expected.preset, expected.encoder)
    assert facts["window_count"] == expected.windows_of_grid and facts["texts"] == list(expected.texts)
    for ours, phrase in zip(facts["phrases"], expected.phrases, strict=True):
        assert ours["text"] == phrase.text and ours["z_score"] == pytest.approx(phrase.z_score, abs=2e-3)


@pytest.mark.parametrize(
    ("height", "width", "config"),
    [
        (64, 80, DreamConfig((24,), 8)),  # whole cells, on their edges
        (61, 83, DreamConfig((24, 16), 5)),
        (30, 100, DreamConfig((30, 9), 7, "max")),
        (17, 17, DreamConfig((17,), 8)),
        (40, 300, DreamConfig((16,), 1, quantity="similarity")),
        (150, 150, DreamConfig((4,), 1)),  # more windows than one call pools
    ],
)
def test_maps_equal_the_python_engine(release, bundle, photo, tmp_path, height, width, config) -> None:
    image = photo(height, width, seed=height)
    more = ["--stride", config.stride_px, "--aggregate", config.aggregate, "--quantity", config.quantity]
    more += [word for window in config.windows_px for word in ("--window", window)]
    more += [word for text in TEXTS for word in ("--text", text)]
    with Engine.open(bundle, device="cpu", threads=1) as engine:
        assert_same(mapped(release, bundle, image, tmp_path, *more), engine.map(image, TEXTS, config))


@pytest.mark.parametrize("encoder", ["auto", "each-window", "one-pass"])
@pytest.mark.parametrize("recommended", ["one-pass", "each-window"])
def test_presets_and_the_encoder_that_is_asked_for(release, photo, tmp_path, encoder, recommended) -> None:
    """With a text, and with phrases: those are chosen by the recommended encoder unless another is asked for."""
    bundle = build_one_pass_bundle(tmp_path / "bundle", recommended=recommended)
    image = photo(140, 150)
    seen = set()
    with Engine.open(bundle, device="cpu", threads=1, encoder=encoder) as engine:
        for name in ("released", "paper", "tiny"):
            config = engine.presets()[name]
            for texts in (TEXTS[:1], []):
                more = ["--preset", name, "--encoder", encoder, *(["--text", texts[0]] if texts else [])]
                found = mapped(release, bundle, image, tmp_path, *more)
                assert_same(found, engine.map(image, texts or None, config))
                seen.add((name, found[1]["preset"], found[1]["encoder"]))
    used = {"released": recommended, "paper": "each-window", "tiny": recommended}
    assert seen == {(name, name, own if encoder == "auto" else encoder) for name, own in used.items()}


def test_windows_of_a_preset_with_another_encoder_are_not_that_preset(
    release, bundle, photo, tmp_path
) -> None:
    more = [
        "--text",
        "x",
        "--window",
        128,
        "--window",
        64,
        "--window",
        32,
        "--stride",
        4,
        "--aggregate",
        "max",
    ]
    for encoder, preset in (("auto", "custom"), ("one-pass", "paper")):
        _, facts = mapped(release, bundle, photo(140, 150), tmp_path, *more, "--encoder", encoder)
        assert (facts["preset"], facts["encoder"]) == (preset, "one-pass")


def test_a_preset_without_an_encoder_takes_the_first_that_is_there(release, photo, tmp_path) -> None:
    for each_window, expected in ((True, "each-window"), (False, "one-pass")):
        folder = build_one_pass_bundle(tmp_path / expected, each_window=each_window)
        manifest = read_manifest(folder)
        for preset in manifest["dream"]["presets"].values():
            del preset["encoder"]
        write_manifest(folder, manifest)
        _, facts = mapped(release, folder, photo(70, 90), tmp_path, "--text", "x")
        assert facts["encoder"] == expected


def test_a_bundle_without_each_window(release, alone, photo, tmp_path) -> None:
    image = photo(70, 90)
    with Engine.open(alone, device="cpu", threads=1) as engine:
        expected = engine.map(image, TEXTS)
        phrases = engine.map(image)
    more = [word for text in TEXTS for word in ("--text", text)]
    assert_same(mapped(release, alone, image, tmp_path, *more), expected)
    assert_same(mapped(release, alone, image, tmp_path), phrases)


def test_a_bundle_without_one_pass_says_what_encoded_its_windows(
    release, bundle_path, photo, tmp_path
) -> None:
    for encoder in ("auto", "each-window"):
        _, facts = mapped(release, bundle_path, photo(70, 90), tmp_path, "--text", "x", "--encoder", encoder)
        assert (facts["preset"], facts["encoder"]) == ("released", "each-window")


# ---------------------------------------------------------------- how often, and over what, the trunk runs


@pytest.fixture(scope="module")
def rolling(tmp_path_factory) -> Path:
    """A bundle whose trunk gives every run other stages, the same in all cells: a map is then one number per run."""
    folder = build_one_pass_bundle(tmp_path_factory.mktemp("rolling") / "bundle", each_window=False)
    model = onnx.load(folder / "trunk.onnx")
    for index, channels in enumerate((6, 7)):
        stage = f"stage_{index + 1}"
        (last,) = (node for node in model.graph.node if stage in node.output)
        last.output[0] = f"seen_{index}"
        model.graph.node.extend(
            [
                onnx.helper.make_node("Mul", [f"seen_{index}", "nothing"], [f"none_{index}"]),
                onnx.helper.make_node("RandomNormal", [], [f"drawn_{index}"], shape=[channels, 1, 1]),
                onnx.helper.make_node("Add", [f"none_{index}", f"drawn_{index}"], [stage]),
            ]
        )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0), "nothing"))
    onnx.save(model, folder / "trunk.onnx")
    manifest = read_manifest(folder)
    manifest["maps"] = {"phrases": {"most": 1, "margin_z": 1.0, "percentile": 95.0}}
    write_manifest(folder, manifest)
    return folder


def test_the_trunk_runs_once_for_all_texts_sizes_and_phrases(release, rolling, photo, tmp_path) -> None:
    image = photo(60, 84)
    sizes = ["--window", 24, "--window", 16, "--stride", 4]
    several, _ = mapped(release, rolling, image, tmp_path, *sizes, "--text", TEXTS[0], "--text", TEXTS[1])
    assert np.ptp(several) < 1e-5
    values, facts = mapped(release, rolling, image, tmp_path, *sizes)
    (phrase,) = facts["phrases"]
    (known,) = (
        entry
        for entry in json.loads((rolling / "phrases.json").read_text(encoding="utf-8"))["phrases"]
        if entry["text"] == phrase["text"]
    )
    assert np.ptp(values) < 1e-5
    assert (1 - values[0, 0] - known["mean"]) / known["std"] == pytest.approx(phrase["z_score"], abs=2e-3)


def test_pictures_have_runs_of_their_own(release, rolling, photo, tmp_path) -> None:
    for name in ("one", "two"):
        Image.fromarray(photo(60, 84)).save(tmp_path / f"{name}.png")
    arguments = [tmp_path, "--bundle", rolling, "--text", "x", "--window", 24, "--output", tmp_path / "maps"]
    assert run(release / "realm_host", "map", *arguments).returncode == 0
    one, two = (np.load(tmp_path / "maps" / f"{name}.npy") for name in ("one", "two"))
    assert abs(one[0, 0] - two[0, 0]) > 1e-4


HEIGHT, WIDTH = 300, 4000
ROW_MB = 3 * WIDTH * 4 * 40 / 2**20  # of one pass, in the model of memory that the limit goes by
PICTURE_MB = HEIGHT * WIDTH * 64 / 2**20


def limit_of(release: Path, bundle: Path, picture: Path, rows: int) -> str:
    """A --max-memory that leaves room for about so many rows of the picture."""
    done = run(
        release / "realm_host", "map", picture, "--bundle", bundle, "--text", "x", "--max-memory", "1M"
    )
    (held,) = re.findall(r"take (\d+)M; give at least", done.stderr)
    return f"{int(held) + PICTURE_MB + rows * ROW_MB:.0f}M"


def test_bands_give_what_the_whole_gives(release, bundle, rolling, photo, tmp_path) -> None:
    image = photo(HEIGHT, WIDTH)
    more = ["--text", TEXTS[0], "--window", 24, "--stride", 8, "--threads", 1]
    whole, _ = mapped(release, bundle, image, tmp_path, *more)
    limit = limit_of(release, bundle, tmp_path / "picture.png", rows=100)
    bands, _ = mapped(release, bundle, image, tmp_path, *more, "--max-memory", limit)
    np.testing.assert_allclose(bands, whole, atol=1e-6)
    drawn, _ = mapped(release, rolling, image, tmp_path, *more, "--max-memory", limit)
    assert np.ptp(drawn[np.isfinite(drawn)]) > 1e-4  # there were several


def test_memory_that_does_not_hold_a_band_is_refused(release, bundle, photo, tmp_path) -> None:
    picture = tmp_path / "picture.png"
    Image.fromarray(photo(HEIGHT, WIDTH)).save(picture)
    limit = limit_of(release, bundle, picture, rows=12)
    arguments = [
        picture,
        "--bundle",
        bundle,
        "--text",
        "x",
        "--output",
        tmp_path / "maps",
        "--max-memory",
        limit,
    ]
    done = run(release / "realm_host", "map", *arguments)
    assert done.returncode == 1
    assert errors(done.stderr) == [
        f"error: {picture}: --max-memory {limit} is too little for a map of {WIDTH} x {HEIGHT} pixels in one pass; "
        "give more, or smaller pictures"
    ]


def test_no_sanitizer_report(asan, bundle, photo, tmp_path) -> None:
    picture = tmp_path / "picture.png"
    Image.fromarray(photo(HEIGHT, WIDTH)).save(picture)
    limit = limit_of(asan, bundle, picture, rows=100)
    mapped(asan, bundle, photo(HEIGHT, WIDTH), tmp_path, "--text", "x", "--window", 24, "--max-memory", limit)
    mapped(asan, bundle, photo(131, 140), tmp_path)
    done = run(asan / "probe", "threads", bundle, tmp_path / "picture.png", "the face is melted")
    assert done.returncode == 0 and "equal" in done.stdout, done.stdout + done.stderr[-3000:]


# ---------------------------------------------------------------- what is refused


def test_an_encoder_that_is_not_there(release, bundle, bundle_path, alone, corner, monkeypatch) -> None:
    monkeypatch.chdir(corner)
    for folder, encoder, message in (
        (bundle_path, "one-pass", "test-bundle: its maps cannot be made by one-pass, only by each-window"),
        (alone, "each-window", "test-bundle: its maps cannot be made by each-window, only by one-pass"),
        (bundle, "two-pass", "--encoder: two-pass not in {auto,each-window,one-pass}; see --help"),
    ):
        more = ["--text", "x", "--bundle", folder, "--encoder", encoder]
        done = run(release / "realm_host", "map", "good.png", *more)
        assert (done.returncode, done.stderr) == (2, f"error: {message}\n")


def _change(where: str, value: object) -> Any:
    def change(manifest: Facts) -> None:
        *path, last = where.split(".")
        section = manifest
        for key in path:
            section = section[key]
        if value is None:
            del section[last]
        else:
            section[last] = value

    return change


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("dream.one_pass", None),
        ("dream.one_pass", 3),
        ("dream.one_pass.cells_px", [4, 6]),
        ("dream.one_pass.cells_px", []),
        ("dream.one_pass.cells_px", None),
        ("dream.one_pass.halo_px", 12),
        ("dream.one_pass.halo_px", 0),
        ("dream.one_pass.halo_px", 1 << 15),
        ("dream.presets.tiny.encoder", "two-pass"),
        ("dream.presets.tiny.encoder", 7),
        ("graphs.windows", None),  # presets then ask for what is not there
    ],
)
def test_wrong_manifests_are_refused_in_the_python_engines_words(
    release, corner, where, value, tmp_path_factory
) -> None:
    folder = build_one_pass_bundle(tmp_path_factory.mktemp("wrong") / "bundle")
    manifest = read_manifest(folder)
    _change(where, value)(manifest)
    write_manifest(folder, manifest)
    with pytest.raises(BundleError) as refused:
        Engine.open(folder, device="cpu")
    done = run(release / "realm_host", "map", corner / "good.png", "--text", "x", "--bundle", folder)
    assert (done.returncode, done.stderr) == (2, f"error: {refused.value}\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_change("dream.one_pass.cells_px", [8]), "trunk.onnx: its output 'stage_1' is of shape (6, 18, 24)"),
        (
            _change("dream.one_pass", {"cells_px": [4, 8, 16], "halo_px": 16}),
            "its output 'stage_1' is of shape",
        ),
        (_change("graphs.trunk.outputs", []), "trunk.onnx: ONNX Runtime failed"),
        (lambda manifest: manifest["graphs"]["trunk"]["outputs"].pop(), "windows.onnx: ONNX Runtime failed"),
        (
            lambda manifest: manifest["graphs"].update(trunk=manifest["graphs"]["windows"]),
            "windows.onnx: ONNX Runtime failed",
        ),
    ],
)
def test_graphs_that_are_not_as_the_manifest_says(release, corner, tmp_path, change, message) -> None:
    folder = build_one_pass_bundle(tmp_path / "bundle")
    manifest = read_manifest(folder)
    change(manifest)
    write_manifest(folder, manifest)
    more = ["--text", "x", "--bundle", folder, "--window", 24, "--output", tmp_path / "maps"]
    done = run(release / "realm_host", "map", corner / "good.png", *more)
    (line,) = errors(done.stderr)
    assert done.returncode == 1 and message in line


def test_stages_are_told_by_name(release, bundle, photo, tmp_path) -> None:
    folder = build_one_pass_bundle(tmp_path / "bundle")
    manifest = read_manifest(folder)
    manifest["graphs"]["trunk"]["outputs"].reverse()
    write_manifest(folder, manifest)
    one, two = (mapped(release, each, photo(70, 90), tmp_path, "--text", "x")[0] for each in (bundle, folder))
    np.testing.assert_array_equal(one, two)
