"""Options of the verbs that write a page."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from realm_engine.cli.options import COMMAND, measure_options, output_option, resume_option
from realm_engine.verbs.paths import GivenPath


def page_options(headline: str, resumes: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--headline, --output, --maps, --no-gallery, --resume and `measure_options`, handed on as `page: PageOptions` and
    `options: EngineOptions`. `headline`: what it is here; `resumes`: what is reused.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def collected(
            *args: Any,
            asked: Any,
            batch_size: int | None,
            headline: str | None,
            output: Path,
            maps: int | None,
            gallery: bool,
            resume: str | None,
            **others: Any,
        ) -> Any:
            from realm_engine.verbs.report.options import PageOptions

            page = PageOptions(
                output=output,
                asked=asked,
                headline=headline,
                maps=maps,
                gallery=gallery,
                batch_size=batch_size,
                resume=resume,
                command=click.get_current_context().meta[COMMAND],
            )
            return command(*args, page=page, **others)

        decorated: Callable[..., Any] = measure_options(collected)
        for option in (
            resume_option(resumes),
            click.option("--gallery/--no-gallery", default=True, help="Whether the page shows pictures."),
            click.option(
                "--maps",
                type=click.IntRange(0, 24),
                help="Of how many pictures of each kind the page shows a map. [default: report 8, compare 0]",
            ),
            output_option(
                type=GivenPath(path_type=Path),
                required=True,
                metavar="DIR",
                help="Folder to write into: report.html, report.json, scores.csv.",
            ),
            click.option(
                "--headline",
                metavar="NAME",
                help=f"{headline} [default: the bundle's first, where it is taken]",
            ),
        ):
            decorated = option(decorated)
        return decorated

    return decorate
