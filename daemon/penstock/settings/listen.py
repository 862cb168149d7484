"""Host and port of an address to listen on."""

from typing import NamedTuple


class ListenAddress(NamedTuple):
    """Where to listen; port 0 lets the system choose one."""

    host: str
    port: int


def parse_listen(text: str) -> ListenAddress:
    """Read `host:port` or `[ipv6]:port`; an empty host means every address.

    Raises `ValueError` that says what is wrong.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError("expected host:port or [ipv6]:port with a port from 0 to 65535")
    if host.startswith("[") and host.endswith("]"):
        return ListenAddress(host[1:-1], int(port))
    if ":" in host:
        raise ValueError("an IPv6 address stands in brackets: [::1]:9464")
    return ListenAddress(host or "0.0.0.0", int(port))  # noqa: S104 - the operator asked for all
