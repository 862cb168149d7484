"""`penstock check-config`: is this configuration usable?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.configuration import settings_from
from penstock.cli.output import say

if TYPE_CHECKING:
    from penstock.settings.tree import Settings


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

    The exit status is 0 when the daemon would start with it, and 2 when not. Overrides in the
    environment count, and secrets are read from where they are. Neither the broker nor the database
    is asked.
    """
    settings = settings_from(file)
    say(_as_yaml(settings) if show else f"{file}: valid")


def _as_yaml(settings: "Settings") -> str:
    import msgspec
    import yaml

    # The only values that need the hook are secrets, which show themselves as ***.
    tree = msgspec.to_builtins(settings, enc_hook=str)
    text: str = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    return text.rstrip("\n")
