"""`realm-engine serve`: scores and maps over HTTP."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realm_engine.cli.command import Verb
from realm_engine.cli.options import engine_options
from realm_engine.cli.progress import TERMINAL
from realm_engine.verbs.paths import GivenPath

if TYPE_CHECKING:
    from realm_engine.verbs.options import EngineOptions

_SECONDS = click.FloatRange(min=0.1)


@click.command(cls=Verb)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; this machine's own."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="0: any that is free, which is said on stderr.",
)
@click.option(
    "--token-file",
    type=GivenPath(path_type=Path),
    metavar="FILE",
    help="File of the token that requests must bear; REALM_SERVE_TOKEN holds one as well. Needed where --host is not "
    "this machine's own.",
)
@click.option(
    "--with",
    "more",
    multiple=True,
    metavar="NAME|DIR",
    help="A further bundle whose measures may be asked for; may be repeated.",
)
@click.option(
    "--max-upload",
    default="64M",
    show_default=True,
    metavar="SIZE",
    help="Size of a request, images and all.",
)
@click.option(
    "--max-images", type=click.IntRange(min=1), default=64, show_default=True, help="Images of a request."
)
@click.option(
    "--max-windows",
    type=click.IntRange(min=1),
    default=250_000,
    show_default=True,
    help="Windows of a map; a picture that has more is an error of its own.",
)
@click.option(
    "--queue",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Images that may wait; whoever asks beyond is told to come back (429).",
)
@click.option(
    "--upload-timeout",
    type=_SECONDS,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="For a request to arrive.",
)
@click.option(
    "--timeout",
    type=_SECONDS,
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="For its answer from then on.",
)
@click.option(
    "--drain",
    type=click.FloatRange(min=0.0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="For what was accepted, when SIGTERM or Ctrl-C ends the server.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Let pages of this origin ask (https://example.org); may be repeated. [default: none]",
)
@click.option(
    "--access-log", is_flag=True, help="A line per request on stderr, as -v gives; never what is in it."
)
@engine_options
def serve(
    host: str,
    port: int,
    token_file: Path | None,
    more: tuple[str, ...],
    max_upload: str,
    max_images: int,
    max_windows: int,
    queue: int,
    upload_timeout: float,
    timeout: float,
    drain: float,
    origins: tuple[str, ...],
    access_log: bool,
    options: "EngineOptions",
) -> None:
    """Score and map images over HTTP: POST /v1/score and /v1/map, form field images; /docs says the rest.

    Ends on SIGTERM or Ctrl-C once all that was accepted is answered; exit code 1 where something was not.
    """
    from realm_engine.verbs.serve.ready import need_packages
    from realm_engine.verbs.serve.settings import ServeSettings, read_size, read_token

    need_packages("realm-engine serve")
    from realm_engine.verbs.serve.run import serve as serve_images

    settings = ServeSettings(
        host,
        port,
        read_token(token_file),
        read_size("--max-upload", max_upload),
        max_images,
        queue,
        upload_timeout,
        timeout,
        drain,
        max_windows,
        origins,
        access_log,
    )
    ended = serve_images(settings, replace(options, more=more), TERMINAL)
    if not ended.idle:
        # A call of the model still runs, for nobody, and Python would not end well under it.
        sys.stderr.flush()
        os._exit(0 if ended.answered else 1)
    if not ended.answered:
        click.get_current_context().exit(1)
