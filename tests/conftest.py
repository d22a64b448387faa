from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bundles import Reference, build_bundle

from realm_engine.machine import telemetry
from realm_engine.verbs.settings import CONFIG_VARIABLE, SETTINGS, variable_of

telemetry.switch_off()  # tests import runtimes themselves, and start processes that do


@pytest.fixture(scope="session", autouse=True)
def no_records_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty cache folder and no settings: what `realm-engine tune` remembers here, and what somebody has set for
    themselves, must not decide how tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REALM_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv(CONFIG_VARIABLE, os.devnull)
        for name in map(variable_of, SETTINGS):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real bundle: CORE, DREAM, phrases, fp32 and fp16. Read only: build another to change it."""
    return build_bundle(tmp_path_factory.mktemp("bundle") / "test-bundle", fp16=True)


@pytest.fixture(scope="session")
def reference() -> Reference:
    return Reference()


@pytest.fixture(scope="session")
def engine(bundle_path: Path):
    from realm_engine import Engine

    with Engine.open(bundle_path, device="cpu", threads=1) as opened:
        yield opened


@pytest.fixture
def photo():
    """A seeded picture of smooth colours and some noise, uint8 RGB of any size."""

    def make(height: int = 72, width: int = 96, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[0:height, 0:width]
        waves = [
            np.sin(x / rng.uniform(5, 20) + rng.uniform(0, 6)) * np.cos(y / rng.uniform(5, 20))
            for _ in range(3)
        ]
        picture = 127 + 80 * np.stack(waves, axis=-1) + rng.normal(0, 15, (height, width, 3))
        return np.clip(picture, 0, 255).astype(np.uint8)

    return make


@pytest.fixture(scope="module")
def rtx():
    """TensorRT-RTX, which builds engines without a GPU."""
    pytest.importorskip("tensorrt_rtx")
    from realm_engine.runtimes.tensorrt.runtime import open_runtime

    return open_runtime("tensorrt-rtx")
