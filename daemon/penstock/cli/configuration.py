"""How every command comes by its settings."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.output import remark
from penstock.errors import ConfigError

if TYPE_CHECKING:
    from penstock.settings.loader import Loaded
    from penstock.settings.tree import Settings

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The configuration, in YAML. Without it the defaults hold; PENSTOCK_… variables "
        "override both.",
        show_default=False,
    ),
]

FileArgument = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="The same as --config FILE.", show_default=False),
]


def one_of(file: Path | None, config: Path | None) -> Path | None:
    """The file that was named in either form; `ConfigError` when both name one."""
    if file is not None and config is not None:
        raise ConfigError(f"which configuration: {file} or {config}? Name one")
    return config if file is None else file


def settings_from(file: Path | None) -> "Settings":
    """The settings for a command that does one thing and ends.

    What is doubtful about them goes to standard error, and so does what the layers below log as a
    warning.
    Errors: `ConfigError` that names every fault.
    """
    from penstock.observability import logs
    from penstock.settings.tree import Log

    logs.configure(Log(level="warning", format="console"))
    settings, warnings = load(file)
    for warning in warnings:
        remark(f"warning: {warning}")
    return settings


def load(file: Path | None) -> "Loaded":
    """The settings in `file` under the environment's overrides, with what is doubtful about them.

    Errors: `ConfigError` that names every fault.
    """
    from penstock.settings.loader import load_with_warnings
    from penstock.topics.routes import add_route_faults

    return load_with_warnings(file, os.environ, add_route_faults)
