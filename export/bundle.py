"""Write a bundle: export, store, describe, prove, publish. Nothing is left behind where any step fails."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.files import PRECISIONS, Report, Work, write_files
from export.graph.int8 import Feeds, Study
from export.manifest import BundleInfo, write_manifest
from export.parts.core import CoreSource
from export.proof.inputs import half_probes, int8_studies
from export.proof.verify import verify
from export.towers.clip_model import ClipModel
from realm_engine.bundle.bundle import MANIFEST, Bundle

__all__ = ["PRECISIONS", "check_output", "export_bundle"]


def export_bundle(
    output: Path,
    info: BundleInfo,
    core: CoreSource | None,
    clip: ClipModel | None,
    images: Sequence[Path],
    precisions: Sequence[str] = ("fp32",),
    storage: str = "fp32",
    overwrite: bool = False,
    report: Report = print,
    calibration: Path | None = None,
    int8_parts: Sequence[str] = ("core", "dream"),
    int8_for: str = "cpu",
    precision_report: Path | None = None,
) -> dict[str, Any]:
    """Export CORE, DREAM or both as a bundle and prove it against PyTorch.

    Args:
        output: Folder of the bundle; appears only when everything has passed.
        info: Name, licence, metrics, presets.
        core: CORE, or None.
        clip: CLIP, or None.
        images: Photographs to compare on.
        precisions: Of `PRECISIONS`. bf16 and int8 are compared with fp32 and need it too.
        storage: How fp32 files keep their weights (`export.graph.weights.STORAGES`).
        overwrite: Replace an existing bundle.
        report: Receives one line per step.
        calibration: Folder of the photographs that int8 is calibrated on, and that show which values float16
            could not hold; only int8 needs one, fp16 takes `images` otherwise.
        int8_parts: Parts that get an int8 variant; the other runs its fp32 file.
        int8_for: "cpu", or "tensorrt", which takes zero points of zero alone (`export.graph.int8`).
        precision_report: JSON file to write: every node of an fp16 or bf16 file that stays float32, and why.

    Returns:
        The manifest.

    Raises:
        ExportError: nothing to export, the output is taken, or the bundle misses a gate.
    """
    if core is None and clip is None:
        raise ExportError("nothing to export; give --core, --clip or both")
    for precision in ("bf16", "int8"):
        if precision in precisions and "fp32" not in precisions:
            raise ExportError(f"{precision} is compared with fp32; give --precision fp32 too")
    check_output(output, overwrite)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as temporary:
        folder = Path(temporary) / output.name
        folder.mkdir(mode=0o755)
        studies: dict[str, Study] = {}
        if "int8" in precisions:
            quantised = (core if "core" in int8_parts else None, clip if "dream" in int8_parts else None)
            studies = int8_studies(info, *quantised, images, calibration)
        probes: dict[str, Sequence[Feeds]] = {}
        if "fp16" in precisions:
            probes = half_probes(info, core, clip, images, calibration)
        work = Work(precisions, storage, studies, int8_for, probes)
        manifest, stayed = write_files(folder, info, core, clip, work, report)
        write_manifest(folder, manifest)
        fidelity = verify(folder, core, clip, images, precisions, storage, report)
        for precision, made in manifest["fidelity"].items():
            fidelity[precision] = {**fidelity.get(precision, {}), **made}
        manifest["fidelity"] = fidelity
        manifest = write_manifest(folder, manifest)
        size = sum(path.stat().st_size for path in folder.rglob("*"))
        Bundle.open(folder)
        _publish(folder, output)
    if precision_report is not None:
        precision_report.parent.mkdir(parents=True, exist_ok=True)
        precision_report.write_text(json.dumps(stayed, indent=1) + "\n", encoding="utf-8")
    report(f"{output}: {size / 1e6:.1f} MB")
    return manifest


def check_output(output: Path, overwrite: bool) -> None:
    """Refuse an output that is taken, before any work.

    Raises:
        ExportError: the path exists and is not a bundle that may be replaced.
    """
    if not output.exists():
        return
    if not (output / MANIFEST).is_file() and not (output.is_dir() and not any(output.iterdir())):
        raise ExportError(f"{output} exists and is not a bundle; give another --output")
    if (output / MANIFEST).is_file() and not overwrite:
        raise ExportError(f"{output} exists; give --overwrite to replace it, or another --output")


def _publish(folder: Path, output: Path) -> None:
    """Move a finished bundle to its place; an old one is only gone once the new one is there."""
    if not output.exists():
        folder.rename(output)
        return
    aside = folder.with_name(f"{output.name}.old")
    output.rename(aside)
    try:
        folder.rename(output)
    except OSError:
        aside.rename(output)
        raise
