"""Loading reports every fault at once, with its path and place."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from penstock.errors import ConfigError
from penstock.settings.loader import load, parse
from penstock.settings.secret import Secret
from penstock.settings.tree import Route, Settings
from penstock.topics.routes import add_route_faults
from tests.support.settings_tree import leaves

NO_ADDRESS = "expected host:port or [ipv6]:port with a port from 0 to 65535"
NO_ROOM = "the queue must hold at least one batch"


def faults_of(text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, environ)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def settings_of(text: str, **environ: str) -> Settings:
    return parse(text, environ).settings


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "---\n", "mqtt:\nstorage:\n"])
def test_what_is_not_said_has_its_default(text: str) -> None:
    assert settings_of(text) == Settings()


def test_without_a_file_the_environment_alone_decides() -> None:
    settings = load(None, {"PENSTOCK_MQTT__CLIENT_ID": "north"})
    assert settings.mqtt.client_id == "north"
    assert settings.storage == Settings().storage


def test_every_fault_is_reported_at_once_with_its_path_and_place() -> None:
    text = """\
mqtt:
  receive_maximum: 99999
  keepalive_seconds: soon
routes:
  - topic: a/{tenant}/{device}
  - topic: ""
    format: xml
  - format: flat
limits: [1, 2]
log:
  level: loud
"""
    assert faults_of(text, PENSTOCK_STORAGE__WRITERS="2", PENSTOCK_HTTP__LISTEN="9464") == [
        "mqtt.receive_maximum: expected an integer from 1 to 65535, got 99999 (line 2)",
        'mqtt.keepalive_seconds: expected an integer from 5 to 65535, got "soon" (line 3)',
        'routes[1].topic: expected non-empty text, got "" (line 6)',
        'routes[1].format: expected one of envelope, flat, scalar, got "xml" (line 7)',
        "routes[2].topic: is required (line 8)",
        "limits: expected a section, got a list (line 9)",
        'log.level: expected one of debug, error, info, warning, got "loud" (line 11)',
        f"http.listen: {NO_ADDRESS} (PENSTOCK_HTTP__LISTEN)",
    ]


def test_a_fault_between_settings_has_the_line_of_the_setting_or_of_its_section() -> None:
    text = """\
mqtt:
  url: http://broker
  tls:
    cert_file: THIS_FILE
storage:
  queue_rows: 10
  dsn: nonsense
http: {listen: nowhere}
""".replace("THIS_FILE", __file__)
    assert [fault.rpartition(" (")[::2] for fault in faults_of(text)] == [
        ("mqtt.url: expected mqtt://, mqtts://, ws:// or wss://, then host and port", "line 2)"),
        ("mqtt.tls.key_file: is required with mqtt.tls.cert_file", "line 4)"),
        ("storage.dsn: expected postgresql://user@host:port/database", "line 7)"),
        (
            f"storage.queue_rows: {NO_ROOM}: 10 < storage.batch_rows 5000",
            "line 6)",
        ),
        (f"http.listen: {NO_ADDRESS}", "line 8)"),
    ]


def test_a_fault_of_a_template_has_the_line_of_its_topic() -> None:
    text = "routes:\n  - topic: a/{tenant}/{device}\n  - format: flat\n    topic: a//b\n"
    with pytest.raises(ConfigError, match=r"routes\[1\]\.topic: .* \(line 4\)"):
        parse(text, {}, check_routes=add_route_faults)


def test_the_heading_names_the_file_and_counts_the_faults(tmp_path: Path) -> None:
    file = tmp_path / "penstock.yaml"
    file.write_text("mqtt: {qos: 2}\nlog: {level: x}\n")
    with pytest.raises(ConfigError, match=f"^{file}: 2 errors\n"):
        load(file, {})


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        (
            "mqtt: {recieve_maximum: 1}",
            "mqtt.recieve_maximum",
            "did you mean mqtt.receive_maximum?",
        ),
        ("storrage: {}", "storrage", "did you mean storage?"),
        ("mqtt: {batch_rows: 1}", "mqtt.batch_rows", "did you mean storage.batch_rows?"),
        ("dsn: x", "dsn", "did you mean storage.dsn?"),
        ("routes: [{topic: t, fromat: x}]", "routes[0].fromat", "did you mean routes[0].format?"),
        ("http: {zzzz: 1}", "http.zzzz", "known here: listen"),
    ],
)
def test_an_unknown_key_is_refused_with_what_was_probably_meant(
    text: str, key: str, advice: str
) -> None:
    assert faults_of(text) == [f"{key}: unknown key; {advice} (line 1)"]


def bounded_integers() -> list[tuple[str, inspect.IntType]]:
    kinds = [(leaf.path, inspect.type_info(leaf.hint)) for leaf in leaves()]
    return [
        (path, kind)
        for path, kind in kinds
        if isinstance(kind, inspect.IntType) and not path.startswith("routes")
    ]


@pytest.mark.parametrize(("path", "kind"), bounded_integers())
def test_every_integer_has_a_lower_bound_that_holds(path: str, kind: inspect.IntType) -> None:
    section, _, name = path.rpartition(".")
    assert kind.ge is not None
    faults = faults_of(f"{section}: {{{name}: {kind.ge - 1}}}")
    assert len(faults) == 1
    assert faults[0].startswith(f"{path}: expected an integer ")


@pytest.mark.parametrize("path", ["mqtt.receive_maximum", "mqtt.keepalive_seconds"])
def test_an_upper_bound_is_itself_allowed(path: str) -> None:
    section, _, name = path.partition(".")
    kind = dict(bounded_integers())[path]
    assert kind.le is not None
    settings = settings_of(f"{section}: {{{name}: {kind.le}}}")
    assert getattr(getattr(settings, section), name) == kind.le
    assert faults_of(f"{section}: {{{name}: {kind.le + 1}}}")


@pytest.mark.parametrize(
    ("written", "tenant"),
    [("007", "007"), ("1e3", "1e3"), ("yes", "yes"), ("true", "true"), ("'null'", "null"),
     ("2024-01-01", "2024-01-01"), ("1:30", "1:30"), ("0x1F", "0x1F"), ("null", None)],
)  # fmt: skip
def test_text_is_taken_as_it_is_written(written: str, tenant: str | None) -> None:
    settings = settings_of(f"routes:\n  - topic: t/{{device}}\n    tenant: {written}\n")
    assert settings.routes == (Route(topic="t/{device}", tenant=tenant),)


@pytest.mark.parametrize("topic", ["{tenant}/{device}", "{device}"])
def test_a_template_that_begins_with_a_brace_needs_quotes_and_the_fault_says_so(topic: str) -> None:
    assert settings_of(f"routes:\n  - topic: '{topic}'").routes == (Route(topic=topic),)
    (fault,) = faults_of(f"routes:\n  - topic: {topic}")
    assert fault.endswith('; put text that begins with "{" in quotes (line 2)')


@pytest.mark.parametrize("written", ["5", "'5'", "3.1.1"])
def test_the_protocol_needs_no_quotes(written: str) -> None:
    assert settings_of(f"mqtt: {{protocol: {written}}}").mqtt.protocol == written.strip("'")


@pytest.mark.parametrize(
    "written", ["'30'", "nan", ".inf", "1e999", "yes", "null", "[30]", "0", "-1", "9" * 5000]
)
def test_a_number_is_a_finite_unquoted_number_in_its_bounds(written: str) -> None:
    (fault,) = faults_of(f"shutdown_timeout_seconds: {written}")
    assert fault.startswith("shutdown_timeout_seconds: expected a number > 0 and <= 86400, got ")
    assert len(fault) < 200


def test_whole_numbers_serve_as_seconds_and_underscores_group_digits() -> None:
    settings = settings_of("shutdown_timeout_seconds: 5\nstorage: {batch_rows: 10_000}")
    assert settings.shutdown_timeout_seconds == 5.0
    assert settings.storage.batch_rows == 10_000


def test_a_bound_route_list_cannot_be_emptied() -> None:
    assert faults_of("routes: []") == ["routes: expected at least 1, got 0 (line 1)"]
    assert faults_of("routes:") == ["routes: expected a list, got null (line 1)"]


def test_the_faults_hold_no_secret() -> None:
    text = """\
