"""A private mosquitto under the configuration that we ship.

What always holds: the ports and the folder stay the same over restarts, so that a durable broker
comes back with its sessions and queues; and when `start` returns, it answers MQTT.
"""

import os
import pwd
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from penstock.sandbox.certificates import Certificates
from penstock.sandbox.errors import SandboxError
from penstock.sandbox.ports import LOOPBACK, free_port
from penstock.sandbox.process import Process, run
from penstock.sandbox.programs import find_mosquitto, find_program
from penstock.sandbox.server import Server

_ANSWER_SECONDS = 2.0
_CONNECT = bytes.fromhex("100d 0004 4d515454 05 02 000a 00 0000")
"""CONNECT of MQTT 5 §3.1: clean start, keep alive 10 s, a client id from the broker."""
_CONNACK = 0x20


class Broker(Server):
    """One private mosquitto; if it is durable, its sessions survive a restart."""

    _STOP_SIGNAL = signal.SIGTERM  # at which it saves its state

    def __init__(
        self,
        folder: Path,
        *,
        durable: bool = True,
        websockets: bool = False,
        certificates: Certificates | None = None,
        require_certificate: bool = False,
        users: Mapping[str, str] | None = None,
        lines: Sequence[str] = (),
    ) -> None:
        """Prepare a broker in `folder`; nothing is written before `start`.

        Args:
            folder: where its configuration, log and database are; made if need be.
            durable: run as shipped; otherwise keep nothing on disk, to measure speed alone.
            websockets: listen for WebSockets as well.
            certificates: listen with TLS as well, as the server of these.
            require_certificate: let in by TLS only clients that the same authority signed.
            users: passwords by user name; without it anybody is let in.
            lines: more lines of mosquitto.conf(5) that concern the broker as a whole.
        """
        self.folder = folder
        self.durable = durable
        self.port = free_port()
        self.websockets_port = free_port() if websockets else None
        self.tls_port = free_port() if certificates is not None else None
        self._certificates = certificates
        self._require_certificate = require_certificate
        self._users = users
        self._lines = tuple(lines)
        super().__init__(
            Process("mosquitto", log_path=folder / "mosquitto.log", death_signal=signal.SIGKILL)
        )

    @property
    def url(self) -> str:
        """Where it listens for plain MQTT."""
        return f"mqtt://{LOOPBACK}:{self.port}"

    @property
    def websockets_url(self) -> str:
        """Where it listens for WebSockets.

        Raises:
            SandboxError: it does not.
        """
        if self.websockets_port is None:
            raise SandboxError("this broker was made without WebSockets")
        return f"ws://{LOOPBACK}:{self.websockets_port}"

    @property
    def tls_url(self) -> str:
        """Where it listens with TLS.

        Raises:
            SandboxError: it does not.
        """
        if self.tls_port is None:
            raise SandboxError("this broker was made without certificates")
        return f"mqtts://localhost:{self.tls_port}"

    def start(self) -> None:
        """Start it and return when it answers.

        Raises:
            SandboxError: there is no mosquitto, or it did not start.
        """
        program = find_mosquitto()
        self.folder.mkdir(exist_ok=True)
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text(self._configuration())
        self._process.start([program, "-c", configuration], self._answers)

    def _configuration(self) -> str:
        return "\n".join(
            [
                shipped_configuration().read_text(),
                "# What follows is the sandbox's own.",
                f"persistence {'true' if self.durable else 'false'}",
                f"persistence_location {self.folder}/",
                # As root it would change to a user who may not write here.
                f"user {pwd.getpwuid(os.getuid()).pw_name}",
                "log_dest stdout",
                *self._access_lines(),
                *self._lines,
                f"listener {self.port} {LOOPBACK}",
                *self._websockets_lines(),
                *self._tls_lines(),
                "",
            ]
        )

    def _access_lines(self) -> list[str]:
        if self._users is None:
            return ["allow_anonymous true"]
        passwords = self.folder / "passwords"
        passwords.write_text("".join(f"{name}:{word}\n" for name, word in self._users.items()))
        passwords.chmod(0o600)
        run([find_program("mosquitto_passwd"), "-U", passwords])
        return ["allow_anonymous false", f"password_file {passwords}"]

    def _websockets_lines(self) -> list[str]:
        if self.websockets_port is None:
            return []
        return [f"listener {self.websockets_port} {LOOPBACK}", "protocol websockets"]

    def _tls_lines(self) -> list[str]:
        if self._certificates is None:
            return []
        return [
            f"listener {self.tls_port} {LOOPBACK}",
            f"cafile {self._certificates.authority}",
            f"certfile {self._certificates.server}",
            f"keyfile {self._certificates.server_key}",
            f"require_certificate {'true' if self._require_certificate else 'false'}",
        ]

    def _answers(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), _ANSWER_SECONDS) as connection:
                connection.sendall(_CONNECT)
                return connection.recv(1)[:1] == bytes([_CONNACK])
        except OSError:
            return False


def shipped_configuration() -> Path:
    """The mosquitto configuration that we ship: in the package, or in a checkout beside it."""
    package = Path(__file__).parents[1]
    relative = Path("config", "mosquitto", "penstock.conf")
    for root in (package, package.parents[1]):
        if (root / relative).exists():
            return root / relative
    raise SandboxError(f"{relative} is missing from this installation")
