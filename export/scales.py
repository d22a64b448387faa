"""Where the measures of a bundle lie on a named set of pictures, written into a copy of it. Knows no torch."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from export.bundle import check_output, publish
from export.errors import ExportError
from export.files import Report
from export.manifest import FORMAT_VERSION, read_manifest, write_manifest
from realm_engine.bundle.bundle import Bundle
from realm_engine.opened import Contents


def add_scales(
    bundle: Path | str,
    output: Path,
    scales: Mapping[str, Any],
    overwrite: bool = False,
    report: Report = print,
) -> dict[str, Any]:
    """Write a bundle that is another one and says how its measures can be combined; every file stays as it is.

    Args:
        bundle: Name or folder of what there is.
        output: Folder of the new bundle, which may be the old one with `overwrite`.
        scales: By measure `{"p5": ..., "p95": ..., "set": ...}`, of its first column (`measures.scale.Scale`).
        overwrite: Replace a bundle at `output`.
        report: Receives one line.

    Returns:
        The manifest.

    Raises:
        ExportError: a measure that the bundle does not list, or by which one may not rank.
        BundleError: the bundle cannot be read, or a scale is none.
    """
    source = Bundle.open(bundle)
    listed = {measure.name: measure for measure in Contents(source).measures.all}
    for name in scales:
        if name not in source.manifest.get("measures", {}) or name not in listed:
            raise ExportError(
                f"--scales: {source.name} lists no measure {name!r}, only {', '.join(listed) or 'none'}"
            )
        if not listed[name].ranks:
            raise ExportError(f"--scales: one may not rank by {name}, so it cannot be combined; leave it out")
    check_output(output, overwrite)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as temporary:
        folder = Path(temporary) / output.name
        shutil.copytree(source.root, folder)
        before = read_manifest(folder)
        measures = {
            name: {**section, **({"scale": scales[name]} if name in scales else {})}
            for name, section in before["measures"].items()
        }
        manifest = write_manifest(folder, {**before, "format_version": FORMAT_VERSION, "measures": measures})
        Contents(Bundle.open(folder))
        publish(folder, output)
    report(f"{output}: scales of {', '.join(scales)}")
    return manifest
