"""What a bundle says about itself, and whether it is true: the work behind `info` and `verify`."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from realm_engine.arrays import UInt8
from realm_engine.bundle.bundle import PARTS, Bundle
from realm_engine.bundle.manifest import GraphSpec, TensorSpec, TextSpec
from realm_engine.bundle.onnx_interface import read_interface
from realm_engine.engine import Engine
from realm_engine.errors import BundleError, RealmError
from realm_engine.machine.files import sha256_of
from realm_engine.maps.dream import DreamConfig
from realm_engine.maps.phrases import read_bank
from realm_engine.runtimes.measured import load_tuned
from realm_engine.text import Tokenizer

SAMPLE_TEXT = "The edges are melted."

# What is shown of a measured difference, per part.
_SHOWN = {
    "dream": ("map_pearson_min", "image_cosine_min"),
    "core": ("mos_max_abs_diff", "srocc", "srocc_change"),
}

_OWN_WORDS = (
    "name",
    "description",
    "format_version",
    "licence",
    "training_data",
    "weights",
    "metrics",
    "fidelity",
)


@dataclass(frozen=True)
class Check:
    """One thing that was checked; `detail` is what was found, or what is wrong."""

    name: str
    ok: bool
    detail: str


def bundle_facts(bundle: Bundle) -> dict[str, Any]:
    """What `info` shows of a bundle, ready for JSON; free-form parts are the manifest's own."""
    manifest = bundle.manifest
    files = manifest["files"]
    facts: dict[str, Any] = {key: manifest.get(key) for key in _OWN_WORDS}
    facts["path"] = str(bundle.root)
    facts["size_bytes"] = sum(int(entry["size_bytes"]) for entry in files.values())
    facts["graphs"] = {
        name: {
            precision: {"file": file, "size_bytes": int(files[file]["size_bytes"])}
            for precision, file in graph.variants.items()
        }
        for name, graph in bundle.graphs.items()
    }
    if bundle.core is not None:
        facts["core"] = {
            "image": f"{bundle.core.width_px} x {bundle.core.height_px} px, {bundle.core.interpolation}",
            "max_tokens": bundle.core.text.max_tokens,
            "missing_text": bundle.core.missing_text,
        }
    if bundle.dream is not None:
        presets = bundle.dream.presets.values()
        facts["dream"] = {
            "window_input_px": bundle.dream.image_size_px,
            "max_tokens": bundle.dream.text.max_tokens,
            "presets": {
                preset.name: {
                    "windows_px": list(preset.windows_px),
                    "stride_px": preset.stride_px,
                    "aggregate": preset.aggregate,
                }
                for preset in presets
            },
            "recommended_preset": bundle.dream.recommended_preset,
            "phrases": _phrase_count(bundle),
        }
    facts["tuned"] = _tuned(bundle)
    return facts


def _tuned(bundle: Bundle) -> dict[str, Any]:
    """What `tune` found best here, per part; {} where nothing was measured."""
    record = load_tuned(bundle)
    if record is None:
        return {}
    best = {part: next(iter(record.fastest(part)), None) for part in PARTS}
    chosen = {
        part: f"{one.precision} on {one.device}, batch {one.batch}, {one.threads} threads, {one.per_second:.1f}/s"
        for part, one in best.items()
        if one is not None
    }
    return {"date": record.date, "images": record.images, **chosen}


def _phrase_count(bundle: Bundle) -> int:
    assert bundle.dream is not None
    return len(read_bank(bundle.file(bundle.dream.phrases))) if bundle.dream.phrases else 0


def verify_bundle(name_or_path: str | os.PathLike[str], device: str, threads: int | None) -> Iterator[Check]:
    """Check a bundle piece by piece, yielding each result as it comes.

    Manifest and files, checksums, tokenizers, phrase bank, the interface of every graph file against the
    manifest, a real inference in every precision, and what the export measured of each precision's difference
    from float32. Stops early only where nothing further can be checked.

    Raises:
        DeviceError: `device` cannot be had, so that no inference can be tried.
    """
    opened: list[Bundle] = []

    def open_manifest() -> str:
        opened.append(Bundle.open(name_or_path, verify=False))
        return (
            f"{opened[0].name}, format {opened[0].manifest['format_version']}, {len(_files(opened[0]))} files"
        )

    yield (first := _check("manifest", open_manifest))
    if not first.ok:
        return
    bundle = opened[0]
    sums = [_check(f"checksum {file}", lambda file=file: _checksum(bundle, file)) for file in _files(bundle)]  # type: ignore[misc]
    yield from (check for check in sums if not check.ok)
    if all(check.ok for check in sums):
        yield Check("checksums", True, f"{len(sums)} files match their sha256")
    for part, spec in (("core", bundle.core), ("dream", bundle.dream)):
        if spec is not None:
            yield _check(f"{part} tokenizer", lambda text=spec.text: _tokenizer(bundle, text))  # type: ignore[misc]
    if bundle.dream is not None and bundle.dream.phrases is not None:
        yield _check("phrase bank", lambda: f"{_phrase_count(bundle)} phrases")
    for graph in bundle.graphs.values():
        for precision in graph.variants:
            name = f"graph {graph.name} {precision}"
            yield _check(name, lambda g=graph, p=precision: _graph(bundle, g, p))  # type: ignore[misc]
    if all(check.ok for check in sums):
        yield from _inferences(bundle, device, threads)
    else:
        yield Check("inference", False, "not tried: files differ from their checksums")
    yield from _recorded(bundle.manifest.get("fidelity"))


