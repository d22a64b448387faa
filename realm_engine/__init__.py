"""How real an image looks, and where it does not: REALM's CORE scores and DREAM maps.

Names are loaded on first use, so that `import realm_engine` costs nothing and needs no runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realm_engine.engine import (
        AttributionMap,
        DreamConfig,
        Engine,
        EngineOptions,
        Measured,
        RealnessMap,
        coco_dataset,
        contact_sheets,
        pictures_of,
        table,
    )
    from realm_engine.errors import RealmError
    from realm_engine.verbs.compare.library import Comparison, compare

    __version__: str

__all__ = [
    "AttributionMap",
    "Comparison",
    "DreamConfig",
    "Engine",
    "EngineOptions",
    "Measured",
    "RealmError",
    "RealnessMap",
    "__version__",
    "coco_dataset",
    "compare",
    "contact_sheets",
    "pictures_of",
    "table",
]

_HOMES = {
    "AttributionMap": "maps.attribution",
    "Comparison": "verbs.compare.library",
    "DreamConfig": "maps.realness_map",
    "Engine": "engine",
    "EngineOptions": "engine",
    "Measured": "tables.rows",
    "RealmError": "errors",
    "RealnessMap": "maps.realness_map",
    "coco_dataset": "maps.coco",
    "compare": "verbs.compare.library",
    "contact_sheets": "maps.contact",
    "pictures_of": "pictures.sources",
    "table": "tables.frame",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name == "__version__":
        return importlib.import_module("realm_engine.machine.packages").engine_version()
    if name in _HOMES:
        return getattr(importlib.import_module(f"realm_engine.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'realm_engine' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
