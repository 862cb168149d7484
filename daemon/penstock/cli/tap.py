"""`penstock tap`: readings as they come."""

import secrets
from typing import Annotated

import typer

from penstock.cli.configuration import ConfigFile, FileArgument, one_of, settings_from


def tap(
    file: FileArgument = None,
    config: ConfigFile = None,
    *,
    tenant: Annotated[
        str | None, typer.Option(help="Only readings of this tenant.", show_default=False)
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Only readings of this device.", show_default=False)
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="End after so many readings.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
) -> None:
    """Print readings as they come from the broker, until Ctrl-C.

    They come through a session of its own, at QoS 0, which leaves the daemon's alone and nothing
    behind; nothing is stored or acknowledged. Output that is not read quickly enough is left out,
    and the end says how much that was. On a busy broker, choose a tenant or a device: the broker
    then sends only theirs.

    Over MQTT 3.1.1 or WebSockets, if ended before it listens, it may leave an empty session
    penstock-tap-… for as long as the broker keeps those.
    """
    import uvloop

    from penstock.cli.tapping import Tapping
    from penstock.cli.wanted import Wanted

    settings = settings_from(one_of(file, config))
    wanted = Wanted(tenant=tenant, device=device)
    tapping = Tapping(settings, wanted, secrets.token_hex(4), as_json=json, max_readings=count)
    uvloop.run(tapping.run())
