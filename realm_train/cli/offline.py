"""--offline, for every command that may fetch weights."""

import click

from realm_engine.machine.online import is_offline
from realm_train.offline import guard_sockets, tell_libraries


def _stay_offline(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given or is_offline():
        tell_libraries()
        guard_sockets()


def offline_option() -> click.Option:
    """The option; it is heeded before any other, and before a library is imported that would go online."""
    return click.Option(
        ["--offline"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_stay_offline,
        help="Fetch nothing: no connection leaves this machine. REALM_OFFLINE=1 says the same.",
    )
