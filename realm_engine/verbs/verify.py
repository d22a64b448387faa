"""Whether what a bundle says about itself is true: the work behind `realm-engine verify`."""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from realm_engine.arrays import UInt8
from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.manifest import GraphSpec, TensorSpec
from realm_engine.bundle.onnx_file import read_interface
from realm_engine.engine import Engine
from realm_engine.errors import BundleError, RealmError
from realm_engine.machine.files import sha256_of
from realm_engine.maps.realness_map import DreamConfig
from realm_engine.maps.spec import EACH_WINDOW, ONE_PASS
from realm_engine.maps.spec import PART as MAP_PART
from realm_engine.measures.attribution import TOLERANCE
from realm_engine.measures.measure import Measure
from realm_engine.opened import Contents
from realm_engine.verbs.console import bounded
from realm_engine.verbs.fidelity import PHOTOGRAPHS_GATE
from realm_engine.verbs.info import phrase_count

SAMPLE_TEXT = "The edges are melted."


@dataclass(frozen=True)
class Check:
    """One thing that was checked; `detail` is what was found, or what is wrong."""

    name: str
    ok: bool
    detail: str


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
        bundle = Bundle.open(name_or_path, verify=False)
        opened.append(bundle)
        return f"{bundle.name}, format {bundle.manifest['format_version']}, {len(_files(bundle))} files"

    yield (first := _check("manifest", open_manifest))
    if not first.ok:
        return
    bundle = opened[0]
    sums = [_check(f"checksum {file}", lambda file=file: _checksum(bundle, file)) for file in _files(bundle)]  # type: ignore[misc]
    yield from (check for check in sums if not check.ok)
    if all(check.ok for check in sums):
        yield Check("checksums", True, f"{len(sums)} files match their sha256")
    found: list[Contents] = []

    def read_contents() -> str:
        found.append(Contents(bundle))
        measures = [measure.name for measure in found[0].measures.all] or ["none"]
        return f"measures {', '.join(measures)}; maps {'yes' if found[0].maps is not None else 'no'}"

    yield (second := _check("contents", read_contents))
    if not second.ok:
        return
    contents = found[0]
    for name, why in contents.measures.unknown.items():
        yield Check(f"measure {name}", True, f"left out: {why}")
    for text_graph in contents.text_specs():
        part = next(part.name for part in contents.parts if text_graph in part.graphs)
        yield _check(f"{part} tokenizer", lambda graph=text_graph: _tokenizer(contents, graph))  # type: ignore[misc]
    maps = contents.maps
    if maps is not None and maps.phrases is not None:
        yield _check("phrase bank", lambda: f"{phrase_count(bundle, maps)} phrases")
    for graph in bundle.graphs.values():
        files = [(precision, "") for precision in graph.variants]
        files += [(precision, target) for target, own in graph.devices.items() for precision in own]
        for precision, target in files:
            name = f"graph {graph.name} {precision}" + (f" for {target}" if target else "")
            yield _check(name, lambda g=graph, p=precision, t=target: _graph(bundle, g, p, t))  # type: ignore[misc]
    if all(check.ok for check in sums):
        yield from _inferences(contents, device, threads)
    else:
        yield Check("inference", False, "not tried: files differ from their checksums")
    yield from _recorded(contents)


def _recorded(contents: Contents) -> Iterator[Check]:
    """What the export measured on photographs. A native mode beyond its gate is no fault: auto avoids it."""
    shown: dict[str, tuple[str, ...]] = {
        MAP_PART.name: ("map_pearson_min", "image_cosine_min", "one_pass_map_pearson_min")
    }
    for measure in contents.measures.all:
        shown[measure.part.name] = (f"{measure.columns[0].name}_max_abs_diff", "srocc", "srocc_change")
    fidelity = contents.bundle.manifest.get("fidelity")
    yield from _encoders(fidelity)
    yield from _photographs(fidelity)
    for precision, record in fidelity.items() if isinstance(fidelity, Mapping) else ():
        devices = record.get("devices") if isinstance(record, Mapping) else None
        if not isinstance(devices, Mapping):
            continue
        for device, measured in devices.items():
            native = bool(record.get("native"))
            passes = bool(measured.get("passes"))
            numbers = [
                f"{part} {name.replace('_', ' ')} {measured[part][name]:g}"
                for part, names in shown.items()
                for name in names
                if isinstance(measured.get(part), Mapping) and name in measured[part]
            ]
            verdict = "within its gates" if passes else "beyond its gates, auto does not take it"
            detail = (
                f"{', '.join(numbers)}: {verdict} ({measured.get('runtime', device)}, measured by the export)"
            )
            yield Check(f"fidelity {precision} on {device}", passes or native or device != "cpu", detail)


def _encoders(fidelity: object) -> Iterator[Check]:
    """How alike the maps of the two encoders are, which are two functions: no gate."""
    record = fidelity.get("fp32") if isinstance(fidelity, Mapping) else None
    maps = record.get(MAP_PART.name) if isinstance(record, Mapping) else None
    alike = maps.get("encoders_pearson") if isinstance(maps, Mapping) else None
    if isinstance(alike, int | float):
        yield Check(
            "encoders",
            True,
            f"{EACH_WINDOW} and {ONE_PASS} correlate with {alike:g} (measured by the export)",
        )


