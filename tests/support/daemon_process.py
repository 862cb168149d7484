"""The daemon as an operator runs it: its own process, configured by a file, watched by HTTP."""

import json
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from penstock.sandbox.ports import LOOPBACK, free_port
from penstock.sandbox.process import Process

DEADLINE_SECONDS = 60.0
"""How long a test waits for what must come; generous, because machines are shared."""

PENSTOCK = (sys.executable, "-m", "penstock")
BROKEN = (sys.executable, str(Path(__file__).with_name("broken_builds.py")))
"""Followed by what to break."""


class DaemonProcess:
    """One daemon that is started, stopped and killed over and over with one configuration."""

    def __init__(
        self,
        folder: Path,
        *,
        mqtt_url: str,
        dsn: str,
        command: tuple[str, ...] = PENSTOCK,
        settings: Mapping[str, object] | None = None,
        routes: list[dict[str, object]] | None = None,
    ) -> None:
        """Prepare a daemon in `folder`.

        `settings` are merged into the configuration; `command` runs another build.
        """
        self.port = free_port()
        self.client_id = f"penstock-{self.port}"
        self.config = folder / "penstock.yaml"
        self.log_path = folder / "penstock.log"
        self.command = command
        self._process = Process("penstock", log_path=self.log_path, death_signal=signal.SIGKILL)
        tree: dict[str, Any] = {
            "mqtt": {"url": mqtt_url, "client_id": self.client_id},
            "storage": {"dsn": dsn},
            "http": {"listen": f"{LOOPBACK}:{self.port}"},
        }
        for key, value in (settings or {}).items():
            if isinstance(value, Mapping):
                tree.setdefault(key, {}).update(value)
            else:
                tree[key] = value
        if routes is not None:
            tree["routes"] = routes
        folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(yaml.safe_dump(tree))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def process_id(self) -> int:
        return self._process.process_id

    @property
    def running(self) -> bool:
        return self._process.running

    def start(self, *, ready: bool = True) -> None:
        """Start it, and wait until it is ready, or only until it answers."""
        path = "/health/ready" if ready else "/health/live"
        self._process.start(
            [*self.command, "run", "--config", self.config], lambda: self.get(path)[0] == 200
        )

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        self._process.start([*self.command, "run", "--config", self.config], lambda: True)

    def until_ready(self) -> None:
        """Wait until it is ready, having launched it."""
        wait_until(lambda: self.get("/health/ready")[0] == HTTPStatus.OK, "the daemon is ready")

    def wait(self) -> int:
        """Wait until it ends by itself, and return its exit status."""
        wait_until(lambda: not self.running, "the daemon ends")
        assert self._process._process is not None
        return self._process._process.returncode

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.signal(signal.SIGKILL)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, wait for it, and return its exit status."""
        self._process.signal(number)
        assert self._process._process is not None
        return self._process._process.returncode

    def get(self, path: str) -> tuple[int, Any]:
        """The status and the JSON (or text) of an HTTP answer; status 0 when nothing answers."""
        try:
            with urllib.request.urlopen(
                f"http://{LOOPBACK}:{self.port}{path}", timeout=10
            ) as answer:
                return answer.status, _decoded(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _decoded(error.read())
        except OSError:
            return 0, None

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels; 0 when nothing answers."""
        status, answer = self.get("/metrics")
        known = f"# TYPE {name} " in str(answer)
        assert known or status != HTTPStatus.OK, f"there is no metric {name}"
        total = 0.0
        for line in str(answer).splitlines():
            sample, _, value = line.rpartition(" ")
            found, _, rest = sample.partition("{")
            if found == name and all(f'{label}="{text}"' in rest for label, text in labels.items()):
                total += float(value)
        return total

    def log_lines(self) -> list[dict[str, Any]]:
        """Every line of the log; each must be a JSON object."""
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        return [line for line in self.log_lines() if line["event"] == event]


def wait_until(
    condition: Callable[[], bool], what: str, *, within_seconds: float = DEADLINE_SECONDS
) -> None:
    """Poll until a condition holds; `AssertionError` naming `what` when it never does."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, f"it never happened: {what}"
        time.sleep(0.02)


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()
