"""The settings in force, for people to read; secrets show as `***`, a DSN without who logs in."""

from typing import Any

import msgspec
import yaml

from penstock.settings.dsn import place_of
from penstock.settings.tree import Settings


def redacted(settings: Settings) -> dict[str, Any]:
    """The tree as plain mappings and lists."""
    tree: dict[str, Any] = msgspec.to_builtins(settings, enc_hook=str)
    tree["storage"]["dsn"] = place_of(settings.storage.dsn)
    return tree


def as_yaml(settings: Settings) -> str:
    """The tree as YAML, in the order of the reference."""
    return yaml.safe_dump(redacted(settings), sort_keys=False, allow_unicode=True)
