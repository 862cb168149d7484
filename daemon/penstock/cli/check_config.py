"""`penstock check-config`: is this configuration usable?"""

from typing import Annotated

import typer

from penstock.cli.configuration import ConfigFile, FileArgument, one_of, settings_from
from penstock.cli.output import say
from penstock.errors import ConfigError


def check_config(
    file: FileArgument = None,
    config: ConfigFile = None,
    *,
    show: Annotated[
        bool, typer.Option("--show", help="Print every setting in force; secrets show as ***.")
    ] = False,
) -> None:
    """Say everything that is wrong with a configuration.

    The exit status is 0 when nothing is wrong with it, and 2 when something is. Overrides in the
    environment count, and secrets are read from where they are. Neither the broker nor the database
    is asked; what is in certificates, and whether addresses are free, only `penstock run` tries.
    """
    from penstock.settings.dump import as_yaml

    checked = one_of(file, config)
    if checked is None:
        raise ConfigError("name the file to check: penstock check-config FILE")
    settings = settings_from(checked)
    say(as_yaml(settings).rstrip("\n") if show else f"{checked}: valid")
