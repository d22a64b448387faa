"""Paths as the command lines take them, those of training and export too."""

from __future__ import annotations

from typing import Any

import click


class GivenPath(click.Path):
    """A path that is not empty: as a Path that would be the working folder, and it was a variable that is not set."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.Path.convert`."""
        if value in ("", b""):
            self.fail("a path is empty; give a file or a folder", param, ctx)
        return super().convert(value, param, ctx)
