"""Ports stay free for the server that was given them."""

import socket
from pathlib import Path

from penstock.sandbox.ports import LOOPBACK, accepts_connections, free_port


def test_a_free_port_can_be_listened_on() -> None:
    port = free_port()
    assert not accepts_connections(port)
    with socket.create_server((LOOPBACK, port)):
        assert accepts_connections(port)


def test_no_outgoing_connection_is_given_a_free_port() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(1024 < free_port() < lowest for _ in range(50))
