"""A bundle as the cache of a model hub holds it: a snapshot of links into `blobs`, which new versions share."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

REVISION = "0123456789abcdef0123456789abcdef01234567"


def hub_snapshot(bundle: Path, cache: Path, within: str = "", shared: bool = False) -> Path:
    """Lay out `bundle` under `cache` and return the folder that holds its manifest, `within` the snapshot.

    `shared`: blobs of the model are themselves links into `blobs` of the cache, as huggingface_hub 2 makes them.
    """
    model = cache / "models--owner--name"
    folder = model / "snapshots" / REVISION / within
    for path in sorted(path for path in bundle.rglob("*") if path.is_file()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        blob, link = model / "blobs" / digest, folder / path.relative_to(bundle)
        for each in (blob, link):
            each.parent.mkdir(parents=True, exist_ok=True)
        if not blob.exists():
            content = cache / "blobs" / digest[:2] / digest if shared else blob
            content.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, content)
            if shared:
                blob.symlink_to(os.path.relpath(content, blob.parent))
        link.symlink_to(os.path.relpath(blob, link.parent))
    return folder
