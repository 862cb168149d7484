"""The settings in force, for people to read; secrets show as `***`."""

import msgspec
import yaml

from penstock.settings.tree import Settings


def redacted(settings: Settings) -> dict[str, object]:
    """The tree as plain mappings and lists."""
    tree: dict[str, object] = msgspec.to_builtins(settings, enc_hook=str)
    return tree


def as_yaml(settings: Settings) -> str:
    """The tree as YAML, in the order of the reference."""
    return yaml.safe_dump(redacted(settings), sort_keys=False, allow_unicode=True)
