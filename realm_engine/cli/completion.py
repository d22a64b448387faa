"""`realm-engine completion`: what makes a shell complete commands, options and their values."""

import click
from click.shell_completion import get_completion_class

from realm_engine.cli.command import Verb

PROGRAM = "realm-engine"
VARIABLE = "_REALM_ENGINE_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command(cls=Verb)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options and values.

    \b
    bash: eval "$(realm-engine completion bash)"          in ~/.bashrc
    zsh:  eval "$(realm-engine completion zsh)"           in ~/.zshrc
    fish: realm-engine completion fish | source           in ~/.config/fish/config.fish
    """
    found = get_completion_class(shell)
    assert found is not None, shell
    script = found(context.find_root().command, {}, PROGRAM, VARIABLE)
    click.echo((script.source_template % script.source_vars()).strip())