def _photographs(fidelity: object) -> Iterator[Check]:
    """How far the graph `photographs` is from what was measured, in float64."""
    record = fidelity.get("fp32") if isinstance(fidelity, Mapping) else None
    maps = record.get(MAP_PART.name) if isinstance(record, Mapping) else None
    found = maps.get("photographs_max_diff") if isinstance(maps, Mapping) else None
    if isinstance(found, int | float):
        detail = f"mean and std within {found:g} standard deviations (measured by the export)"
        yield Check("fidelity photographs", found <= PHOTOGRAPHS_GATE, detail)


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


def _tokenizer(contents: Contents, graph: str) -> str:
    file = contents.text_specs()[graph].tokenizer
    ids, _ = contents.tokenizer(graph).encode([SAMPLE_TEXT])
    return f"{file}, {ids.shape[1]} tokens for a sentence"


def _graph(bundle: Bundle, graph: GraphSpec, precision: str, device: str) -> str:
    found = read_interface(bundle.path(graph.name, precision, device))
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


def _inferences(contents: Contents, device: str, threads: int | None) -> Iterator[Check]:
    """Measure and map one synthetic picture in every precision a part has."""
    image, bundle = sample_image(192, 256), contents.bundle
    offered = {part.name: bundle.precisions(part) for part in contents.parts}
    for precision in dict.fromkeys(itertools.chain(*offered.values())):
        with Engine.open(bundle.root, device, precision, threads) as engine, bounded(engine):
            where = f"{engine.describe()['runtime']}, {engine.describe()['device']}"
            for measure in contents.measures.all:
                if precision in offered[measure.part.name]:
                    yield _check(
                        f"measure {measure.name} {precision}",
                        lambda e=engine, m=measure, w=where: f"{_measure(e, m, image)} ({w})",  # type: ignore[misc]
                    )
                if precision in offered[measure.part.name] and measure.attribution is not None:
                    yield _check(
                        f"map {measure.name} {precision}",
                        lambda e=engine, m=measure, w=where: f"{_attribution(e, m, image)} ({w})",  # type: ignore[misc]
                    )
            if precision in offered.get(MAP_PART.name, ()):
                yield _check(f"map {precision}", lambda e=engine, w=where: f"{_map(e, image)} ({w})")  # type: ignore[misc]
    if contents.maps is not None and contents.maps.photographs is not None:
        with Engine.open(bundle.root, device, threads=threads) as engine, bounded(engine):
            yield _check("photographs", lambda: _scale(engine))


def _measure(engine: Engine, measure: Measure, image: UInt8) -> str:
    column = measure.columns[0].name
    texts = [SAMPLE_TEXT, None] if measure.text is not None else [None]
    values = []
    for row in engine.score([image] * len(texts), texts, metrics=measure.name):
        value = row[column]
        if row.error is not None or value is None:
            raise BundleError(row.error or "no value came out")
        values.append(f"{value:.3f}")
    return f"{column} {values[0]}" + (f" with text, {values[1]} without" if len(values) > 1 else "")


def _attribution(engine: Engine, measure: Measure, image: UInt8) -> str:
    """Whether the pixels and the bias are the logit; that the small maps are, every map is checked for."""
    found = engine.map(image, metric=measure.name)
    total = found.bias + float(found.values.sum(dtype=np.float64))
    if not abs(total - found.logit) <= TOLERANCE * max(1.0, abs(found.logit), abs(found.bias)):
        raise BundleError(f"the pixels and the bias add up to {total:g}, the logit is {found.logit:g}")
    return f"logit {found.logit:.3f}, {found.bias:.3f} of it the bias"


def _map(engine: Engine, image: UInt8) -> str:
    result = engine.map(
        image, SAMPLE_TEXT, DreamConfig(windows_px=(64,), stride_px=64, quantity="similarity")
    )
    values = result.values[result.covered]
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(values).all() and max(-low, high) <= 1.001):
        raise BundleError(f"similarities from {low} to {high} are no cosines")
    return f"similarity {low:.3f} to {high:.3f}"


def _scale(engine: Engine) -> str:
    """What photographs give for a text, for every window size that the bundle knows."""
    spec = engine.contents.maps
    assert spec is not None and spec.photographs is not None
    sizes = spec.photographs.windows_px
    found = engine.map(
        sample_image(max(sizes), max(sizes)),
        SAMPLE_TEXT,
        DreamConfig(sizes, max(sizes), encoder=spec.photographs.encoder),
    ).photographs
    if found is None or abs(found.mean) > 1.001 or not 0 < found.std <= 1.001:
        raise BundleError(f"{found} is no scale of cosines")
    return f"similarity {found.mean:.3f}, standard deviation {found.std:.3f}"


def sample_image(height: int, width: int) -> UInt8:
    """A synthetic picture with smooth and rough parts, uint8 RGB (height, width, 3), the same every time."""
    rows, cols = np.mgrid[0:height, 0:width]
    smooth = 128 + 100 * np.sin(cols / 17.0) * np.cos(rows / 23.0)
    noise = np.random.default_rng(0).integers(-20, 21, (height, width, 3))
    rough = noise * (cols > width // 2)[:, :, None]
    return np.asarray(np.clip(smooth[:, :, None] + rough, 0, 255), dtype=np.uint8)
