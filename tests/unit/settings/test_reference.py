"""What people read about the configuration is what the tree says."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from penstock.settings.dump import redacted
from penstock.settings.loader import load_with_warnings, parse
from penstock.settings.tree import Settings
from penstock.settings.wording import expectation
from penstock.topics import Router
from tests.support.settings_tree import leaves

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "config" / "penstock.yaml"
GUIDE = ROOT / "docs" / "configuration.md"
OPERATIONS = ROOT / "docs" / "operations.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text() + OPERATIONS.read_text(), re.DOTALL)


def keys_of(node: object, path: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for key, child in node.items():
            yield from keys_of(child, f"{path}.{key}" if path else key)
    elif isinstance(node, list | tuple) and node:
        for child in node:
            yield from keys_of(child, f"{path}[]")
    else:
        yield path


def test_the_reference_has_every_key_and_no_other_in_the_order_of_the_tree() -> None:
    written = list(keys_of(yaml.safe_load(REFERENCE.read_text())))
    assert written == [leaf.path for leaf in leaves()]


def test_the_reference_has_every_default() -> None:
    loaded = load_with_warnings(REFERENCE, {})
    assert loaded.settings == Settings()
    assert loaded.warnings == []


def test_a_dump_has_the_keys_of_the_reference() -> None:
    assert list(keys_of(redacted(Settings()))) == list(
        keys_of(yaml.safe_load(REFERENCE.read_text()))
    )


def test_the_guide_lists_every_key_with_its_default_and_bounds() -> None:
    rows = re.findall(
        r"^\| `([a-z_.\[\]]+)` \| `(.*?)` \| (.*?) \|", GUIDE.read_text(), re.MULTILINE
    )
    defaults = dict(flat(yaml.safe_load(REFERENCE.read_text())))
    assert rows == [
        (leaf.path, as_written(defaults[leaf.path]), bounds(leaf.path, leaf.hint))
        for leaf in leaves()
    ]


def bounds(path: str, hint: object) -> str:
    if path in {"mqtt.password", "storage.dsn"}:
        return "a secret" + (" or null" if path == "mqtt.password" else "")
    if path == "routes[].ignore_paths":
        return "a list of text"
    return expectation(hint).replace("|", "\\|")


def flat(node: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(node, dict):
        for key, child in node.items():
            yield from flat(child, f"{path}.{key}" if path else key)
    elif isinstance(node, list) and node:
        yield from flat(node[0], f"{path}[]")
    else:
        yield path, node


def as_written(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_docs_are_valid_but_for_files_that_are_not_here(example: str) -> None:
    text = re.sub(r"\{(file|credential): [^}]*\}", "{env: SECRET}", example)
    text = re.sub(r"(_file): \S+", rf"\1: {REFERENCE}", text)
    settings = parse(text, {"SECRET": "postgresql://db/penstock"}).settings
    assert Router(settings.routes, settings.limits).filters
