"""The preset "fast" of the C++ host: the windows that the Python engine encodes, and the values between them."""

from __future__ import annotations

import json
import subprocess

import cpp_host
import numpy as np
import pytest
from bundles import build_bundle
from cpp_host import run
from PIL import Image

from realm_engine.engine import Engine
from realm_engine.maps.adaptive import adaptive_similarities
from realm_engine.maps.realness_map import choose_config

release = cpp_host.release


def field(rows: int, cols: int, texts: int, seed: int) -> np.ndarray:
    """Smooth hills with a sharp one on them, float32 (rows * cols, texts)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :cols]
    found = []
    for _ in range(texts):
        hills = sum(
            np.exp(-((y - rng.uniform(0, rows)) ** 2 + (x - rng.uniform(0, cols)) ** 2) / rng.uniform(2, 90))
            for _ in range(5)
        )
        found.append(hills + 0.01 * y - 0.02 * x)
    return np.stack(found, axis=-1).reshape(rows * cols, texts).astype(np.float32)


@pytest.mark.parametrize(
    ("rows", "cols", "texts", "fraction", "overlap"),
    [
        (41, 57, 1, 0.2, 8.0),
        (30, 30, 3, 0.05, 32.0),
        (1, 90, 2, 0.3, 8.0),
        (70, 1, 1, 0.5, 2.5),
        (4, 5, 2, 0.2, 8.0),
    ],
)
def test_the_windows_and_values_of_the_python_engine(release, rows, cols, texts, fraction, overlap) -> None:
    similarities = field(rows, cols, texts, seed=rows * cols)
    asked: list[list[int]] = []

    def encode(indices):
        asked.append(indices.tolist())
        return similarities[indices]

    wanted, _ = adaptive_similarities(rows, cols, fraction, encode, overlap)
    case = {
        "rows": rows,
        "cols": cols,
        "fraction": fraction,
        "overlap": overlap,
        "similarities": similarities.tolist(),
    }
    done = subprocess.run(
        [str(release / "probe"), "adaptive"],
        input=json.dumps(case),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["asked"] == asked
    np.testing.assert_allclose(np.reshape(found["similarities"], wanted.shape), wanted, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    "arguments", [(), ("--stride", "4"), ("--window", "24", "--window", "16", "--stride", "2")]
)
def test_a_map_is_the_python_engines(release, tmp_path, photo, arguments) -> None:
    folder = build_bundle(tmp_path / "bundle")
    image = photo(96, 128)
    Image.fromarray(image).save(tmp_path / "image.png")
    command = [
        "map",
        tmp_path / "image.png",
        "--bundle",
        folder,
        "--preset",
        "fast",
        "--text",
        "the face is melted",
    ]
    done = run(release / "realm_host", *command, *arguments, "--output", tmp_path / "maps")
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "maps/image.json").read_text(encoding="utf-8"))
    windows = [int(arguments[at + 1]) for at, each in enumerate(arguments) if each == "--window"]
    stride = int(arguments[arguments.index("--stride") + 1]) if "--stride" in arguments else None
    with Engine.open(folder, device="cpu", threads=1) as engine:
        config = choose_config(engine.presets(), "fast", windows, stride)
        expected = engine.map(image, ["the face is melted"], config)
    assert expected.windows < expected.windows_of_grid
    assert (facts["preset"], facts["window_count"], facts["windows_of_grid"]) == (
        expected.preset,
        expected.windows,
        expected.windows_of_grid,
    )
    values = np.load(tmp_path / "maps/image.npy")
    np.testing.assert_allclose(values, expected.values, rtol=0, atol=1e-4, equal_nan=True)


def test_in_one_pass_all_windows_are_taken(release, tmp_path) -> None:
    picture = cpp_host.SAMPLES / "coffee.jpg"
    for preset in ("fast", "released"):
        command = ["map", picture, "--bundle", cpp_host.TINY, "--preset", preset, "--text", "blurry"]
        done = run(release / "realm_host", *command, "--output", tmp_path / preset)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "fast/coffee.npy").read_bytes() == (tmp_path / "released/coffee.npy").read_bytes()
