"""Reads the configuration: a YAML file, the environment's overrides, secrets from their sources.

Every fault is reported at once, with its path and its line; nothing half-read is ever returned. No
fault, warning or dump holds a secret.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from penstock.errors import ConfigError
from penstock.settings.checks import check, notices
from penstock.settings.conversion import to_settings
from penstock.settings.document import Table, places, read_document
from penstock.settings.faults import Faults
from penstock.settings.overrides import overlay
from penstock.settings.secret_sources import SecretSources, referenced_variables
from penstock.settings.tree import Limits, Route, Settings

DEFAULTS_SOURCE = "environment"

RouteCheck = Callable[[Sequence[Route], Limits, Faults], None]
"""Adds what is wrong with routes; `penstock.topics`, which compiles them, knows that."""


class Loaded(NamedTuple):
    """Settings, and what an operator should know about them although they are usable."""

    settings: Settings
    warnings: list[str]


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings in the file at `path`, or the defaults, with the overrides of `environ`.

    Raises `ConfigError` whose text names every fault.
    """
    return load_with_warnings(path, environ).settings


def load_with_warnings(
    path: Path | None, environ: Mapping[str, str], check_routes: RouteCheck | None = None
) -> Loaded:
    """As `load`, with the warnings."""
    if path is None:
        return parse("", environ, DEFAULTS_SOURCE, check_routes)
    return parse(_read(path), environ, str(path), check_routes, file=path)


def parse(
    text: str,
    environ: Mapping[str, str],
    source: str = "configuration",
    check_routes: RouteCheck | None = None,
    *,
    file: Path | None = None,
) -> Loaded:
    """The settings in YAML `text`, with the overrides of `environ`; `source` names it in errors.

    `file` is where the text stands, if it is in one, so that who can read it is looked at.

    Raises `ConfigError` whose text names every fault, those that `check_routes` finds included once
    the routes can be read at all.
    """
    faults, secrets = Faults(), SecretSources(environ, file)
    root = read_document(text, faults)
    if isinstance(root, Table):
        overlay(root, environ, faults, ignore=referenced_variables(root))
    settings = to_settings(root, faults, secrets)
    if check_routes is not None and not faults.within("routes"):
        check_routes(settings.routes, settings.limits, faults)
    check(settings, faults)
    faults.locate(places(root))
    faults.raise_if_any(source)
    return Loaded(settings, [*secrets.warnings, *notices(settings)])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from error
