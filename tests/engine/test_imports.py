"""The engine is lean, and arrows run one way."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import realm_engine

PACKAGE = Path(realm_engine.__file__).parent
FORBIDDEN = ("torch", "transformers", "onnx", "open_clip", "timm", "realm_train", "export", "benchmarks")
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
)


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def loaded(code: str, *arguments: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after running `code`."""
    code += "\nimport sys, json; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=120
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_no_file_imports_what_the_engine_must_not_know(path):
    names = imported(path)
    assert not [name for name in names if name.split(".")[0] in FORBIDDEN]
    relative = path.relative_to(PACKAGE)
    if relative.parts[0] not in ("cli", "__main__.py"):
        assert not [name for name in names if name.startswith("realm_engine.cli")]
    if relative.parts[0] != "runtimes":
        runtimes = {"onnxruntime", "openvino", "tensorrt"}
        assert not [name for name in names if name.split(".")[0] in runtimes]


def test_importing_every_module_loads_neither_training_nor_export():
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    assert not loaded(code, *MODULES) & set(FORBIDDEN)


def test_scoring_and_mapping_load_neither_training_nor_export(bundle_path, photo, tmp_path):
    Image.fromarray(photo()).save(tmp_path / "a.png")
    code = """
import sys
from realm_engine import DreamConfig, Engine
with Engine.open(sys.argv[1], device="cpu", threads=1) as engine:
    assert engine.score([sys.argv[2]], ["yes"])[0].error is None
    assert engine.map(sys.argv[2], config=DreamConfig((16,), 8)).values.shape == (72, 96)
"""
    modules = loaded(code, str(bundle_path), str(tmp_path / "a.png"))
    assert not modules & set(FORBIDDEN)
    assert "onnxruntime" in modules


def test_importing_the_package_costs_nothing():
    assert not loaded("import realm_engine; realm_engine.__version__") & {
        "numpy",
        "cv2",
        "PIL",
        "onnxruntime",
        "openvino",
        "tokenizers",
    }


def test_public_names():
    assert set(realm_engine.__all__) == set(dir(realm_engine))
    for name in realm_engine.__all__:
        assert getattr(realm_engine, name) is not None
    assert realm_engine.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = realm_engine.Nothing
