"""`realm-train`: the group of verbs, loaded when asked for, and what becomes of errors.

Exit codes: 0 done; 1 done, with a warning and --strict; 2 a user's error, one line on stderr; 130 interrupted.
"""

import importlib
from typing import Any

import click

from realm_engine.errors import RealmError, heeding_interrupts, printable
from realm_engine.machine.packages import needs
from realm_engine.verbs.strict import strictly, with_strict
from realm_engine.verbs.usage import in_one_line
from realm_train.cli.offline import offline_option

INTERRUPTED = 130


def say(line: str) -> None:
    """One line to the user, on stderr."""
    click.echo(printable(line), err=True)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run, so that `--help` does not wait for torch.

    Args of the constructor: `lazy` maps a command's name to ("module:attribute", one line of help).
    """

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order they were given."""
        return [*self.lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self.lazy[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        if not any(parameter.name == "offline" for parameter in command.params):
            command.params.append(offline_option())
        return with_strict(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.lazy.items()])


class TrainGroup(LazyGroup):
    """A user's errors become one line on stderr and an exit code; any other exception is a bug and shows."""

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """See `click.Command.make_context`."""
        with in_one_line():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with in_one_line(), heeding_interrupts(), needs("realm-train", "train"), strictly(ctx, say):
                return super().invoke(ctx)
        except RealmError as error:
            say(f"error: {error}")
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            say("interrupted; the same command with --resume goes on")
            ctx.exit(INTERRUPTED)


_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(
    cls=TrainGroup,
    context_settings=_SETTINGS,
    params=[offline_option()],
    lazy={
        "core": ("realm_train.cli.core:core", "Train CORE: images and descriptions -> MOS of realness."),
        "clip": ("realm_train.cli.clip:clip", "Train the CLIP towers of DREAM: where an image looks unreal."),
        "probe": ("realm_train.cli.probe:probe", "Fit a probe: is a picture a photograph or generated."),
        "ridge": ("realm_train.cli.ridge:ridge", "Learn a measure from 10 to 500 ratings of your own."),
        "active": ("realm_train.cli.active:active", "Choose which pictures to label next."),
        "evaluate": ("realm_train.cli.evaluate:evaluate", "Measure trained models."),
        "import-core": (
            "realm_train.cli.core:import_core",
            "Turn an upstream best_model.pth into a run folder.",
        ),
        "import-probe": (
            "realm_train.cli.probe:import_probe",
            "Turn a published probe's checkpoint into a run folder.",
        ),
    },
)
def main() -> None:
    """Train and measure REALM's models."""


if __name__ == "__main__":
    main()
