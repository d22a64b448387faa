"""Proof of a bundle: every part runs it on photographs and compares with answers that no graph of it has made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from export.errors import ExportError
from export.parts.part import Part
from export.proof.gates import compare_precisions
from export.proof.limits import summary, tier_of
from realm_engine.pictures.decode import load_image
from realm_engine.verbs.fidelity import make_trial

Report = Callable[[str], None]

MOST_IMAGES = 4


def verify(
    folder: Path,
    parts: Sequence[Part],
    images: Sequence[Path],
    precisions: Sequence[str],
    storage: str,
    report: Report,
) -> dict[str, Any]:
    """Compare a bundle's answers on photographs: fp32 and fp16 with the parts' own, the rest with fp32.

    Where fp32 is there, every other variant and the native modes of installed runtimes are also compared with
    it, on more windows and pairs (`export.proof.gates`).

    Returns:
        The manifest's "fidelity": per precision the measured differences, rounded to two digits.

    Raises:
        ExportError: no photograph, or a difference beyond its gate.
    """
    pictures = [load_image(path) for path in images[:MOST_IMAGES]]
    if not pictures:
        raise ExportError("no photograph to verify the bundle on; give --verify-images DIR")
    expected = [part.expected(pictures) for part in parts]
    fidelity: dict[str, Any] = {}
    for precision in precisions:
        if precision in ("bf16", "int8"):
            continue  # the gate of these is what they change of the float32 file
        measured: dict[str, Any] = {"images": len(pictures)}
        if precision == "fp32":
            measured["storage"] = storage
        measured["runtime"] = f"ONNX Runtime {onnxruntime.__version__}"
        for part, right in zip(parts, expected, strict=True):
            measured[part.name] = part.compare(
                folder, precision, pictures, right, tier_of(precision, storage)
            )
        report(f"verified {precision}: {summary(measured)}")
        fidelity[precision] = measured
    if any(len(part.precisions) > 1 for part in parts):
        for precision, record in compare_precisions(folder, make_trial(images), precisions, report).items():
            fidelity[precision] = {**fidelity.get(precision, {}), **record}
    return fidelity
