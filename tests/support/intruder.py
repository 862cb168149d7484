"""A client that takes another's session: it comes with the same client id, and is no good.

It acknowledges nothing, so the broker owes the session's owner everything that it was given.
"""

import socket
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import mqtt5

_ANSWER_SECONDS = 30.0
_SESSION_EXPIRY_SECONDS = 604_800
"""A shorter one would end the session with the intruder's connection (MQTT 5 §3.1.2.11.2)."""


class Intruder:
    """One connection under another client's id, from the beginning of the context to its end."""

    def __init__(self, mqtt_url: str, client_id: str) -> None:
        self._url = urlsplit(mqtt_url)
        self._client_id = client_id
        self._socket: socket.socket
        self.found_session = False
        """Whether there was a session to take over."""

    def __enter__(self) -> Self:
        assert self._url.hostname is not None
        self._socket = socket.create_connection(
            (self._url.hostname, self._url.port or 1883), _ANSWER_SECONDS
        )
        connect = mqtt5.ConnectPacket(
            self._client_id,
            clean_start=False,
            session_expiry_interval=_SESSION_EXPIRY_SECONDS,
            receive_max=1,
        )
        self._socket.sendall(connect.write())
        answer = self._packet()
        assert isinstance(answer, mqtt5.ConnAckPacket), "the broker did not answer"
        self.found_session = answer.session_present
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def wait_for_the_end(self, within_seconds: float) -> None:
        """Stay until the broker ends the connection; `TimeoutError` when it does not."""
        self._socket.settimeout(within_seconds)
        with suppress(ConnectionResetError):
            while self._socket.recv(65_536):
                pass

    def _packet(self) -> mqtt5.Packet:
        received = b""
        while True:
            data = self._socket.recv(65_536)
            assert data, "the broker hung up"
            received += data
            try:
                return mqtt5.read(memoryview(received))[0]
            except IndexError:
                continue
