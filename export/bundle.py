"""Write a bundle: export, store, describe, prove, publish. Nothing is left behind where any step fails."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.files import Report, Variants, Work, write_files
from export.graph.model import PRECISIONS
from export.manifest import BundleInfo, write_manifest
from export.parts.part import Part, plain_name
from export.proof.gates import recommended
from export.proof.inputs import Photographs, half_probes, int8_studies
from export.proof.verify import MOST_IMAGES, verify
from export.terms import check_parts
from realm_engine.bundle.bundle import MANIFEST, Bundle
from realm_engine.machine.files import followed
from realm_engine.opened import Contents

__all__ = ["MOST_IMAGES", "PRECISIONS", "Photographs", "Variants", "check_output", "export_bundle", "publish"]


def export_bundle(
    output: Path,
    info: BundleInfo,
    parts: Sequence[Part],
    photographs: Photographs,
    variants: Variants | None = None,
    overwrite: bool = False,
    report: Report = print,
    precision_report: Path | None = None,
) -> dict[str, Any]:
    """Export parts as a bundle and prove each of them.

    Args:
        output: Folder of the bundle; appears only when everything has passed.
        info: Name, terms, metrics.
        parts: What the bundle can do; files and measures are written in this order.
        photographs: To compare on, and to calibrate on.
        variants: Which files there are of each graph; by default fp32.
        overwrite: Replace an existing bundle.
        report: Receives one line per step.
        precision_report: JSON file to write: every node of an fp16 or bf16 file that stays float32, and why.

    Returns:
        The manifest.

    Raises:
        ExportError: nothing to export, terms of what is not exported, the output is taken, or the bundle misses a gate.
    """
    variants = variants or Variants()
    if not parts:
        raise ExportError("nothing to export; give --core, --clip or both, or --graph")
    for part in parts:
        for precision in variants.precisions:
            if precision not in part.precisions:
                raise ExportError(f"{part.name}: there is no {precision} of it; leave --precision out")
    check_parts(info.terms_of, [plain_name(part) for part in parts])
    check_output(output, overwrite)
    output = followed(output)  # a link to a bundle stays one
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as temporary:
        folder = Path(temporary) / output.name
        folder.mkdir(mode=0o755)
        precisions = variants.precisions
        studies = int8_studies(variants.quantised(parts), photographs) if "int8" in precisions else {}
        probes = half_probes(parts, photographs) if "fp16" in precisions else {}
        manifest, kept_float32 = write_files(folder, info, parts, Work(variants, studies, probes), report)
        write_manifest(folder, manifest)
        fidelity = verify(folder, parts, photographs.verify, precisions, variants.storage, report)
        for precision, made in manifest["fidelity"].items():
            fidelity[precision] = {**fidelity.get(precision, {}), **made}
        manifest["fidelity"] = fidelity
        manifest["recommended_precision"] = recommended(fidelity, variants.int8_for)
        manifest = write_manifest(folder, manifest)
        size = sum(path.stat().st_size for path in folder.rglob("*"))
        Contents(Bundle.open(folder))
        publish(folder, output)
    if precision_report is not None:
        precision_report.parent.mkdir(parents=True, exist_ok=True)
        precision_report.write_text(json.dumps(kept_float32, indent=1) + "\n", encoding="utf-8")
    report(f"{output}: {size / 1e6:.1f} MB")
    return manifest


def check_output(output: Path, overwrite: bool) -> None:
    """Refuse an output that is taken, before any work.

    Raises:
        ExportError: the path exists and is not a bundle that may be replaced.
    """
    try:
        followed(output)
    except OSError as error:
        raise ExportError(f"{output}: cannot be written ({error.strerror}); give another --output") from error
    if not output.exists():
        return
    if not (output / MANIFEST).is_file() and not (output.is_dir() and not any(output.iterdir())):
        raise ExportError(f"{output} exists and is not a bundle; give another --output")
    if (output / MANIFEST).is_file() and not overwrite:
        raise ExportError(f"{output} exists; give --overwrite to replace it, or another --output")


def publish(folder: Path, output: Path) -> None:
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
