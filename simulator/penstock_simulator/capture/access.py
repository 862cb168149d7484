"""How the tools for captures get at a broker: a URL with a login in it, and whom to trust.

No fault quotes a URL, for any part of it may be of a password.
"""

import secrets
import ssl
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from penstock.settings.secret import Secret
from penstock.settings.tree import Mqtt, Tls

_KEPT_SECONDS = 60
"""How long a broker of MQTT 5 keeps a recording's session while its connection is lost."""


class Access(NamedTuple):
    """A broker, and how to trust it."""

    url: str
    """`mqtt://` or `mqtts://`, then `[user:password@]host[:port]`; `ws://` and `wss://` too, where
    the daemon's own session is used."""
    ca_file: Path | None = None
    """PEM file of the authorities to trust; the system's without it."""

    def trust(self) -> ssl.SSLContext | None:
        """Whom a publisher trusts; None where the URL asks for no TLS, or for the default.

        Raises:
            ValueError: the file holds no certificate.
            OSError: it cannot be read.
        """
        if self.ca_file is None:
            return None
        try:
            return ssl.create_default_context(cafile=str(self.ca_file))
        except ssl.SSLError as error:
            raise ValueError(f"{self.ca_file} holds no certificate: {error.reason}") from None


def recording_session(access: Access, *, protocol: str, retained: bool) -> Mqtt:
    """The settings of a session that records, under a client id of its own.

    Raises:
        ValueError: the URL is none.
    """
    parts = urlsplit(access.url)
    password = None if parts.password is None else Secret(unquote(parts.password))
    return Mqtt(
        url=parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),
        protocol="3.1.1" if protocol == "3.1.1" else "5",
        client_id=f"penstock-record-{secrets.token_hex(4)}",
        username=None if parts.username is None else unquote(parts.username),
        password=password,
        session_expiry_seconds=_KEPT_SECONDS,
        retained="new" if retained else "never",
        tls=Tls(ca_file=None if access.ca_file is None else str(access.ca_file)),
    )
