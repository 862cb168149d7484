import pytest

from penstock.settings.mqtt_url import Endpoint, parse_url


@pytest.mark.parametrize(
    ("text", "host", "port", "tls", "path"),
    [
        ("mqtt://broker", "broker", 1883, False, None),
        ("mqtt://broker/", "broker", 1883, False, None),
        ("tcp://10.0.0.1:1884", "10.0.0.1", 1884, False, None),
        ("mqtts://broker", "broker", 8883, True, None),
        ("ssl://broker:8884", "broker", 8884, True, None),
        ("ws://broker", "broker", 80, False, "/mqtt"),
        ("wss://broker/ws?token=1", "broker", 443, True, "/ws?token=1"),
        ("mqtt://[2001:db8::1]:1885", "2001:db8::1", 1885, False, None),
        ("MQTT://Broker", "broker", 1883, False, None),
    ],
)
def test_a_url_says_where_and_how(
    text: str, host: str, port: int, tls: bool, path: str | None
) -> None:
    assert parse_url(text) == Endpoint(host=host, port=port, tls=tls, websocket_path=path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("broker.example", "expected mqtt://, mqtts://, ws:// or wss://, then host and port"),
        ("broker:1883", "expected mqtt://, mqtts://, ws:// or wss://, then host and port"),
        ("http://h", "expected mqtt://, mqtts://, ws:// or wss://, then host and port"),
        ("mqtt://", "has no host"),
        ("mqtt://:1883", "has no host"),
        ("mqtt://h:x", "expected a port from 1 to 65535"),
        ("mqtt://h:0", "expected a port from 1 to 65535"),
        ("mqtt://h:65536", "expected a port from 1 to 65535"),
        ("mqtt://[::1", "its host is none: an IPv6 address stands in brackets"),
        ("mqtt://a..b", "its host is no host name: between two dots there are 1 to 63 characters"),
        ("mqtt://joe@h", "holds a user name: use mqtt.username and mqtt.password instead"),
        ("mqtt://h/topic", "only ws:// and wss:// have a path"),
        ("mqtt://h?x=1", "only ws:// and wss:// have a path"),
        ("ws://h/mqtt#x", "a # means nothing in it"),
    ],
)
def test_a_faulty_url_is_refused_with_what_to_write(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - compared in full
        parse_url(text)
    assert str(refused.value) == problem


def test_every_fault_of_a_url_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="expected mqtt://") as refused:
        parse_url("http://joe:pw@a..b:0/x")
    assert str(refused.value).split("; ") == [
        "expected mqtt://, mqtts://, ws:// or wss://, then host and port",
        "its host is no host name: between two dots there are 1 to 63 characters",
        "expected a port from 1 to 65535",
        "holds a user name: use mqtt.username and mqtt.password instead",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "mqtt://joe:geheim@broker",
        "http://joe:geheim@broker",
        "mqtt://joe:geheim#1@broker",
        "mqtt://joe:geheim[1@broker",
        "mqtt://joe:ge..heim/1@broker",
        "mqtt://geheim..1/@broker",
    ],
)
def test_no_fault_shows_a_password(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as refused:
        parse_url(text)
    assert "heim" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"), [("mqtt://[::1]", "[::1]:1883"), ("wss://a", "a:443"), ("tcp://b:2", "b:2")]
)
def test_an_endpoint_shows_as_host_and_port(url: str, shown: str) -> None:
    assert str(parse_url(url)) == shown
