"""`penstock check-config`: is this configuration usable?"""

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.configuration import settings_from
from penstock.cli.output import say


def check_config(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The configuration, in YAML.", show_default=False)
    ],
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

    settings = settings_from(file)
    say(as_yaml(settings).rstrip("\n") if show else f"{file}: valid")
