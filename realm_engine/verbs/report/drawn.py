"""Maps of single pictures for a page: where they do not look real, laid over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from realm_engine.engine import Engine
from realm_engine.errors import RealmError
from realm_engine.maps.figure import draw as draw_map
from realm_engine.maps.files import colour_limits
from realm_engine.pictures.decode import load_image
from realm_engine.pictures.inputs import Texts
from realm_engine.verbs.choices import Advance
from realm_engine.verbs.report.thumbnails import MAP_PX, Thumbnail, Thumbnails


def map_drawer(
    engine: Engine, thumbnails: Thumbnails, texts: Mapping[Path, Texts], advance: Advance
) -> Callable[[Path | None], tuple[Thumbnail | None, str]]:
    """A function that maps a picture with the text it has, else with the bundle's phrases, and says which."""
    done = 0

    def draw(path: Path | None) -> tuple[Thumbnail | None, str]:
        nonlocal done
        done += 1
        try:
            if path is None:
                return None, ""
            image = load_image(path)
            found = engine.map(image, texts.get(path))
        except (RealmError, MemoryError) as error:
            return None, str(error)
        finally:
            advance(done)
        picture = draw_map(found, image, colour_limits(found), longest_px=MAP_PX).painted
        note = "nothing stands out" if found.stands_out is False else "; ".join(found.texts)
        return thumbnails.of_pixels(picture, MAP_PX), note

    return draw
