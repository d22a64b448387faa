"""Files that are others by the time they are used, and a runtime's library that prints into the results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from attacks.attack import CommandAttack, Must
from attacks.run import python_command
from attacks.victim import Victim

SWAP = """
import os, sys
from realm_engine import Engine
from realm_engine.errors import RealmError
engine = Engine.open("./bundle", device="cpu", threads=1)
{change}
try:
    print("scored", engine.score("picture.png", "the face is melted")[0].error)
except RealmError as error:
    print("error:", error)
"""
# Of the same size and with the same time of change, which anybody can set.
REWRITE = """
path = "bundle/{name}"
before = os.stat(path)
content = bytearray(open(path, "rb").read())
content[len(content) // 2] ^= 1
os.replace(path, path + ".old")
open(path, "wb").write(content)
os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
"""
LINK = 'os.remove("bundle/{name}"); os.symlink("/dev/zero", "bundle/{name}")'
GONE = 'os.remove("bundle/{name}")'


def swap(change: str, name: str) -> CommandAttack:
    """A file that changes between `Engine.open` and the first score."""

    def build(folder: Path) -> Sequence[str]:
        Victim(folder / "bundle").seal()
        Image.linear_gradient("L").save(folder / "picture.png")
        return [*python_command(module="x")[:2], "-c", SWAP.format(change=change.format(name=name))]

    what = {REWRITE: "rewritten", LINK: "a link", GONE: "gone"}[change]
    says = Must(
        (0,), rf"{name.replace('.', '[.]')}.*(wrong checksum|link that leaves|is missing|cannot be read)"
    )
    return CommandAttack(f"{name} {what} after opening", build, says)


PRINTS = """
import sys
from realm_engine.cli.main import main
from realm_engine.runtimes import onnxruntime
opened = onnxruntime._import
def noisy(extra):
    import ctypes
    library = ctypes.CDLL(None)
    library.puts(b"NOISE"), library.fflush(None)
    return opened(extra)
onnxruntime._import = noisy
sys.argv = ["realm-engine", "score", "picture.png", "--threads", "1"]
main()
"""


def prints(folder: Path) -> Sequence[str]:
    """C code that writes to standard output while a picture is scored; results alone must be there."""
    Image.linear_gradient("L").save(folder / "picture.png")
    return [*python_command(module="x")[:2], "-c", PRINTS]


ATTACKS = (
    swap(REWRITE, "core.onnx"),
    swap(REWRITE, "text.onnx"),
    swap(REWRITE, "tokenizer.json"),
    swap(LINK, "core.onnx"),
    swap(LINK, "tokenizer.json"),
    swap(GONE, "core.onnx"),
    CommandAttack("a library that prints", prints, Must((0,), r"(?s)\Afilename,mos.*NOISE")),
)
