"""`realm-engine`: the group of verbs, and what becomes of errors.

Exit codes: 0 all done; 1 some inputs failed, the others are done; 2 nothing could be done; 130 interrupted.
"""

import errno
import io
import os
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import click

from realm_engine.cli.build import build
from realm_engine.cli.cache import cache
from realm_engine.cli.command import SETTINGS, Verbs, with_running
from realm_engine.cli.compare import compare
from realm_engine.cli.completion import completion
from realm_engine.cli.configuration import configure, with_settings
from realm_engine.cli.doctor import doctor
from realm_engine.cli.export_triton import export_triton
from realm_engine.cli.info import info
from realm_engine.cli.map import map_command
from realm_engine.cli.measures import measures
from realm_engine.cli.models import models
from realm_engine.cli.progress import TERMINAL
from realm_engine.cli.report import report
from realm_engine.cli.score import score
from realm_engine.cli.serve import serve
from realm_engine.cli.tune import tune
from realm_engine.cli.verify import verify
from realm_engine.errors import RealmError, heeding_interrupts
from realm_engine.verbs.paths import GivenPath
from realm_engine.verbs.strict import fail_if_warned, heed_warnings

INTERRUPTED = 130
# What writing to a standard stream fails with: a full disk, a quota, a device that is gone, a stream that is closed.
_FULL = {errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


class _Group(Verbs):
    """Turns a user's errors into one line on stderr and an exit code; any other exception is a bug."""

    def main(self, *args: Any, **options: Any) -> Any:
        """See `click.Group.main`."""
        if sys.stdout is not None and sys.stdout is sys.__stdout__:
            _keep_stdout()
        return super().main(*args, **options)

    def invoke(self, context: click.Context) -> Any:
        try:
            with heeding_interrupts():
                done = super().invoke(context)
        except RealmError as error:
            TERMINAL.error(f"error: {error}")
            _forget_stdout()
            context.exit(error.exit_code)
        except MemoryError:
            TERMINAL.error("error: not enough memory; give more with --max-memory, or smaller pictures")
            _forget_stdout()
            context.exit(2)
        except OSError as error:
            if error.filename is not None or error.errno not in _FULL:
                raise  # a bug; a closed pipe is click's
            TERMINAL.error(f"error: standard output: cannot be written ({error.strerror})")
            _forget_stdout()
            context.exit(2)
        except KeyboardInterrupt:
            TERMINAL.error("interrupted")
            _forget_stdout()
            if _someone_works():
                os._exit(INTERRUPTED)
            context.exit(INTERRUPTED)
        else:
            fail_if_warned(context, TERMINAL.warned, TERMINAL.error)
            return done


def _someone_works() -> bool:
    """Whether threads are at work that Python would wait for: they decode, which takes seconds, for nobody.

    Tables and journals are whole by then, and temporary files removed: this thread has left all of its blocks.
    """
    main, here = threading.main_thread(), threading.current_thread()
    return any(each not in (main, here) and not each.daemon for each in threading.enumerate())


def _keep_stdout() -> None:
    """Keep standard output for results: what a runtime's library prints there goes to standard error instead."""
    old = sys.stdout
    try:
        if not isinstance(old, io.TextIOWrapper) or old.fileno() != 1:
            return
        old.flush()
        kept = os.dup(1)
    except OSError:  # it is closed or cannot be written, which whoever writes to it finds out
        return
    try:
        os.dup2(2, 1)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
    binary = os.fdopen(kept, "wb")
    sys.stdout = io.TextIOWrapper(
        binary, old.encoding, old.errors, line_buffering=old.line_buffering, write_through=old.write_through
    )


def _forget_stdout() -> None:
    """Where what waits in it cannot be written, Python would say so once more, and end with a code of its own."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@click.group("realm-engine", cls=_Group, context_settings=SETTINGS)
@click.version_option(package_name="realm-engine", prog_name="realm-engine")
@click.option(
    "--config",
    type=GivenPath(path_type=Path),
    metavar="FILE",
    help="Settings in TOML instead of the user's own; REALM_CONFIG says the same. realm-engine info shows them.",
)
@click.pass_context
def main(context: click.Context, config: Path | None) -> None:
    """How real images look (score), where they do not (map), and which generator is better (compare)."""
    TERMINAL.reset()
    configure(context, main, config)
    heed_warnings(TERMINAL.warn)
    # A broken image gets its own line from us; Pillow's remarks on its metadata help nobody.
    warnings.filterwarnings("ignore", module=r"PIL\.")


for _command in (
    score,
    map_command,
    compare,
    report,
    serve,
    measures,
    tune,
    info,
    verify,
    models,
    doctor,
    build,
    cache,
    export_triton,
    completion,
):
    main.add_command(with_settings(with_running(_command)))
