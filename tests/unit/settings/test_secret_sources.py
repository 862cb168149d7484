"""Secrets come from files, credentials and the environment, and show themselves nowhere."""

from pathlib import Path

import pytest

from penstock.errors import ConfigError
from penstock.settings.dump import as_yaml
from penstock.settings.loader import Loaded, load_with_warnings, parse
from penstock.settings.secret import Secret, redact_urls
from penstock.settings.secret_sources import SecretSources


def loaded(source: str, **environ: str) -> Loaded:
    return parse(f"mqtt:\n  password: {source}\n", environ)


def fault_of(source: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(source, **environ)
    (fault,) = str(caught.value).splitlines()[1:]
    assert fault.startswith("  mqtt.password: ")
    return fault.removeprefix("  mqtt.password: ").removesuffix(" (line 2)")


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    file.chmod(0o600)
    return file


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        ("s", "s"),
        ("s\n", "s"),
        ("s\r\n", "s"),
        ("s\n\n", "s\n"),
        (" s ", " s "),
        ("pässwörd", "pässwörd"),
    ],
)
def test_a_file_gives_its_text_without_one_last_newline(
    secret_file: Path, content: str, secret: str
) -> None:
    secret_file.write_text(content, newline="")
    assert loaded(f"{{file: {secret_file}}}").settings.mqtt.password == Secret(secret)


def test_a_credential_is_a_file_in_the_directory_that_systemd_names(secret_file: Path) -> None:
    settings = loaded(
        "{credential: secret}", CREDENTIALS_DIRECTORY=str(secret_file.parent)
    ).settings
    assert settings.mqtt.password == Secret("s3cret")
    assert fault_of("{credential: secret}").startswith("CREDENTIALS_DIRECTORY is not set")
    for name in ("../secret", "..", "/etc/passwd"):
        fault = fault_of(f"{{credential: {name}}}", CREDENTIALS_DIRECTORY=str(secret_file.parent))
        assert fault == f"{name} is not the name of a credential"


def test_a_variable_of_the_environment_gives_its_value() -> None:
    assert loaded("{env: BROKER_PASSWORD}", BROKER_PASSWORD=" s ").settings.mqtt.password == Secret(
        " s "
    )
    assert fault_of("{env: ABSENT}") == "the environment variable ABSENT is not set"


@pytest.mark.parametrize(
    "source", ["{}", "{file: a, env: b}", "{vault: x}", "{file: [a]}", "{file: ''}", "{file: }"]
)
def test_any_other_form_is_refused_with_the_forms_that_there_are(source: str) -> None:
    assert "{file: /path}, {credential: name} or {env: NAME}" in fault_of(source)


def test_what_cannot_be_a_secret_is_refused(secret_file: Path) -> None:
    assert fault_of("{file: /absent}") == "cannot read /absent: No such file or directory"
    assert fault_of("{file: /dev/zero}") == "/dev/zero is longer than 65536 bytes"
    secret_file.write_text("")
    assert fault_of(f"{{file: {secret_file}}}") == f"the file {secret_file} is empty"
    secret_file.write_bytes(b"\xff")
    assert fault_of(f"{{file: {secret_file}}}") == f"{secret_file} is not UTF-8"


def test_a_file_that_everybody_can_read_is_a_warning(secret_file: Path) -> None:
    assert loaded(f"{{file: {secret_file}}}").warnings == []
    secret_file.chmod(0o644)
    (warning,) = loaded(f"{{file: {secret_file}}}").warnings
    assert (
        warning
        == f"{secret_file} holds a secret and everybody can read it: chmod o-r {secret_file}"
    )


@pytest.mark.parametrize(
    ("dsn", "mode", "warned"),
    [
        ("postgresql://joe:s3cret@db/x", 0o644, True),
        ("postgresql://joe:s3cret@db/x", 0o640, False),
        ("postgresql://joe@db/x", 0o644, False),
        ("{env: DSN}", 0o644, False),
    ],
)
def test_a_configuration_that_everybody_can_read_is_a_warning_when_a_password_stands_in_it(
    tmp_path: Path, dsn: str, mode: int, warned: bool
) -> None:
    file = tmp_path / "penstock.yaml"
    file.write_text(f"storage:\n  dsn: {dsn}\n")
    file.chmod(mode)
    secret = "postgresql://joe:s3cret@db/x"
    warnings = load_with_warnings(file, {"DSN": secret}).warnings
    assert [text.split(":")[0] for text in warnings] == [
        f"{file} holds a password and everybody can read it"
    ] * warned
    assert "s3cret" not in "".join(warnings)


def test_a_configuration_that_is_replaced_after_it_was_read_is_no_error(tmp_path: Path) -> None:
    sources = SecretSources({}, tmp_path / "replaced.yaml")
    dsn = "postgresql://joe:s3cret@db/x"
    assert sources.literal(dsn).reveal() == dsn
    assert sources.warnings == []


def test_a_secret_shows_itself_nowhere(secret_file: Path) -> None:
    found = parse(
        f"mqtt: {{password: {{file: {secret_file}}}}}\n"
        "storage: {dsn: 'postgresql://joe:s3cret@db/x'}",
        {},
    )
    for shown in (repr(found), str(found.settings), as_yaml(found.settings), f"{found}"):
        assert "s3cret" not in shown
        assert "***" in shown


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("postgresql://joe:pw@db/x", "postgresql://***@db/x"),
        ("cannot reach mqtt://joe@h: refused", "cannot reach mqtt://***@h: refused"),
        ("a://b:p@ss@c d://e:f@g", "a://***@c d://***@g"),
        ("https://h/a@b", "https://h/a@b"),
        ("joe@example", "joe@example"),
    ],
)
def test_credentials_are_taken_out_of_urls(text: str, redacted: str) -> None:
    assert redact_urls(text) == redacted
