"""YAML is read without its surprises."""

import pytest

from penstock.errors import ConfigError
from penstock.settings.document import Listing, Scalar, Table, read_document
from penstock.settings.faults import Faults


def faults_of(text: str) -> list[str]:
    faults = Faults()
    read_document(text, faults)
    with pytest.raises(ConfigError) as caught:
        faults.raise_if_any("x")
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_nodes_remember_where_they_stand() -> None:
    faults = Faults()
    root = read_document("a: 1\nb:\n  - 'x'\n  - {c: y}\n", faults)
    faults.raise_if_any("x")
    assert root == Table(
        "line 1",
        {
            "a": Scalar("1", "line 1"),
            "b": Listing(
                "line 3",
                [
                    Scalar("x", "line 3", quoted=True),
                    Table("line 4", {"c": Scalar("y", "line 4")}),
                ],
            ),
        },
    )


def test_every_key_that_appears_twice_is_refused_with_both_lines() -> None:
    assert faults_of("a: 1\nb: {c: 1,\n  c: 2}\na: 2\n") == [
        "b.c: appears twice, first on line 2 (line 3)",
        "a: appears twice, first on line 1 (line 4)",
    ]


@pytest.mark.parametrize("text", ["a: &x 1", "a: [&x {}]", "a: *x", "a: &x 1\nb: *x"])
def test_anchors_and_aliases_are_refused(text: str) -> None:
    assert faults_of(text) == [
        "not valid YAML: anchors and aliases are not supported: repeat the value (line 1)"
    ]


@pytest.mark.parametrize("tag", ["!!python/object:os.system", "!x", "!!binary", "!!set"])
def test_tags_are_refused(tag: str) -> None:
    (fault,) = faults_of(f"a: {tag} {{b: 1}}")
    assert fault.endswith("is not supported (line 1)")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: [1", "not valid YAML: while parsing a flow sequence"),
        ("a: 1\n b: 2", "not valid YAML: mapping values are not allowed here (line 2)"),
        ("a: 1\n---\nb: 2", "not valid YAML: expected a single document"),
        ("\x01", "not valid YAML: unacceptable character"),
        ("[" * 100_000, "not valid YAML: nested too deeply"),
        ("? [a]\n: 1", "a key must be a plain word"),
    ],
)
def test_what_is_not_yaml_is_one_fault(text: str, fault: str) -> None:
    (found,) = faults_of(text)
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("-7", -7), ("1_000", 1000), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0),
     ("true", True), ("False", False), ("", None), ("~", None), ("null", None),
     ("yes", "yes"), ("on", "on"), ("0x10", "0x10"), ("1:30", "1:30"), ("1e999", "1e999"),
     ("nan", "nan"), (".inf", ".inf"), ("2024-01-01", "2024-01-01"), ("1__0", "1__0")],
)  # fmt: skip
def test_a_plain_scalar_means_what_yaml_1_2_says(text: str, value: object) -> None:
    found = Scalar(text, "").value
    assert found == value
    assert type(found) is type(value)
    assert Scalar(text, "", quoted=True).value == text