mqtt: {url: "mqtt://joe:hunter2@broker", password: hunter2, pasword: hunter2}
storage: postgresql://joe:hunter2@db/x
routes: [{topic: {hunter2: hunter2}}]
"""
    message = "\n".join(faults_of(text, PENSTOCK_LIMITS__DNS="hunter2", PENSTOCK_MQTT__QOS="9"))
    assert "mqtt.password" in message
    assert "mqtt.pasword" in message
    assert "storage: expected a section" in message
    assert message.count("hunter2") == 0


def test_a_literal_password_in_the_file_is_refused_with_what_to_do() -> None:
    (fault,) = faults_of("mqtt: {password: x}")
    assert fault.startswith("mqtt.password: a secret does not stand in this file as it is: use ")
    assert "{file: /path}" in fault


@pytest.mark.parametrize(
    "dsn", ["postgresql://db/x", "postgres://joe:pw@db:5432/x?sslmode=require"]
)
def test_a_dsn_may_stand_in_the_file(dsn: str) -> None:
    settings = settings_of(f"storage:\n  dsn: {dsn}\n")
    assert settings.storage.dsn == Secret(dsn)
    assert "db" not in repr(settings.storage)


def test_an_unreadable_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read: No such file"):
        load(tmp_path / "absent.yaml", {})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, {})
    (tmp_path / "latin1.yaml").write_bytes(b"mqtt: {client_id: caf\xe9}")
    with pytest.raises(ConfigError, match=r"latin1\.yaml: not UTF-8 at byte 21"):
        load(tmp_path / "latin1.yaml", {})


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfmqtt: {client_id: x}")
    assert load(tmp_path / "bom.yaml", {}).mqtt.client_id == "x"


@given(st.text() | st.text("[]{}:,-#&*!|>'\"?%@ \n\tabc019.~"))
def test_whatever_the_text_the_outcome_is_settings_or_a_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(parse(text, {}).settings, Settings)


@given(
    st.dictionaries(
        st.sampled_from(
            ["MQTT", "MQTT__QOS", "ROUTES__0__TOPIC", "ROUTES__1", "ROUTES__0__IGNORE_PATHS__0",
             "STORAGE__DSN", "STORAGE__DSN__FILE", "LOG__LEVEL", "__", "", "ROUTES__9999999__X"]
        ).map("PENSTOCK_{}".format),
        st.text(),
    )
)  # fmt: skip
def test_whatever_the_environment_the_outcome_is_settings_or_a_config_error(
    environ: dict[str, str],
) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(load(None, environ), Settings)
