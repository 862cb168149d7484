import ssl
from pathlib import Path

import pytest
from msgspec.structs import replace

from penstock.errors import ConfigError
from penstock.mqtt.tls import tls_context
from penstock.settings.tree import Mqtt, Tls


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
