"""--into BUNDLE NEW, for every command whose run can become a measure of a bundle."""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from realm_train.errors import ConfigError


@dataclass(frozen=True)
class Into:
    """A bundle, the folder of the same with one measure more, and the terms of that measure."""

    bundle: str
    output: Path
    licence: str
    training_data: str
    commercial_use: bool

    def add(self, option: str, run: Path) -> None:
        """Have the export do it, in a process of its own: it stands above training and is not imported here.

        Ends the command with the export's exit code where it fails; the run stays.
        """
        command = [sys.executable, "-m", "export", "--into", self.bundle, option, str(run)]
        command += ["--output", str(self.output), "--licence", self.licence]
        command += ["--training-data", self.training_data]
        command += ["--commercial-use"] if self.commercial_use else []
        done = subprocess.run(command, check=False)
        if done.returncode:
            raise click.exceptions.Exit(done.returncode)


def into_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options, which reach it as `into`, an `Into` or None."""

    @click.option(
        "--into", "bundle_and_output", nargs=2, metavar="BUNDLE NEW",
        help="Also write BUNDLE with this measure in it as the folder NEW, as python -m export --into does.",
    )  # fmt: skip
    @click.option("--licence", metavar="TEXT|FILE", help="--into: the licence of what was learnt.")
    @click.option("--training-data", metavar="TEXT", help="--into: one line about the ratings and pictures.")
    @click.option("--commercial-use", is_flag=True, help="--into: that licence allows commercial use.")
    @functools.wraps(command)
    def with_into(
        bundle_and_output: tuple[str, str] | None,
        licence: str | None,
        training_data: str | None,
        commercial_use: bool,
        **options: Any,
    ) -> Any:
        if bundle_and_output is None:
            if licence is not None or training_data is not None or commercial_use:
                raise ConfigError(
                    "--licence, --training-data and --commercial-use without --into; leave them out"
                )
            return command(into=None, **options)
        if licence is None or training_data is None:
            raise ConfigError(
                "--into: say --licence and --training-data of what was learnt; a bundle states both"
            )
        if importlib.util.find_spec("export") is None:
            raise ConfigError(
                "--into: the export runs from a clone of the repository; run this command there"
            )
        bundle, output = bundle_and_output
        return command(into=Into(bundle, Path(output), licence, training_data, commercial_use), **options)

    return with_into
