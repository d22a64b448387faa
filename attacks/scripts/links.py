"""Links that lead out of the folder, in a circle, to a device or a pipe."""

from __future__ import annotations

import os

from attacks.attack import Attack, Build, refused
from attacks.victim import EMBEDDED, Victim


def core_is_a_link(target: str) -> Build:
    """CORE's graph, as a link."""

    def build(victim: Victim) -> None:
        path = victim.folder / "core.onnx"
        path.unlink()
        path.symlink_to(target)

    return build


def core_is_a_pipe(victim: Victim) -> None:
    """CORE's graph, as a pipe that nobody writes to."""
    path = victim.folder / "core.onnx"
    path.unlink()
    os.mkfifo(path)


def folder_is_a_link(victim: Victim) -> None:
    """A folder inside that is a link to another place."""
    (victim.folder / "inside").symlink_to(EMBEDDED, target_is_directory=True)
    victim.manifest["files"]["inside/core.onnx"] = victim.manifest["files"]["core.onnx"]
    victim.manifest["graphs"]["core"]["variants"]["fp32"] = "inside/core.onnx"


OUT = refused("link that leaves the bundle")
GONE = refused("is missing|cannot be a file|leads nowhere|leaves the bundle|cannot be read")
ATTACKS = (
    Attack("link to a file outside", core_is_a_link(str(EMBEDDED / "core.onnx")), OUT, OUT),
    Attack("link to a folder outside", folder_is_a_link, OUT, OUT),
    Attack("link in a circle", core_is_a_link("core.onnx"), GONE, GONE),
    Attack("link to a device", core_is_a_link("/dev/zero"), OUT, OUT),
    Attack("pipe", core_is_a_pipe, GONE, GONE),
    Attack("link to nothing", core_is_a_link("/nowhere/at/all"), OUT, GONE),
)
