"""The environment overrides the file, and a name that means nothing is an error."""

import pytest

from penstock.errors import ConfigError
from penstock.settings.loader import parse
from penstock.settings.secret import Secret
from penstock.settings.tree import Route, Settings


def settings_of(text: str = "", **environ: str) -> Settings:
    return parse(text, {f"PENSTOCK_{name}": value for name, value in environ.items()}).settings


def faults_of(text: str = "", **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings_of(text, **environ)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_two_underscores_part_the_levels() -> None:
    settings = settings_of(
        "storage: {batch_rows: 10, writers: 3}\nmqtt: {tls: {verify_hostname: true}}",
        STORAGE__BATCH_ROWS="20",
        MQTT__TLS__VERIFY_HOSTNAME="false",
        SHUTDOWN_TIMEOUT_SECONDS="2.5",
    )
    assert settings.storage.batch_rows == 20
    assert settings.storage.writers == 3
    assert settings.mqtt.tls.verify_hostname is False
    assert settings.shutdown_timeout_seconds == 2.5


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("0", False), ("False", False)]
)
def test_a_switch_reads_words_and_digits(text: str, value: bool) -> None:
    assert settings_of(REGISTRY__AUTO_REGISTER=text).registry.auto_register is value


@pytest.mark.parametrize("text", ["", "null"])
def test_empty_and_null_mean_null_where_null_is_allowed(text: str) -> None:
    assert settings_of(HTTP__LISTEN=text).http.listen is None
    assert faults_of(LOG__LEVEL=text) == [
        "log.level: expected one of debug, error, info, warning, got null (PENSTOCK_LOG__LEVEL)"
    ]


def test_text_needs_no_quotes() -> None:
    assert settings_of(MQTT__PROTOCOL="5").mqtt.protocol == "5"
    assert settings_of(MQTT__CLIENT_ID="0042").mqtt.client_id == "0042"


def test_numbers_are_positions_in_a_list() -> None:
    settings = settings_of(
        "routes: [{topic: a, tenant: x}, {topic: b}]",
        ROUTES__0__TOPIC="c",
        ROUTES__2__TOPIC="d",
        ROUTES__2__FORMAT="flat",
        ROUTES__2__IGNORE_PATHS__0="e",
        ROUTES__2__IGNORE_PATHS__1="f",
    )
    assert settings.routes == (
        Route(topic="c", tenant="x"),
        Route(topic="b"),
        Route(topic="d", format="flat", ignore_paths=("e", "f")),
    )


def test_the_tenth_element_follows_the_ninth() -> None:
    names = {f"ROUTES__{n}__TOPIC": f"t{n}" for n in reversed(range(12))}
    assert [route.topic for route in settings_of(**names).routes] == [f"t{n}" for n in range(12)]


def test_a_gap_in_a_list_is_refused() -> None:
    assert faults_of("routes: [{topic: a}]", ROUTES__3__TOPIC="b") == [
        "routes[3].topic: the list has 1 entries; the next is 1 (PENSTOCK_ROUTES__3__TOPIC)"
    ]


def test_a_misspelt_name_is_refused_with_what_was_probably_meant() -> None:
    advice = "unknown key; did you mean storage.batch_rows?"
    assert faults_of(STORAGE__BATCHROWS="1", STORAGE_BATCH_ROWS="1") == [
        f"storage_batch_rows: {advice} (PENSTOCK_STORAGE_BATCH_ROWS)",
        f"storage.batchrows: {advice} (PENSTOCK_STORAGE__BATCHROWS)",
    ]


@pytest.mark.parametrize(
    "name",
    ["TEST_DSN", "TEST_MQTT", "SERVICE_HOST", "PORT", "PORT_9464_TCP_ADDR"],
)
def test_names_that_belong_to_others_are_left_alone(name: str) -> None:
    assert settings_of(**{name: "whatever"}) == Settings()


def test_a_service_named_like_us_changes_nothing() -> None:
    of_the_service = {
        "DB_SERVICE_HOST": "10.0.0.1",
        "DB_SERVICE_PORT_SQL": "5432",
        "DB_PORT": "tcp://10.0.0.1:5432",
        "DB_PORT_5432_TCP_ADDR": "10.0.0.1",
    }
    assert settings_of(**of_the_service) == Settings()
    (fault,) = faults_of(**of_the_service, HTTP_PORT="9464")
    assert "PENSTOCK_HTTP_PORT" in fault, "what belongs to no service is misspelt"


def test_a_variable_that_a_secret_is_read_from_is_no_override() -> None:
    settings = settings_of("mqtt: {password: {env: PENSTOCK_BROKER_SECRET}}", BROKER_SECRET="s")
    assert settings.mqtt.password == Secret("s")


def test_a_secret_may_be_given_as_it_is_or_by_its_file() -> None:
    assert settings_of(MQTT__PASSWORD="s").mqtt.password == Secret("s")
    assert settings_of(STORAGE__DSN="postgresql://a/b").storage.dsn == Secret("postgresql://a/b")
    (fault,) = faults_of(MQTT__PASSWORD__FILE="/absent")
    assert fault.startswith("mqtt.password: cannot read /absent: No such file or directory (")


def test_two_variables_for_one_secret_are_refused() -> None:
    faults = faults_of(MQTT__PASSWORD="s", MQTT__PASSWORD__FILE="/dev/null")
    assert faults[0] == (
        "mqtt.password.file: PENSTOCK_MQTT__PASSWORD sets the same, differently "
        "(PENSTOCK_MQTT__PASSWORD__FILE)"
    )


def test_an_override_replaces_a_value_of_another_kind() -> None:
    settings = settings_of("mqtt: {password: {file: /absent}}", MQTT__PASSWORD="s")
    assert settings.mqtt.password == Secret("s")


def test_a_section_is_no_value() -> None:
    assert faults_of(MQTT="x") == ['mqtt: expected a section, got "x" (PENSTOCK_MQTT)']
    assert faults_of(ROUTES="x") == ['routes: expected a list, got "x" (PENSTOCK_ROUTES)']


def test_bytes_that_are_not_text_are_refused() -> None:
    assert faults_of(MQTT__CLIENT_ID="caf\udce9") == ["PENSTOCK_MQTT__CLIENT_ID: is not UTF-8"]
