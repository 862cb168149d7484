import ssl
from pathlib import Path

import pytest
from msgspec.structs import replace

from penstock.errors import ConfigError
from penstock.mqtt.endpoint import Endpoint, parse_url, tls_context
from penstock.settings.tree import Mqtt, Tls


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
    ("text", "advice"),
    [
        ("broker:1883", "expected one of mqtt, tcp, mqtts, ssl, ws, wss"),
        ("http://broker", "expected one of mqtt"),
        ("mqtt://", "expected a host"),
        ("mqtt://:1883", "expected a host"),
        ("mqtt://broker:0", "a port from 1 to 65535"),
        ("mqtt://broker:65536", "mqtt.url: "),
        ("mqtt://broker:x", "mqtt.url: "),
        ("mqtt://[::1", "mqtt.url: "),
        ("mqtt://a..b", "'a..b' is no host name"),
        ("mqtt://broker/topic", "only ws:// and wss:// have a path"),
    ],
)
def test_a_faulty_url_is_refused_with_what_to_write(text: str, advice: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_url(text)
    assert advice in str(refused.value)


def test_a_url_with_credentials_is_refused_without_showing_them() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_url("mqtt://user:geheim@broker")
    assert "use mqtt.username and mqtt.password" in str(refused.value)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"), [("mqtt://[::1]", "[::1]:1883"), ("wss://a", "a:443"), ("tcp://b:2", "b:2")]
)
def test_an_endpoint_shows_as_host_and_port(url: str, shown: str) -> None:
    assert str(parse_url(url)) == shown


def test_the_systems_authorities_are_trusted_when_none_are_named() -> None:
    context = tls_context(Mqtt())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_host_name_may_go_unchecked_but_never_the_certificate() -> None:
    context = tls_context(Mqtt(tls=Tls(verify_hostname=False)))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert not context.check_hostname


@pytest.mark.parametrize("name", ["ca_file", "cert_file"])
@pytest.mark.parametrize("content", [None, "no PEM"])
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, name: str, content: str | None
) -> None:
    file = tmp_path / "file.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=f"mqtt.tls.{name} {file}"):
        tls_context(Mqtt(tls=replace(Tls(), **{name: str(file)})))
