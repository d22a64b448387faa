"""Graphs in the cache of a model hub, where every file is a link: runtimes refuse weights behind one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from realm_engine.bundle.onnx_file import external_locations


@contextmanager
def without_links(path: Path) -> Iterator[Path]:
    """A graph beside the files that it keeps weights in, none of them a link; gone after the block, which may map them.

    Hard links cost nothing; on another file system than the temporary folder's they are copies.
    """
    if not path.is_symlink():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="realm-links-") as folder:
        for each in (path.name, *external_locations(path)):
            target = Path(folder, each)
            target.parent.mkdir(parents=True, exist_ok=True)
            source = (path.parent / each).resolve()
            try:
                target.hardlink_to(source)
            except OSError:
                shutil.copyfile(source, target)
        yield Path(folder, path.name)