def _recorded(fidelity: Any) -> Iterator[Check]:
    """What the export measured on photographs. A native mode beyond its gate is no fault: auto avoids it."""
    for precision, record in fidelity.items() if isinstance(fidelity, Mapping) else ():
        devices = record.get("devices") if isinstance(record, Mapping) else None
        if not isinstance(devices, Mapping):
            continue
        for device, measured in devices.items():
            native = bool(record.get("native"))
            passes = bool(measured.get("passes"))
            parts = [
                f"{part} {name.replace('_', ' ')} {measured[part][name]:g}"
                for part, names in _SHOWN.items()
                for name in names
                if isinstance(measured.get(part), Mapping) and name in measured[part]
            ]
            verdict = "within its gates" if passes else "beyond its gates, auto does not take it"
            detail = (
                f"{', '.join(parts)}: {verdict} ({measured.get('runtime', device)}, measured by the export)"
            )
            yield Check(f"fidelity {precision} on {device}", passes or native or device != "cpu", detail)


def _check(name: str, work: Callable[[], str]) -> Check:
    try:
        return Check(name, True, work())
    except (RealmError, ValueError, OSError) as error:
        return Check(name, False, " ".join(str(error).split()))


def _files(bundle: Bundle) -> list[str]:
    return list(bundle.manifest["files"])


def _checksum(bundle: Bundle, relative: str) -> str:
    actual = sha256_of(bundle.file(relative))
    expected = str(bundle.manifest["files"][relative].get("sha256")).lower()
    if actual != expected:
        raise BundleError(f"sha256 is {actual}, the manifest says {expected}; get the bundle again")
    return actual


def _tokenizer(bundle: Bundle, spec: TextSpec) -> str:
    path = bundle.file(spec.tokenizer)
    ids, _ = Tokenizer(path, spec).encode([SAMPLE_TEXT])
    return f"{path.name}, {ids.shape[1]} tokens for a sentence"


def _graph(bundle: Bundle, graph: GraphSpec, precision: str) -> str:
    found = read_interface(bundle.path(graph.name, precision))
    listed = {tensor.name for tensor in found.inputs}
    # A file may serve two graphs: it must take what the manifest lists, and give at least that.
    if listed != set(graph.input_names):
        raise BundleError(f"the file takes {_names(found.inputs)}, the manifest says {_names(graph.inputs)}")
    for kind, wanted, have in (
        ("input", graph.inputs, found.inputs),
        ("output", graph.outputs, found.outputs),
    ):
        by_name = {tensor.name: tensor for tensor in have}
        for tensor in wanted:
            other = by_name.get(tensor.name)
            if other is None:
                raise BundleError(f"the file has no {kind} {tensor.name}, which the manifest lists")
            if not _agree(tensor, other):
                raise BundleError(
                    f"{kind} {tensor.name} is {_form(other)} in the file, {_form(tensor)} in the manifest"
                )
    return f"{_names(graph.inputs)} -> {_names(graph.outputs)}"


def _agree(listed: TensorSpec, found: TensorSpec) -> bool:
    """Same dtype and rank, and the same sizes where both are numbers (a name is a free dimension)."""
    return (
        listed.dtype == found.dtype
        and len(listed.shape) == len(found.shape)
        and all(
            a == b
            for a, b in zip(listed.shape, found.shape, strict=True)
            if isinstance(a, int) and isinstance(b, int)
        )
    )


def _names(tensors: tuple[TensorSpec, ...]) -> str:
    return ", ".join(tensor.name for tensor in tensors)


def _form(tensor: TensorSpec) -> str:
    return f"{tensor.dtype}[{', '.join(map(str, tensor.shape))}]"


def _inferences(bundle: Bundle, device: str, threads: int | None) -> Iterator[Check]:
    """Score and map one synthetic picture in every precision a part has."""
    image = sample_image(192, 256)
    precisions = dict.fromkeys(precision for part in PARTS for precision in bundle.precisions(part))
    for precision in precisions:
        with Engine.open(bundle.root, device, precision, threads) as engine:
            where = f"{engine.describe()['runtime']}, {engine.describe()['device']}"
            if precision in bundle.precisions("core"):
                yield _check(f"score {precision}", lambda e=engine, w=where: f"{_score(e, image)} ({w})")  # type: ignore[misc]
            if precision in bundle.precisions("dream"):
                yield _check(f"map {precision}", lambda e=engine, w=where: f"{_map(e, image)} ({w})")  # type: ignore[misc]


def _score(engine: Engine, image: UInt8) -> str:
    values = []
    for score in engine.score([image, image], [SAMPLE_TEXT, None]):
        if score.error is not None or score.mos is None:
            raise BundleError(score.error or "no score came out")
        values.append(score.mos)
    return f"MOS {values[0]:.3f} with text, {values[1]:.3f} without"


def _map(engine: Engine, image: UInt8) -> str:
    result = engine.map(
        image, SAMPLE_TEXT, DreamConfig(windows_px=(64,), stride_px=64, quantity="similarity")
    )
    low, high = float(result.values.min()), float(result.values.max())
    if not (np.isfinite(result.values).all() and max(-low, high) <= 1.001):
        raise BundleError(f"similarities from {low} to {high} are no cosines")
    return f"similarity {low:.3f} to {high:.3f}"


def sample_image(height: int, width: int) -> UInt8:
    """A synthetic picture with smooth and rough parts, uint8 RGB (height, width, 3), the same every time."""
    rows, cols = np.mgrid[0:height, 0:width]
    smooth = 128 + 100 * np.sin(cols / 17.0) * np.cos(rows / 23.0)
    noise = np.random.default_rng(0).integers(-20, 21, (height, width, 3))
    rough = noise * (cols > width // 2)[:, :, None]
    return np.asarray(np.clip(smooth[:, :, None] + rough, 0, 255), dtype=np.uint8)
