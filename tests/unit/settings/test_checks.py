"""Rules between settings are checked together with everything else."""

import re
from pathlib import Path

import pytest

from penstock.errors import ConfigError
from penstock.settings.listen import ListenAddress, parse_listen
from penstock.settings.loader import parse

LINE = r" \(line \d+\)$"


def faults_of(text: str) -> list[str]:
    """Every fault; each has its line, which is for the loader's tests to look at."""
    try:
        parse(text, {})
    except ConfigError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        assert all(re.search(LINE, line) for line in lines)
        return [re.sub(LINE, "", line) for line in lines]
    return []


def test_every_fault_of_the_brokers_url_is_told() -> None:
    (fault,) = faults_of("mqtt: {url: 'mqtt://joe:pw@a..b:0'}")
    assert fault == (
        "mqtt.url: its host is no host name: between two dots there are 1 to 63 characters; "
        "expected a port from 1 to 65535; "
        "holds a user name: use mqtt.username and mqtt.password instead"
    )


def test_certificate_and_key_go_together(tmp_path: Path) -> None:
    pem = tmp_path / "x.pem"
    pem.touch()
    template = "mqtt: {{url: 'mqtts://h', tls: {{{}: {}}}}}"
    assert faults_of(template.format("cert_file", pem)) == [
        "mqtt.tls.key_file: is required with mqtt.tls.cert_file"
    ]
    assert faults_of(template.format("key_file", pem)) == [
        "mqtt.tls.cert_file: is required with mqtt.tls.key_file"
    ]
    assert faults_of(template.format("ca_file", pem)) == []
    assert faults_of(template.format("ca_file", tmp_path)) == [
        f"mqtt.tls.ca_file: there is no file {tmp_path}"
    ]


def test_tls_files_without_tls_are_a_mistake() -> None:
    assert faults_of("mqtt: {tls: {ca_file: /x}}") == [
        "mqtt.tls.ca_file: is set, but mqtt.url is not mqtts:// or wss://"
    ]


def test_tls_files_are_looked_for_whatever_else_is_wrong_with_the_url() -> None:
    assert faults_of("mqtt: {url: 'mqtts://a..b', tls: {ca_file: /x}}")[1:] == [
        "mqtt.tls.ca_file: there is no file /x"
    ]
    assert faults_of("mqtt: {url: 'MQTTS://a', tls: {ca_file: /x}}") == [
        "mqtt.tls.ca_file: there is no file /x"
    ]


def test_mqtt_3_has_no_password_without_a_user_name() -> None:
    text = "mqtt: {protocol: 3.1.1, password: {env: P}%s}"
    with pytest.raises(ConfigError, match=r"mqtt\.username: is required with a password"):
        parse(text % "", {"P": "x"})
    parse(text % ", username: joe", {"P": "x"})
    parse("mqtt: {password: {env: P}}", {"P": "x"})


def test_the_window_is_said_to_mean_nothing_in_mqtt_3() -> None:
    (warning,) = parse("mqtt: {protocol: 3.1.1, receive_maximum: 10}", {}).warnings
    assert warning.startswith("mqtt.receive_maximum: MQTT 3.1.1 has none")


def test_the_least_pause_is_not_above_the_longest() -> None:
    assert faults_of("mqtt: {reconnect_min_seconds: 20}\nstorage: {retry_max_seconds: 0.05}") == [
        "mqtt.reconnect_min_seconds: 20.0 is more than mqtt.reconnect_max_seconds 5.0",
        "storage.retry_min_seconds: 0.1 is more than storage.retry_max_seconds 0.05",
    ]


def test_the_queue_holds_at_least_one_batch() -> None:
    too_small = "the queue must hold at least one batch"
    assert faults_of("storage: {queue_rows: 4999, batch_bytes: 67108865}") == [
        f"storage.queue_rows: {too_small}: 4999 < storage.batch_rows 5000",
        f"storage.queue_bytes: {too_small}: 67108864 < storage.batch_bytes 67108865",
    ]
    assert faults_of("storage: {queue_rows: 5000, batch_bytes: 67108864}") == []


def test_a_dsn_is_a_url_of_postgresql() -> None:
    assert faults_of("storage: {dsn: 'host=db password=hunter2'}") == [
        "storage.dsn: expected postgresql://user@host:port/database"
    ]


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql:///penstock",
        "postgresql:///penstock?host=/run/postgresql",
        "postgres://joe:p%2Fw@[::1]:5432/x",
        "postgresql://joe@one:5432,two,[::2]:5433/x?target_session_attrs=read-write",
        "postgresql://%2Frun%2Fpostgresql/x",
    ],
)
def test_a_dsn_may_name_sockets_and_several_hosts(dsn: str) -> None:
    assert faults_of(f"storage: {{dsn: '{dsn}'}}") == []


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://joe:hunter/2@db:5432/x",
        "postgresql://joe:hunter?2@db:5432/x",
        "postgresql://joe:hunter#2@db:5432/x",
        "postgresql://joe:4711#2@db:5432/x",
        "postgresql://joe@db:hunter/x",
        "postgresql://joe:hunter[2@db:5432/x",
    ],
)
def test_a_dsn_that_cannot_be_read_is_refused_without_showing_any_of_it(dsn: str) -> None:
    (fault,) = faults_of(f"storage: {{dsn: '{dsn}'}}")
    assert fault.startswith("storage.dsn: ")
    assert "hunter" not in fault
    assert "4711" not in fault


def test_a_rule_about_a_faulty_setting_is_not_a_second_fault() -> None:
    assert faults_of("storage: {batch_rows: many, queue_rows: 1}") == [
        'storage.batch_rows: expected an integer from 1 to 1000000, got "many"'
    ]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9464", ListenAddress("127.0.0.1", 9464)),
        ("[::1]:0", ListenAddress("::1", 0)),
        (":80", ListenAddress("0.0.0.0", 80)),
        ("example:65535", ListenAddress("example", 65535)),
    ],
)
def test_an_address_to_listen_on_has_host_and_port(text: str, address: ListenAddress) -> None:
    assert parse_listen(text) == address


@pytest.mark.parametrize("text", ["", "9464", "h:", "h:65536", "h:-1", "h:٣", "::1:80", "h:1:2"])
def test_any_other_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"port|brackets"):
        parse_listen(text)
