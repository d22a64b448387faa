"""The scale of maps in the C++ host: z-scores, regions and colours of the Python engine, and its words for faults."""

from __future__ import annotations

import json
from pathlib import Path

import cpp_host
import numpy as np
import pytest
from bundles import read_manifest, write_manifest
from cpp_host import run
from one_pass_bundle import build_one_pass_bundle
from photographs_bundle import add_photographs
from PIL import Image

from realm_engine import Engine
from realm_engine.errors import BundleError
from realm_engine.maps.files import colour_limits, map_record

release, corner = cpp_host.release, cpp_host.corner

WINDOWS = (16, 24, 64)
TEXTS = ["yes the face", "a doubled hand"]
MIDDLE = 1.6  # some places of the picture are above, others below
THRESHOLDS = {
    "tiny": {"text": 1e6, "phrases": MIDDLE},
    "released": {"text": 1e-6},
    "paper": {"text": 1e-6},
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = build_one_pass_bundle(tmp_path_factory.mktemp("scale") / "bundle")
    return add_photographs(folder, WINDOWS, "one-pass", THRESHOLDS)


def mapped(release: Path, bundle: Path, image: np.ndarray, folder: Path, *more: object) -> tuple[dict, str]:
    Image.fromarray(image).save(folder / "picture.png")
    arguments = [folder / "picture.png", "--bundle", bundle, "--output", folder / "maps", *more]
    done = run(release / "realm_host", "map", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "maps" / "picture.json").read_text(encoding="utf-8")), done.stderr


@pytest.mark.parametrize("quantity", ["realness", "similarity"])
@pytest.mark.parametrize("texts", [TEXTS[:1], TEXTS, []])
@pytest.mark.parametrize("preset", ["tiny", "released", "paper"])
def test_scales_equal_the_python_engine(release, bundle, photo, tmp_path, preset, texts, quantity) -> None:
    image = photo(140, 150)
    more = [
        "--preset",
        preset,
        "--quantity",
        quantity,
        *(word for text in texts for word in ("--text", text)),
    ]
    facts, said = mapped(release, bundle, image, tmp_path, *more)
    with Engine.open(bundle, device="cpu", threads=1) as engine:
        found = engine.map(image, texts or None, engine.presets()[preset].with_quantity(quantity))
    expected = map_record(found, colour_limits(found))
    if expected["photographs"] is None:
        assert preset == "paper" and facts["photographs"] is None
    else:
        assert facts["photographs"] == pytest.approx(expected["photographs"], abs=2e-3)
        assert facts["photographs"]["stands_out"] is expected["photographs"]["stands_out"]
    assert facts["colour_limits"] == pytest.approx(expected["colour_limits"], rel=1e-5, abs=1e-3)
    boxes = [[region[side] for side in ("x", "y", "width", "height")] for region in facts["regions"]]
    assert boxes == [[r["x"], r["y"], r["width"], r["height"]] for r in expected["regions"]]
    silent = {True: "0 of 1", False: "1 of 1", None: None}[found.stands_out]
    line = f"nothing stands out in {silent} maps\n"
    assert (line in said) if silent is not None else ("stands out" not in said)
    if found.stands_out is False:
        drawn = np.asarray(Image.open(tmp_path / "maps" / "picture.overlay.png"))
        np.testing.assert_array_equal(drawn, image)


def test_other_strides_are_not_what_was_measured(release, bundle, photo, tmp_path) -> None:
    facts, said = mapped(
        release, bundle, photo(90, 117), tmp_path, "--preset", "tiny", "--stride", 4, "--text", "x"
    )
    assert facts["photographs"]["threshold"] is None and facts["photographs"]["stands_out"] is None
    assert facts["photographs"]["z_max"] > 0 and facts["regions"] and "stands out" not in said


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["dream"]["photographs"].update(windows_px=[16]),
        lambda m: m["dream"]["photographs"].update(windows_px=[]),
        lambda m: m["dream"]["photographs"].update(encoder="two-pass"),
        lambda m: m["dream"].update(photographs=3),
        lambda m: m["graphs"].pop("photographs"),
        lambda m: m["graphs"]["photographs"]["outputs"].pop(),
        lambda m: m["dream"]["presets"]["tiny"].update(stands_out={"text": 0}),
        lambda m: m["dream"]["presets"]["tiny"].update(stands_out={"phrases": "4"}),
        lambda m: m["dream"]["presets"]["tiny"].update(stands_out=4),
    ],
)
def test_wrong_manifests_are_refused_in_the_python_engines_words(release, corner, tmp_path, change) -> None:
    folder = add_photographs(build_one_pass_bundle(tmp_path / "wrong"), WINDOWS, "one-pass")
    manifest = read_manifest(folder)
    change(manifest)
    write_manifest(folder, manifest)
    with pytest.raises(BundleError) as refused:
        Engine.open(folder, device="cpu")
    done = run(release / "realm_host", "map", corner / "good.png", "--text", "x", "--bundle", folder)
    assert (done.returncode, done.stderr) == (2, f"error: {refused.value}\n")
