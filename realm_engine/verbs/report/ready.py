"""What pages need beside the engine: the packages of the extra [compare]."""

from __future__ import annotations

import os

from realm_engine.machine.files import cache_dir
from realm_engine.machine.packages import needs


def need_packages(program: str) -> None:
    """Find out that they are there. Raises MissingPackageError with the cure.

    Matplotlib's list of fonts lies in our cache folder: nobody asked for files in the home folder.
    """
    os.environ.setdefault("MPLCONFIGDIR", str(cache_dir() / "matplotlib"))
    with needs(program, "compare"):
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
        import scipy  # noqa: F401
